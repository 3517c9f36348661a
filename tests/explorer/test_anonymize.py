"""Anonymizing a study from its page: options, preview, and the new study or a ZIP."""

import json
import zipfile
from collections.abc import Iterator
from io import BytesIO

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from pydicom import dcmread

from tests.corpus import ask, instance
from tests.explorer.conftest import CONFINED_TO, MANAGER, VIEWER, Archive, OpenPage, further_patients, request
from tests.explorer.test_accessibility import choose

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

STUDY = "query ($id: String!) { studies(filter: {patientId: $id}) { nodes { orthancId instancesCount } } }"


@pytest.fixture(autouse=True)
def _remove_results(archive: Archive) -> Iterator[None]:
    before = set(json.loads(ask(archive.orthanc, "/studies")))
    yield
    for made in set(json.loads(ask(archive.orthanc, "/studies"))) - before:
        ask(archive.orthanc, f"/studies/{made}", "DELETE")


def open_dialog(page: Page, *, of: str = CONFINED_TO, with_keyboard: bool = False) -> tuple[Locator, int]:
    """Open the dialog on the page of the study of a patient; return it, and the number of the study's instances."""
    page.goto("/account")
    [study] = request(page, STUDY, id=of)["studies"]["nodes"]
    page.goto(f"/studies/{study['orthancId']}")
    more = page.get_by_role("button", name="More actions")
    if with_keyboard:
        choose(page, more, "Anonymize…")
    else:
        more.click()
        page.get_by_role("menuitem", name="Anonymize…").click()
    return page.get_by_role("dialog", name="Anonymize the study"), int(study["instancesCount"])


