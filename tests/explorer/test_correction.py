"""Correcting patients, studies and series on their pages, merging studies and moving series."""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from pydicom import dcmread

from tests.browser.users import User, make
from tests.corpus import ask, instance
from tests.explorer.conftest import VIEWER, Archive, OpenPage, cards, further_patients, holding
from tests.explorer.test_accessibility import OVERFLOW, patient_of, tab_to, violations

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

NAME = "Kim090^Minsu=金90^民洙=김90^민수"
TEXTS = [
    ("en-GB", "More actions", ["Correct…", "Merge with other studies…", "Move series…"], "Preview"),
    ("ko-KR", "추가 작업", ["정보 수정…", "다른 검사와 병합…", "시리즈 이동…"], "미리보기"),
    ("ja-JP", "その他の操作", ["訂正…", "他の検査と統合…", "シリーズの移動…"], "プレビュー"),
]
"""The items of the menu, by language."""
CORRECTOR = User("corrector", ["Manager"])


@pytest.fixture(scope="module", autouse=True)
def _corrector(archive: Archive) -> None:
    """A user whose jobs are those of this module."""
    make(archive.folder, CORRECTOR)


@pytest.fixture
def patient(archive: Archive) -> Iterator[str]:
    """The PatientID of a patient with a study of two series and one of one series."""
    files = [
        instance(90, study, series, number, StudyDescription=f"Head {study}", SeriesDescription=f"Axial {series}")
        for study, series, number in ((1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 3, 1))
    ]
    with further_patients(archive, files):
        yield "P090"


@pytest.fixture
def page(patient: str, page_as: OpenPage) -> Page:
    """A page of the corrector's, which is closed before the patient is deleted."""
    return page_as(CORRECTOR)


def files_of(archive: Archive) -> list[Any]:
    """All files of the archive but those of the samples."""
    ids = json.loads(ask(archive.orthanc, "/instances"))
    files = [dcmread(BytesIO(ask(archive.orthanc, f"/instances/{one}/file"))) for one in ids]
    return [file for file in files if file.Manufacturer == "ACME"]


def open_first_study(archive: Archive, page: Page, patient_id: str) -> None:
    """Open the study of a patient that has two series."""
    studies = json.loads(ask(archive.orthanc, f"/patients/{patient_of(archive, patient_id)}/studies"))
    [study] = [one["ID"] for one in studies if one["MainDicomTags"]["StudyDescription"] == "Head 1"]
    page.goto(f"/studies/{study}")
    expect(page.get_by_role("heading", level=1)).to_have_text("Head 1")


def open_dialog(page: Page, item: str) -> Locator:
    """Open a dialog of the menu of a study."""
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name=item).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


def rows(dialog: Locator) -> list[list[str]]:
    """The attributes before and after, as the preview shows them."""
    expect(dialog.get_by_role("table")).to_be_visible()
    return [row.get_by_role("cell").all_inner_texts() for row in dialog.locator("tbody tr").all()]


