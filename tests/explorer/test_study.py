"""The pages of studies and patients: series, tags, downloads, deletion, share links, and what a caller may not do."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from pydicom.dataset import Dataset

from tests.browser.users import PASSWORD
from tests.corpus import ask, instance
from tests.explorer.conftest import (
    CONFINED,
    CONFINED_TO,
    VIEWER,
    Archive,
    OpenPage,
    cards,
    expect_pictures,
    further_patients,
    holding,
)

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

KOREAN = "KR-0001"
JAPANESE = "JP-0002"
ABSENT = "00000000-11111111-22222222-33333333-44444444"


def _referring(uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    item.ReferencedSOPInstanceUID = uid
    return item


@pytest.fixture(scope="module", autouse=True)
def patients(archive: Archive) -> Iterator[None]:
    """Patients beside those of the samples, for as long as this module's tests run."""
    nested = [_referring("1.2.3"), _referring("1.2.4")]
    files = [
        *(instance(60, number=number, ReferencedImageSequence=nested) for number in range(1, 121)),
        *(instance(61, series=series, PatientName="Two^Series") for series in (1, 2)),
        instance(62, PatientName=None),
        instance(66, PatientName="Leaving"),
        instance(63, PatientName=None, PatientID=None),
        *(instance(65, number=number, PatientName="Weg^Mit=去^除") for number in (1, 2)),
    ]
    with further_patients(archive, files):
        yield


def orthanc_ids(archive: Archive, patient_id: str) -> tuple[str, list[str]]:
    """The Orthanc ids of a patient and of the studies, newest first; an empty PatientID is that of one without."""
    [patient] = [
        one
        for one in json.loads(ask(archive.orthanc, "/patients?expand"))
        if one["MainDicomTags"].get("PatientID", "") == patient_id
    ]
    studies = json.loads(ask(archive.orthanc, f"/patients/{patient['ID']}/studies"))
    studies.sort(key=lambda study: str(study["MainDicomTags"]["StudyDate"]), reverse=True)
    return patient["ID"], [study["ID"] for study in studies]


def open_study(archive: Archive, page: Page, patient_id: str) -> str:
    """Open the newest study of a patient."""
    _, [study, *_] = orthanc_ids(archive, patient_id)
    page.goto(f"/studies/{study}")
    expect(page.get_by_role("heading", name="Series", exact=True)).to_be_visible()
    return study


def open_deletion(page: Page) -> Locator:
    expect_pictures(cards(page), 1)
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Delete").click()
    return page.get_by_role("dialog")


def test_study_is_one_request_with_pictures_of_its_series(page: Page, archive: Archive) -> None:
    _, [study, *_] = orthanc_ids(archive, KOREAN)
    queries: list[str] = []
    page.on(
        "request",
        lambda request: queries.append(request.post_data or "") if request.url.endswith("/graphql/") else None,
    )
    page.goto(f"/studies/{study}")
    header = page.get_by_role("article")
    for group in ("Hong, Gildong", "洪 吉洞", "홍 길동"):
        expect(header.get_by_text(group)).to_be_visible()
    expect_pictures(cards(page), 2)
    for picture in cards(page).locator("img").all():
        assert picture.evaluate("image => image.naturalWidth") > 0
    assert len([query for query in queries if "StudyPage" in query or "LoadSession" in query]) == 1


def test_patient_leads_to_the_studies_and_each_to_the_others(page: Page, archive: Archive) -> None:
    open_study(archive, page, JAPANESE)
    page.get_by_role("complementary", name="Other studies of the patient").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("頭部MRI")
    page.get_by_title("All about the patient").click()
    studies = page.get_by_role("region", name="2 studies").get_by_role("link")
    expect(studies).to_have_count(2)
    studies.first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("頭部MRI 経過観察")


