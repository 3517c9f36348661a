"""The upload page: what will happen, progress, outages, reloads, ZIPs, the keyboard, and callers without permission."""

import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS
from tests.browser.users import User, make
from tests.corpus import ask, instance, load
from tests.explorer.conftest import VIEWER, Archive, OpenPage
from tests.orthancs import running_orthancs

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

UPLOADER = User("uploader", ["Uploader"])
FIRST_SERIES, SECOND_SERIES = 120, 79
OUTAGE = r"503|ERR_|ARCHIVE_UNAVAILABLE"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive of its own, which the tests kill and fill."""
    folder = tmp_path_factory.mktemp("gateway")
    with running_orthancs() as start_orthanc:
        orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
        load(orthanc, [instance(1, study=9), instance(5, study=9, PatientName="Lee^Other")])
        with serving(orthanc.base_url, folder, settings={"ORTHANC_ANONYMOUS_ACTIONS": ""}) as gateway:
            make(folder, UPLOADER, VIEWER)
            yield Archive(orthanc, gateway.address, folder)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 200 files in two folders: the last nine images name another patient, and one file is not DICOM."""
    root = tmp_path_factory.mktemp("study") / "Brain MRI"
    for series, (folder, count) in enumerate([("T1 axial", FIRST_SERIES), ("T2", SECOND_SERIES)], 1):
        (root / folder).mkdir(parents=True)
        for number in range(1, count + 1):
            is_of_another = series == 2 and number > 70
            other: dict[str, Any] = {"PatientID": "P777", "PatientName": "Park^Jisoo=朴^智秀"} if is_of_another else {}
            (root / folder / f"IM{number}.dcm").write_bytes(instance(series=series, number=number, **other))
    (root / "T2" / "notes.txt").write_text("not an image")
    return root


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ZIP of a study of the patient whose ID the archive has under another name."""
    path = tmp_path_factory.mktemp("zip") / "CD.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(1, 21):
            file.writestr(f"IMAGES/S1/IM{number}", instance(5, number=number))
        file.writestr("AUTORUN.INF", "[autorun]")
    return path


def open_upload(page: Page) -> None:
    page.goto("/upload")
    expect(page.get_by_text("Drop folders, files or ZIPs here")).to_be_visible()


def choose_folder(page: Page, folder: Path) -> None:
    page.locator("input[webkitdirectory]").set_input_files(folder)


def start(page: Page) -> None:
    page.get_by_role("button", name="Upload", exact=True).click()


def drag(page: Page, kind: str, *paths: Path) -> None:
    """Drag files over the middle of the page as from a file manager; `kind` is dragEnter, dragOver or drop."""
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    page.context.new_cdp_session(page).send("Input.dispatchDragEvent", {"type": kind, "x": 700, "y": 450, "data": data})


def is_chunk(route: Route) -> bool:
    return "multipart" in (route.request.headers.get("content-type") or "")


def studies(archive: Archive, patient_id: str) -> list[str]:
    """The Orthanc ids of a patient's studies."""
    patients = json.loads(ask(archive.orthanc, "/patients?expand"))
    [found] = [one["Studies"] for one in patients if one["MainDicomTags"]["PatientID"] == patient_id]
    return list(found)


def instances_of_studies(archive: Archive, patient_id: str) -> Sequence[int]:
    """How many instances Orthanc has of each study of a patient."""
    statistics = (ask(archive.orthanc, f"/studies/{study}/statistics") for study in studies(archive, patient_id))
    return sorted(json.loads(one)["CountInstances"] for one in statistics)


def test_folder_is_reviewed_and_stored_although_orthanc_dies_in_the_middle(
    page_as: OpenPage, archive: Archive, study: Path
) -> None:
    page = page_as(UPLOADER, problems=OUTAGE)
    open_upload(page)
    choose_folder(page, study)
    # what will happen
    expect(page.get_by_text("One new study: 2 series · 199 files")).to_be_visible()
    expect(page.get_by_role("combobox", name="Patient ID")).to_have_value("P001")
    expect(page.get_by_text("This patient is in the archive:")).to_be_visible()
    expect(page.get_by_role("row", name="Brain MRI/T1 axial Series 1 CT 120")).to_be_visible()
    expect(page.get_by_role("listitem").filter(has_text="Park Jisoo · 朴 智秀 P777")).to_contain_text("9 files")
    expect(page.get_by_text("may be rejected: notes.txt")).to_be_visible()
    page.get_by_role("textbox", name="Study description").fill("뇌 MRI")
    # what happens
    chunks: list[int] = []

    def kill_at_the_third(route: Route) -> None:
        if is_chunk(route):
            chunks.append(1)
            if len(chunks) == 3:
                archive.orthanc.kill()
        route.continue_()

    page.route("**/graphql/", kill_at_the_third)
    start(page)
    expect(page.get_by_text("The upload goes on when it is back.")).to_be_visible()
    # on another page, too
    page.get_by_role("link", name="Account", exact=True).click()
    archive.orthanc.start()
    expect(page.get_by_role("link", name="Upload")).to_have_text("Upload")
    page.get_by_role("link", name="Upload").click()
    expect(page.get_by_text("Finished. 199 files are stored. 1 is not.")).to_be_visible()
    expect(page.get_by_text("2 patient IDs, 2 patient names")).to_be_visible()
    page.get_by_text("Not stored 1").click()
    files = page.get_by_role("region", name="Files", exact=True).get_by_role("listitem")
    expect(files).to_have_count(1)
    expect(files).to_contain_text("notes.txt")
    expect(files).to_contain_text("The file is not DICOM.")
    assert 199 in instances_of_studies(archive, "P001")
    page.get_by_role("link", name="Go to the study").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("뇌 MRI")
    expect(page.get_by_role("main")).to_contain_text("199")