def test_a_study_is_corrected_with_the_keyboard(page: Page, archive: Archive, patient: str) -> None:
    open_first_study(archive, page, patient)
    tab_to(page, page.get_by_role("button", name="More actions"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Correct…")).to_be_focused()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Correct the study")
    # with the values that it has
    expect(dialog.get_by_label("Patient ID")).to_have_value(patient)
    expect(dialog.get_by_label("Patient ID")).to_be_focused()
    expect(dialog.get_by_label("Patient name")).to_have_value(NAME)
    expect(dialog.get_by_role("button", name="Preview")).to_be_disabled()
    tab_to(page, dialog.get_by_label("Study description"))
    page.keyboard.press("Control+A")
    page.keyboard.type("뇌 MRI")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("This changes 3 instances. They get new UIDs.")
    assert rows(dialog) == [["Study description", "Head 1", "뇌 MRI"]]
    assert {str(file.StudyDescription) for file in files_of(archive)} == {"Head 1", "Head 2"}
    tab_to(page, dialog.get_by_role("button", name="Correct", exact=True))
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("status")).to_have_text("Done")
    former = page.url
    expect(dialog.get_by_role("button", name="Open the corrected study")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("뇌 MRI")
    expect(cards(page)).to_have_count(2)
    assert page.url != former
    descriptions = sorted(str(file.StudyDescription) for file in files_of(archive))
    assert descriptions == ["Head 2", "뇌 MRI", "뇌 MRI", "뇌 MRI"]


def test_the_focus_stays_where_keys_have_led_before_the_timers_of_a_busy_page(
    page: Page, archive: Archive, patient: str
) -> None:
    open_first_study(archive, page, patient)
    dialog = open_dialog(page, "Correct…")
    patient_id, description = dialog.get_by_label("Patient ID"), dialog.get_by_label("Study description")
    expect(patient_id).to_be_focused()
    page.clock.install(time=0)
    page.clock.pause_at(1)
    # the date of birth is between them
    for target, key in ((description, "Tab"), (patient_id, "Shift+Tab")):
        tab_to(page, target, key)
        page.clock.run_for(1000)
        expect(target).to_be_focused()


def test_collisions_are_to_be_accepted(page: Page, archive: Archive, patient: str) -> None:
    with further_patients(archive, [instance(91)]):
        open_first_study(archive, page, patient)
        dialog = open_dialog(page, "Correct…")
        dialog.get_by_label("Patient ID").fill("P091")
        dialog.get_by_role("checkbox", name="Keep the UIDs").check()
        dialog.get_by_role("button", name="Preview").click()
        alert = dialog.get_by_role("alert")
        expect(alert).to_contain_text("There is a patient with this ID already")
        expect(alert).to_contain_text("That patient has another value there: Patient name.")
        expect(dialog).to_contain_text("They keep their UIDs.")
        correct = dialog.get_by_role("button", name="Correct", exact=True)
        expect(correct).to_be_disabled()
        # what was typed is still there
        dialog.get_by_role("button", name="Back").click()
        expect(dialog.get_by_label("Patient ID")).to_have_value("P091")
        expect(dialog.get_by_role("checkbox", name="Keep the UIDs")).to_be_checked()
        dialog.get_by_role("button", name="Preview").click()
        expect(correct).to_be_disabled()
        dialog.get_by_role("checkbox", name="It is right nevertheless").check()
        correct.click()
        expect(dialog.get_by_role("button", name="Open the corrected study")).to_be_focused()
        # however the dialog is closed, the page is that of what there is now
        page.keyboard.press("Escape")
        expect(page.get_by_text("P091")).to_be_visible()
        assert sorted(str(file.PatientID) for file in files_of(archive)) == ["P090", *["P091"] * 4]


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["same page", "elsewhere"])
def test_the_dialog_may_be_closed_before_it_knows_the_result(
    page: Page, archive: Archive, patient: str, is_elsewhere: bool
) -> None:
    open_first_study(archive, page, patient)
    dialog = open_dialog(page, "Correct…")
    dialog.get_by_label("Study description").fill("Knee")
    dialog.get_by_role("button", name="Preview").click()
    with holding(page, r"query JobStudy\("):
        dialog.get_by_role("button", name="Correct", exact=True).click()
        expect(dialog.get_by_role("status")).to_have_text("Done")
        if is_elsewhere:
            dialog.get_by_role("link", name="All jobs").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Jobs")
        else:
            page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    if is_elsewhere:
        expect(page.get_by_role("table")).to_contain_text("Knee")
        expect(page).to_have_url(re.compile("/jobs$"))
    else:
        expect(page.get_by_role("heading", level=1)).to_have_text("Knee")


def test_the_dialog_may_be_closed_before_its_job_is_begun(page: Page, archive: Archive, patient: str) -> None:
    open_first_study(archive, page, patient)
    dialog = open_dialog(page, "Correct…")
    dialog.get_by_label("Study description").fill("Knee")
    dialog.get_by_role("button", name="Preview").click()
    with holding(page, "clientMutationId"):
        with page.expect_request(lambda request: "clientMutationId" in (request.post_data or "")):
            dialog.get_by_role("button", name="Correct", exact=True).click()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text("Correct (Knee): Done. 3 instances")
    messages.get_by_role("link", name="Open the result").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Knee")