def test_a_study_is_anonymized_with_the_keyboard(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(MANAGER)
    dialog, count = open_dialog(page, with_keyboard=True)
    expect(dialog.get_by_role("textbox", name="Project")).to_be_focused()
    page.keyboard.type("trial")
    expect(dialog.get_by_role("textbox", name="New patient ID")).to_be_disabled()
    dialog.get_by_role("checkbox", name="Times, and dates").press("Space")
    dialog.get_by_role("button", name="Preview").press("Enter")
    table = dialog.get_by_role("table")
    row = table.get_by_role("row").filter(has=page.get_by_role("cell", name="PatientID", exact=True))
    expect(row).to_contain_text(CONFINED_TO)
    pseudonym = row.get_by_role("cell").last.inner_text()
    assert pseudonym not in ("", CONFINED_TO)
    expect(table.get_by_role("row").filter(has_text="StudyDescription")).to_contain_text("Removed")
    expect(dialog.get_by_role("status")).to_contain_text("look at the images", ignore_case=True)
    dialog.get_by_role("button", name="Anonymize", exact=True).press("Enter")
    expect(dialog.get_by_role("status")).to_have_text("Done", timeout=30_000)
    expect(dialog).to_contain_text(f"{count} instances")
    dialog.get_by_role("link", name="Open the new study").press("Enter")
    expect(dialog).to_have_count(0)
    # both the name and the id of the patient
    expect(page.get_by_role("article")).to_contain_text(pseudonym)
    expect(page.get_by_role("article")).not_to_contain_text(CONFINED_TO)


def test_an_anonymized_study_is_downloaded(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(MANAGER)
    before = ask(archive.orthanc, "/studies")
    dialog, count = open_dialog(page)
    dialog.get_by_role("textbox", name="New patient ID").fill("SUBJECT-1")
    dialog.get_by_role("textbox", name="New patient name").fill("Subject^One")
    dialog.get_by_role("radio", name="A ZIP to download").check()
    dialog.get_by_role("button", name="Preview").click()
    with page.expect_download() as downloading:
        dialog.get_by_role("button", name="Download ZIP").click()
    assert downloading.value.suggested_filename == "SUBJECT-1.zip"
    with zipfile.ZipFile(downloading.value.path()) as made:
        assert len(made.namelist()) == count
        file = dcmread(BytesIO(made.read(made.namelist()[0])), stop_before_pixels=True)
    assert (file.PatientID, file.PatientName) == ("SUBJECT-1", "Subject^One")
    assert ask(archive.orthanc, "/studies") == before


def test_the_id_of_the_original_is_rejected(page_as: OpenPage) -> None:
    page = page_as(MANAGER)
    dialog, _ = open_dialog(page)
    dialog.get_by_role("textbox", name="New patient ID").fill(CONFINED_TO)
    dialog.get_by_role("button", name="Preview").click()
    expect(dialog.get_by_role("alert")).to_contain_text("that of the original")


def test_what_is_previewed_anew_is_begun_though_an_answer_was_lost(page_as: OpenPage) -> None:
    page = page_as(MANAGER, problems="ERR_FAILED")
    dialog, _ = open_dialog(page)
    keys: list[str] = []

    def lose_first(route: Route) -> None:
        variables = (route.request.post_data_json or {}).get("variables", {})
        if key := variables.get("input", {}).get("clientMutationId"):
            keys.append(key)
        if len(keys) == 1 and key:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/graphql/", lose_first)
    begin, patient_id = (
        dialog.get_by_role("button", name="Anonymize", exact=True),
        dialog.get_by_label("New patient ID"),
    )
    patient_id.fill("SUBJECT-1")
    dialog.get_by_role("button", name="Preview").click()
    begin.click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_role("button", name="Back").click()
    patient_id.fill("SUBJECT-2")
    dialog.get_by_role("button", name="Preview").click()
    begin.click()
    expect(dialog.get_by_role("status")).to_have_text("Done", timeout=30_000)
    assert len(set(keys)) == 2


def test_images_with_text_in_their_pixels_are_listed_and_can_be_looked_at(page_as: OpenPage, archive: Archive) -> None:
    files = [
        *(instance(61, 1, 1, number, BodyPartExamined="CHEST") for number in (1, 2)),
        instance(61, 1, 1, 3, BodyPartExamined="CHEST", BurnedInAnnotation="YES"),
        *(instance(61, 1, 2, number, Modality="US", BodyPartExamined="ABDOMEN") for number in (1, 2, 4)),
    ]
    with further_patients(archive, files):
        page = page_as(MANAGER)
        dialog, _ = open_dialog(page, of="P061")
        dialog.get_by_role("button", name="Preview").click()
        warnings = dialog.get_by_role("status").get_by_role("listitem")
        expect(warnings.filter(has_text="are left out").get_by_role("listitem")).to_have_text(
            "Series 1 · CT: 1 image (3)"
        )
        expect(warnings.filter(has_text="often have text").get_by_role("listitem")).to_have_text(
            "Series 2 · US: 3 images (1–2, 4)"
        )
        with page.context.expect_page() as opened:
            dialog.get_by_role("link", name="Series 2 · US").click()
        expect(opened.value.get_by_role("region", name="Images of Series 2")).to_be_visible()
        expect(dialog.get_by_role("button", name="Anonymize", exact=True)).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "more", "item", "title"),
    [("ko-KR", "추가 작업", "익명화…", "검사 익명화"), ("ja-JP", "その他の操作", "匿名化…", "検査の匿名化")],
)
def test_the_dialog_is_in_the_language_of_the_browser(
    page_as: OpenPage, locale: str, more: str, item: str, title: str
) -> None:
    page = page_as(MANAGER, locale=locale)
    page.goto("/account")
    [study] = request(page, STUDY, id=CONFINED_TO)["studies"]["nodes"]
    page.goto(f"/studies/{study['orthancId']}")
    page.get_by_role("button", name=more).click()
    page.get_by_role("menuitem", name=item).click()
    expect(page.get_by_role("dialog", name=title)).to_be_visible()


def test_anonymizing_is_not_offered_without_the_permission(page_as: OpenPage) -> None:
    page = page_as(VIEWER)
    page.goto("/account")
    [study] = request(page, STUDY, id=CONFINED_TO)["studies"]["nodes"]
    page.goto(f"/studies/{study['orthancId']}")
    expect(page.get_by_role("link", name="Download ZIP")).to_be_visible()
    expect(page.get_by_role("button", name="More actions")).to_have_count(0)