def test_upload_goes_on_after_a_reload_and_stores_nothing_twice(
    page_as: OpenPage, archive: Archive, tmp_path: Path
) -> None:
    for number in range(1, 121):
        (tmp_path / f"IM{number}").write_bytes(instance(3, number=number))
    page = page_as(UPLOADER)
    open_upload(page)
    chunks: list[Route] = []

    def hold_all_but_the_first(route: Route) -> None:
        if is_chunk(route):
            chunks.append(route)
        if not is_chunk(route) or len(chunks) == 1:
            route.continue_()

    page.route("**/graphql/", hold_all_but_the_first)
    choose_folder(page, tmp_path)
    start(page)
    expect(page.get_by_text("50 of 120 files")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    page.unroute("**/graphql/")
    page.reload()
    unfinished = page.get_by_role("region", name="Unfinished uploads")
    expect(unfinished.get_by_role("listitem")).to_contain_text("Kim003 Minsu")
    expect(unfinished.get_by_role("listitem")).to_contain_text("50 of 120 files")
    # by whatever means they are chosen
    for kind in ("dragEnter", "dragOver", "drop"):
        drag(page, kind, tmp_path)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Finished. 120 files are stored.")).to_be_visible()
    assert instances_of_studies(archive, "P003") == [120]
    page.get_by_role("button", name="Upload another study").click()
    expect(page.get_by_role("button", name="Choose a folder")).to_be_visible()
    expect(unfinished).to_have_count(0)


def test_zip_is_dropped_on_another_page_and_looked_into(
    page_as: OpenPage, archive: Archive, compressed: Path, tmp_path: Path
) -> None:
    page = page_as(UPLOADER)
    page.goto("/account")
    expect(page.get_by_role("link", name="Upload")).to_be_visible()
    for kind in ("dragEnter", "dragOver", "drop"):
        drag(page, kind, tmp_path)
    expect(page.get_by_text("There are no files in what you dropped.")).to_be_visible()
    page.goto("/account")
    expect(page.get_by_role("link", name="Upload")).to_be_visible()
    drag(page, "dragEnter", compressed)
    drag(page, "dragOver", compressed)
    expect(page.get_by_text("Release to upload")).to_be_visible()
    drag(page, "drop", compressed)
    expect(page).to_have_url(f"{archive.address}/upload")
    expect(page.get_by_text("Release to upload")).to_have_count(0)
    expect(page.get_by_role("row", name="IMAGES/S1 Series 1 CT 20")).to_be_visible()
    expect(page.get_by_text("The archive has this patient ID under another name: Lee Other")).to_be_visible()
    # the archive finds patients by their names
    patient_id = page.get_by_role("combobox", name="Patient ID")
    patient_id.fill("kim001")
    page.get_by_role("option", name="P001").click()
    expect(patient_id).to_have_value("P001")
    expect(page.get_by_role("textbox", name="Patient name")).to_have_value("Kim001^Minsu=金1^民洙=김1^민수")
    page.get_by_role("button", name="Use this patient: Kim005 Minsu").click()
    expect(patient_id).to_have_value("P005")
    start(page)
    expect(page.get_by_text("Finished. 20 files are stored. 1 is not.")).to_be_visible()
    rows = page.get_by_role("region", name="Files", exact=True).get_by_role("listitem")
    expect(rows.first).to_contain_text("Stored in part")
    expect(rows.last).to_contain_text("AUTORUN.INF")
    expect(rows.last).to_contain_text("The file is not DICOM.")
    assert instances_of_studies(archive, "P005") == [1, 20]


def test_file_is_uploaded_by_keyboard_on_a_phone(page_as: OpenPage, archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(instance(4, PatientID=None, PatientName=None))
    page = page_as(UPLOADER, viewport={"width": 390, "height": 844})
    # before the page is opened: Chromium begins to hand over its dialogs a moment after Playwright has asked for them
    with page.expect_file_chooser() as chooser:
        open_upload(page)
        page.get_by_role("button", name="Choose files").focus()
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "one.dcm")
    upload = page.get_by_role("button", name="Upload", exact=True)
    expect(page.get_by_text("One new study: 1 series · 1 file")).to_be_visible()
    expect(upload).to_be_disabled()
    page.get_by_role("combobox", name="Patient ID").focus()
    # a backslash separates values in DICOM: the gateway rejects it, and the values can be corrected
    page.keyboard.type("P\\4")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="Correct the details").focus()
    page.keyboard.press("Enter")
    patient_id = page.get_by_role("combobox", name="Patient ID")
    expect(patient_id).to_have_value("P\\4")
    patient_id.fill("P004")
    expect(upload).to_be_enabled()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Finished. 1 file is stored.")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("link", name="Go to the study").focus()
    page.keyboard.press("Enter")
    [stored] = studies(archive, "P004")
    expect(page).to_have_url(f"{archive.address}/studies/{stored}")


def test_upload_is_not_offered_without_the_permission(page_as: OpenPage, compressed: Path) -> None:
    page = page_as(VIEWER)
    page.goto("/account")
    expect(page.get_by_role("link", name="Worklist")).to_be_visible()
    expect(page.get_by_role("link", name="Upload")).to_have_count(0)
    drag(page, "dragEnter", compressed)
    drag(page, "dragOver", compressed)
    drag(page, "drop", compressed)
    expect(page.get_by_text("Release to upload")).to_have_count(0)
    page.goto("/upload")
    expect(page.get_by_role("alert")).to_have_text("You do not have the permission for this.")
    expect(page.locator("input[type=file]")).to_have_count(0)