def test_a_patient_gets_a_korean_name_in_all_studies(page: Page, archive: Archive, patient: str) -> None:
    page.goto(f"/patients/{patient_of(archive, patient)}")
    page.get_by_role("button", name="Correct…").click()
    dialog = page.get_by_role("dialog", name="Correct the patient")
    dialog.get_by_label("Patient name").fill("Kim^Minsu==김^민수")
    dialog.get_by_label("Birth date").fill("1970-01-31")
    dialog.get_by_label("Sex").select_option("Female")
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("This changes 4 instances.")
    [birth, name, sex] = rows(dialog)
    assert birth == ["Birth date", "15 Mar 1990", "31 Jan 1970"]
    assert name == ["Patient name", NAME, "Kim^Minsu==김^민수"]
    assert sex[::2] == ["Sex", "F"]
    dialog.get_by_role("button", name="Correct", exact=True).click()
    dialog.get_by_role("button", name="Open the corrected patient").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("김 민수")
    assert {str(file.PatientName) for file in files_of(archive)} == {"Kim^Minsu==김^민수"}
    assert {file.PatientBirthDate for file in files_of(archive)} == {"19700131"}


def test_a_series_is_corrected_and_its_end_is_told_where_the_dialog_is_closed(
    page: Page, archive: Archive, patient: str
) -> None:
    open_first_study(archive, page, patient)
    cards(page).filter(has_text="Axial 1").click()
    page.get_by_role("dialog").get_by_role("button", name="Correct…").click()
    dialog = page.get_by_role("dialog", name="Correct the series")
    dialog.get_by_label("Series description").fill("Coronal")
    dialog.get_by_role("button", name="Preview").click()
    assert rows(dialog) == [["Series description", "Axial 1", "Coronal"]]

    # the job has ended, and the corner knows, but not the dialog
    with holding(page, r"jobUpdates|query JobStudy\("):
        dialog.get_by_role("button", name="Correct", exact=True).click()
        expect(dialog).to_contain_text("It continues when you close this.")
        corner = page.locator("section[aria-label='Jobs in progress']")
        expect(corner).to_be_attached()
        expect(corner).not_to_be_attached()
        dialog.get_by_role("button", name="Close").last.click()
        expect(dialog).to_have_count(0)
    messages = page.get_by_role("region", name="Messages")
    expect(messages).to_contain_text("Correct (Head 1): Done. 2 instances")
    messages.get_by_role("link", name="Open the result").click()
    expect(cards(page).filter(has_text="Coronal")).to_be_visible()
    assert sorted(str(file.SeriesDescription) for file in files_of(archive)) == [
        "Axial 2",
        "Axial 3",
        "Coronal",
        "Coronal",
    ]


def test_what_the_gateway_rejects_is_told_in_the_form(page: Page, archive: Archive, patient: str) -> None:
    open_first_study(archive, page, patient)
    dialog = open_dialog(page, "Correct…")
    dialog.get_by_label("Patient ID").fill("W" * 70)
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("alert")).to_contain_text("PatientID")
    expect(dialog.get_by_label("Patient ID")).to_have_value("W" * 70)