def test_tag_browser_finds_what_is_in_a_sequence(page: Page, archive: Archive) -> None:
    open_study(archive, page, "P060")
    cards(page).click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("region", name="Instances").evaluate("region => region.scrollTop = region.scrollHeight")
    drawer.get_by_role("button", name="Show the tags of Instance 120", exact=True).click()
    rows = drawer.get_by_role("row")
    expect(rows.filter(has_text="SpecificCharacterSet")).to_contain_text("ISO_IR 192")
    sequence = drawer.get_by_role("button", name="Show or hide what is in ReferencedImageSequence")
    expect(rows.filter(has_text="ReferencedSOPInstanceUID")).to_have_count(2)
    sequence.click()
    expect(rows.filter(has_text="ReferencedSOPInstanceUID")).to_have_count(0)
    drawer.get_by_role("textbox", name="Search tags").fill("referencedsop 1.2.4")
    # what matches, the item and the sequence that it is in, and the headings
    expect(rows).to_have_count(4)
    expect(rows.last).to_contain_text("1.2.4")
    # all of it is in the URL
    page.reload()
    expect(page.get_by_role("dialog").get_by_role("heading", name="Instance 120")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_details_show_any_tag_from_then_on(page: Page, archive: Archive) -> None:
    open_study(archive, page, KOREAN)
    page.get_by_role("combobox", name="Show another tag").fill("NoSuchKeyword")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No tag of DICOM has this keyword.")).to_be_visible()
    page.get_by_role("combobox", name="Show another tag").fill("patientage")
    page.keyboard.press("Enter")
    details = page.get_by_role("region", name="Details")
    expect(details.get_by_text("PatientAge")).to_be_visible()
    page.reload()
    expect(details.get_by_text("PatientAge")).to_be_visible()
    details.get_by_role("button", name="Do not show PatientAge").click()
    expect(details.get_by_text("PatientAge")).to_be_hidden()


def test_downloads_have_names_for_people(page: Page, archive: Archive) -> None:
    open_study(archive, page, KOREAN)
    with page.expect_download() as study:
        page.get_by_role("link", name="Download ZIP").click()
    assert study.value.suggested_filename == "Hong_Gildong_2024-03-11_흉부_CT_조영_증강.zip"
    cards(page).first.click()
    with page.expect_download() as file:
        page.get_by_role("link", name="Download the file: Instance 1").click()
    assert re.fullmatch(r"Hong_Gildong_2024-03-11_.*_Topogram_1\.dcm", file.value.suggested_filename)


def test_study_is_deleted_once_the_name_is_typed(page: Page, archive: Archive) -> None:
    study = open_study(archive, page, "P065")
    dialog = open_deletion(page)
    expect(dialog).to_contain_text("the study and, since it is the only one, the patient with 2 instances")
    delete = dialog.get_by_role("button", name="Delete")
    dialog.get_by_role("textbox").fill("Weg")
    expect(delete).to_be_disabled()
    dialog.get_by_role("textbox").fill("weg, mit")
    delete.click()
    page.wait_for_url(f"{archive.address}/")
    expect(page.get_by_role("region", name="Messages")).to_contain_text("The study was deleted, with 2 instances.")
    page.goto(f"/studies/{study}")
    expect(page.get_by_role("heading", name="There is no such study")).to_be_visible()


def test_whoever_leaves_while_a_study_is_deleted_stays_there(page: Page, archive: Archive) -> None:
    open_study(archive, page, "P066")
    dialog = open_deletion(page)
    dialog.get_by_role("textbox").fill("leaving")
    with holding(page, '"dryRun":false'):
        with page.expect_request(lambda request: '"dryRun":false' in (request.post_data or "")):
            dialog.get_by_role("button", name="Delete").click()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        page.get_by_role("link", name="Account", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Account")
    expect(page.get_by_role("region", name="Messages")).to_contain_text("The study was deleted, with 1 instance.")
    expect(page).to_have_url(f"{archive.address}/account")


def test_study_stays_when_one_of_its_series_is_deleted(page: Page, archive: Archive) -> None:
    open_study(archive, page, "P061")
    cards(page).first.click()
    expect_pictures(page.get_by_role("dialog"), 1)
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog", name="Delete the series?")
    dialog.get_by_role("textbox").fill("Two, Series")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("The series was deleted, with 1 instance.")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(cards(page)).to_have_count(1)


@pytest.mark.parametrize(("patient_id", "typed"), [("P062", "P062"), ("", "delete")])
def test_patients_without_a_name_are_deleted_by_what_they_have(
    page: Page, archive: Archive, patient_id: str, typed: str
) -> None:
    patient, _ = orthanc_ids(archive, patient_id)
    page.goto(f"/patients/{patient}")
    page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(typed, exact=True)).to_be_visible()
    dialog.get_by_role("textbox").fill(typed)
    dialog.get_by_role("button", name="Delete").click()
    page.wait_for_url(f"{archive.address}/")
    expect(page.get_by_role("region", name="Messages")).to_contain_text("The patient was deleted")


def test_share_link_opens_the_study_in_another_profile(page: Page, archive: Archive, browser: Browser) -> None:
    open_study(archive, page, KOREAN)
    page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("1 day", exact=True).click()
    dialog.get_by_label("Password (optional)").fill(PASSWORD)
    dialog.get_by_role("button", name="Make the link").click()
    link = dialog.get_by_role("textbox", name="Link").input_value()
    with browser.new_context() as context:
        recipient = context.new_page()
        recipient.goto(link)
        recipient.get_by_label("Password").fill(PASSWORD)
        recipient.get_by_role("button", name="Open").click()
        expect(recipient.get_by_text("흉부 CT").first).to_be_visible()
    # it is shown once
    dialog.get_by_role("button", name="Done").click()
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Share").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Make the link")).to_be_visible()


def test_what_one_may_not_do_is_not_offered(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(VIEWER)
    open_study(archive, page, KOREAN)
    expect(page.get_by_role("link", name="Download ZIP")).to_be_visible()
    for name in ("Share", "More actions"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    cards(page).first.click()
    expect(page.get_by_role("dialog").get_by_role("link", name="Download ZIP")).to_be_visible()
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)


def test_hidden_and_absent_look_the_same(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(CONFINED)
    patient, [study, *_] = orthanc_ids(archive, JAPANESE)
    for kind, hidden in (("studies", study), ("patients", patient)):
        seen = []
        for orthanc_id in (hidden, ABSENT, "malformed"):
            page.goto(f"/{kind}/{orthanc_id}")
            expect(page.get_by_role("link", name="Worklist", exact=True)).to_be_visible()
            expect(page.get_by_text("It does not exist, or you may not see it.")).to_be_visible()
            seen.append((page.title(), page.locator("body").inner_text()))
        assert len(set(seen)) == 1
    open_study(archive, page, CONFINED_TO)
