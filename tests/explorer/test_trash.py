"""Deleting into the trash on the page, and restoring from it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS
from tests.browser.users import make
from tests.corpus import instance, load
from tests.explorer.conftest import MANAGER, VIEWER, Archive, OpenPage
from tests.explorer.test_accessibility import OVERFLOW, choose, open_study, violations
from tests.orthancs import running_orthancs

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.0"), pytest.mark.long]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """An archive before a gateway with a trash."""
    folder = tmp_path_factory.mktemp("gateway")
    settings = {"ORTHANC_ANONYMOUS_ACTIONS": "", "ORTHANC_TRASH_DAYS": "30"}
    with running_orthancs() as start_orthanc:
        orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
        load(orthanc, [instance(1), instance(2, StudyDescription="흉부 CT")])
        with serving(orthanc.base_url, folder, settings=settings) as gateway:
            make(folder, MANAGER, VIEWER)
            yield Archive(orthanc, gateway.address, folder)


def delete(page: Page, archive: Archive, patient_id: str) -> None:
    """Put a study into the trash, with the keyboard."""
    open_study(archive, page, patient_id)
    choose(page, page.get_by_role("button", name="More actions"), "Delete")
    dialog = page.get_by_role("dialog", name="Delete the study?")
    expect(dialog).to_contain_text("into the trash. There it can be restored")
    dialog.get_by_role("textbox").fill(dialog.locator("bdi").inner_text())
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Messages")).to_contain_text("The study is in the trash, with 1 instance")


def test_a_study_is_deleted_into_the_trash_and_restored(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(MANAGER)
    delete(page, archive, "P002")
    expect(page.get_by_text("P001")).to_be_visible()
    expect(page.get_by_text("P002")).to_have_count(0)
    page.get_by_role("link", name="Trash").press("Enter")
    page.wait_for_url("**/trash")
    row = page.locator("tbody tr")
    expect(row).to_have_count(1)
    for text in ("흉부 CT", "P002", MANAGER.name):
        expect(row).to_contain_text(text)
    expect(page.get_by_text("After 30 days they are deleted for good.")).to_be_visible()
    assert violations(page) == []
    name, patient_id = row.get_by_text("Kim002, Minsu").bounding_box(), row.get_by_text("P002").bounding_box()
    assert name
    assert patient_id
    assert name["x"] + name["width"] + 8 <= patient_id["x"]
    page.set_viewport_size({"width": 360, "height": 740})
    expect(page.locator("thead")).to_be_hidden()
    assert page.evaluate(OVERFLOW) == [0, 0]
    row.get_by_role("button", name="Restore 흉부 CT").press("Enter")
    expect(page.get_by_role("region", name="Messages")).to_contain_text("The study is restored.")
    expect(page.get_by_text("The trash is empty.")).to_be_visible()
    assert violations(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    page.get_by_role("link", name="Worklist").click()
    expect(page.get_by_text("P002")).to_be_visible()


@pytest.mark.parametrize(("language", "title"), [("ko", "휴지통"), ("ja", "ごみ箱")])
def test_the_trash_is_in_each_language_and_fits_small_screens(
    language: str, title: str, page_as: OpenPage, archive: Archive
) -> None:
    page = page_as(MANAGER, locale=language, viewport={"width": 360, "height": 740})
    page.goto("/trash")
    expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
    assert page.evaluate(OVERFLOW) == [0, 0]


def test_the_trash_is_not_for_those_who_cannot_delete(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(VIEWER)
    page.goto("/trash")
    expect(page.get_by_role("alert")).to_contain_text("You do not have permission to delete and restore studies.")
    expect(page.get_by_role("link", name="Trash")).to_have_count(0)