def test_it_is_not_offered_without_the_permission(patient: str, page_as: OpenPage, archive: Archive) -> None:
    page = page_as(VIEWER)
    open_first_study(archive, page, patient)
    expect(page.get_by_role("button", name="More actions")).to_have_count(0)
    cards(page).first.click()
    expect(page.get_by_role("dialog").get_by_role("tab").first).to_be_visible()
    expect(page.get_by_role("button", name="Correct…")).to_have_count(0)
    page.goto(f"/patients/{patient_of(archive, patient)}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("button", name="Correct…")).to_have_count(0)


def test_studies_are_merged(page: Page, archive: Archive, patient: str) -> None:
    open_first_study(archive, page, patient)
    dialog = open_dialog(page, "Merge with other studies…")
    expect(dialog.get_by_role("button", name="Preview")).to_be_disabled()
    dialog.get_by_role("checkbox", name=re.compile("Head 2 · A090-2 · .+ · CT · 1 series")).check()
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog).to_contain_text("This changes 1 instance. It gets new UIDs. The original is kept until")
    changes = rows(dialog)
    assert ["Study description", "Head 2", "Head 1"] in changes
    assert ["Study time", "10:02:30", "10:01:30"] in changes
    moving = dialog.get_by_role("region", name="Series that move")
    expect(moving).to_contain_text(re.compile("Head 2 · A090-2 · .+ · CT · 1 series"))
    expect(moving.get_by_role("listitem")).to_have_text(["CT · 3 · Axial 3 · 1 instance"])
    dialog.get_by_role("button", name="Back").click()
    expect(dialog.get_by_role("checkbox", name="Head 2")).to_be_checked()
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_role("button", name="Merge", exact=True).click()
    dialog.get_by_role("button", name="Open the merged study").click()
    expect(cards(page)).to_have_count(3)
    assert len({file.StudyInstanceUID for file in files_of(archive)}) == 1
    expect(page.get_by_text("This is the only study of the patient.")).to_be_visible()
    # its series have one place to go to, which need not be chosen
    dialog = open_dialog(page, "Move series…")
    expect(dialog.get_by_role("radio", name="A new study")).to_be_checked()


def test_series_are_moved_to_a_new_study_and_to_another_one(page: Page, archive: Archive, patient: str) -> None:
    open_first_study(archive, page, patient)
    dialog = open_dialog(page, "Move series…")
    dialog.get_by_role("checkbox", name="Axial 2").check()
    dialog.get_by_role("radio", name="A new study").check()
    dialog.get_by_label("Study description").fill("Neck")
    dialog.get_by_role("button", name="Preview").click()
    assert rows(dialog) == [["Study description", "Head 1", "Neck"]]
    expect(dialog.get_by_role("listitem")).to_have_text(["MR · 2 · Axial 2 · 1 instance"])
    dialog.get_by_role("button", name="Move", exact=True).click()
    dialog.get_by_role("button", name="Open the study with the series").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Neck")
    expect(cards(page)).to_have_count(1)
    dialog = open_dialog(page, "Move series…")
    dialog.get_by_role("checkbox", name="Axial 2").check()
    dialog.get_by_role("radio", name="Head 2").check()
    dialog.get_by_role("button", name="Preview").click()
    dialog.get_by_role("button", name="Move", exact=True).click()
    dialog.get_by_role("button", name="Open the study with the series").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Head 2")
    expect(cards(page)).to_have_count(2)
    found = sorted((str(file.StudyDescription), str(file.SeriesDescription)) for file in files_of(archive))
    assert found == [("Head 1", "Axial 1"), ("Head 1", "Axial 1"), ("Head 2", "Axial 2"), ("Head 2", "Axial 3")]


def test_axe_finds_nothing_and_nothing_overflows(patient: str, page_as: OpenPage, archive: Archive) -> None:
    for locale, actions, items, preview in TEXTS:
        page = page_as(CORRECTOR, locale=locale, viewport={"width": 390, "height": 844})
        open_first_study(archive, page, patient)
        for item in items:
            page.get_by_role("button", name=actions).click()
            page.get_by_role("menuitem", name=item).click()
            dialog = page.get_by_role("dialog")
            expect(dialog.get_by_role("button", name=preview)).to_be_visible()
            assert page.evaluate(OVERFLOW) == [0, 0]
            assert violations(page) == []
            if item == items[0]:
                dialog.get_by_role("textbox").nth(2).fill("W" * 60)
            elif item == items[1]:
                dialog.get_by_role("checkbox", name="Head 2").check()
            else:
                continue
            dialog.get_by_role("button", name=preview).click()
            expect(dialog.get_by_role("table")).to_be_visible()
            assert page.evaluate(OVERFLOW) == [0, 0]
            assert violations(page) == []
            page.keyboard.press("Escape")
            expect(dialog).to_have_count(0)
