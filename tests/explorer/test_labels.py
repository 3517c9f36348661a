"""Labels on the page: who may change them does so with the mouse and the keyboard, and finds studies by them."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.users import User, confine_to_label, make
from tests.corpus import ask, instance
from tests.explorer.conftest import CONFINED_TO, VIEWER, Archive, OpenPage, cards, further_patients
from tests.explorer.test_accessibility import OVERFLOW, open_study, patient_of, tab_to, violations

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.0"), pytest.mark.long]

PATIENT, OTHER = "P080", "P081"
OF_SCOPE = "ward-7"
LABELLER = User("labeller", ["Manager", "Of one patient"])


@pytest.fixture(scope="module", autouse=True)
def patients(archive: Archive) -> Iterator[None]:
    """Patients of this module's, a label that a scope names, and a Manager who sees one patient."""
    confine_to_label(archive.folder, OF_SCOPE)
    make(archive.folder, LABELLER)
    with further_patients(archive, [instance(80), instance(81)]):
        yield


@pytest.fixture(autouse=True)
def _labels(archive: Archive) -> Iterator[None]:
    """Let a test begin and end without labels, but for one at a study of another patient."""

    def clear() -> None:
        for level in ("patients", "studies", "series"):
            for one in json.loads(ask(archive.orthanc, f"/{level}?expand")):
                for label in one["Labels"]:
                    ask(archive.orthanc, f"/{level}/{one['ID']}/labels/{label}", "DELETE")

    clear()
    [other] = json.loads(ask(archive.orthanc, f"/patients/{patient_of(archive, OTHER)}/studies"))
    ask(archive.orthanc, f"/studies/{other['ID']}/labels/teaching", "PUT")
    yield
    clear()


def labels_of(archive: Archive, level: str, patient_id: str = PATIENT) -> list[str]:
    """Return the labels of a patient, or of their only study or series, in Orthanc."""
    path = f"/patients/{patient_of(archive, patient_id)}"
    answer = json.loads(ask(archive.orthanc, path if level == "patients" else f"{path}/{level}"))
    [one] = [answer] if level == "patients" else answer
    return sorted(one["Labels"])


def add(place: Page | Locator, label: str) -> None:
    """Add a label with the mouse."""
    place.get_by_role("button", name="Add label").click()
    place.get_by_role("combobox", name="New label").fill(label)
    place.get_by_role("button", name="Add", exact=True).click()
    expect(chip(place, label)).to_be_visible()
    place.get_by_role("button", name="Done").click()


def chip(place: Page | Locator, label: str) -> Locator:
    return place.get_by_role("list", name="Labels").get_by_text(label, exact=True)


def test_labels_of_study_series_and_patient_are_added_and_removed(page: Page, archive: Archive) -> None:
    open_study(archive, page, PATIENT)
    add(page, "urgent")
    assert labels_of(archive, "studies") == ["urgent"]
    cards(page).click()
    drawer = page.get_by_role("dialog")
    add(drawer, "artifact")
    assert labels_of(archive, "series") == ["artifact"]
    drawer.get_by_role("button", name="Close").click()
    # also on its card
    expect(cards(page)).to_contain_text("artifact")
    page.get_by_role("button", name="Remove the label urgent").click()
    expect(page.get_by_text("urgent", exact=True)).to_have_count(0)
    assert labels_of(archive, "studies") == []
    page.goto(f"/patients/{patient_of(archive, PATIENT)}")
    add(page, "vip")
    assert labels_of(archive, "patients") == ["vip"]
    page.reload()
    expect(chip(page, "vip")).to_be_visible()


def test_keyboard_is_enough(page: Page, archive: Archive) -> None:
    open_study(archive, page, PATIENT)
    opener = page.get_by_role("button", name="Add label")
    tab_to(page, opener)
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="New label")).to_be_focused()
    # what the archive has is suggested, although no study that was shown has it
    expect(page.get_by_role("option", name="teaching")).to_be_visible()
    page.keyboard.type("teach")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(chip(page, "teaching")).to_be_visible()
    page.get_by_role("combobox", name="New label").fill("")
    page.keyboard.type("second")
    page.keyboard.press("Enter")
    expect(chip(page, "second")).to_be_visible()
    expect(page.get_by_role("combobox", name="New label")).to_be_focused()
    expect(page.get_by_role("combobox", name="New label")).to_have_value("")
    assert labels_of(archive, "studies") == ["second", "teaching"]
    page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Remove the label teaching")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="The label teaching was removed.")).to_be_attached()
    expect(opener).to_be_focused()
    assert labels_of(archive, "studies") == ["second"]


def test_escape_in_the_drawer_closes_the_field_first(page: Page, archive: Archive) -> None:
    open_study(archive, page, PATIENT)
    cards(page).click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="Add label").click()
    expect(drawer.get_by_role("combobox", name="New label")).to_be_focused()
    page.keyboard.press("Escape")
    expect(drawer.get_by_role("button", name="Add label")).to_be_focused()
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()


@pytest.mark.parametrize("label", ["two words", "긴급", "<b>", "a/b", "*"])
def test_what_is_no_label_is_not_sent(page: Page, archive: Archive, label: str) -> None:
    open_study(archive, page, PATIENT)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.get_by_role("button", name="Add label").click()
    page.get_by_role("combobox", name="New label").fill(label)
    page.keyboard.press("Enter")
    expect(page.get_by_text("A label consists of letters (A–Z), digits, _ and -.")).to_be_visible()
    assert not any("addLabels" in one for one in sent)
    assert labels_of(archive, "studies") == []


def test_label_of_a_scope_is_rejected_with_the_reason(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(LABELLER)
    open_study(archive, page, CONFINED_TO)
    page.get_by_role("button", name="Add label").click()
    page.get_by_role("combobox", name="New label").fill(OF_SCOPE.upper())
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Messages")).to_contain_text("permission")
    expect(page.get_by_role("combobox", name="New label")).to_have_value(OF_SCOPE.upper())
    page.get_by_role("combobox", name="New label").fill("urgent")
    page.keyboard.press("Enter")
    expect(chip(page, "urgent")).to_be_visible()
    assert labels_of(archive, "studies", CONFINED_TO) == ["urgent"]


def test_who_may_not_change_labels_reads_them(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(VIEWER)
    open_study(archive, page, OTHER)
    expect(chip(page, "teaching")).to_be_visible()
    expect(page.get_by_role("button", name="label")).to_have_count(0)


def test_worklist_is_filtered_by_labels_that_are_suggested(page: Page, archive: Archive) -> None:
    page.goto("/?q=Nobody")
    page.get_by_role("textbox", name="Label").or_(page.get_by_role("combobox", name="Label")).first.click()
    page.get_by_role("option", name="teaching 1", exact=True).click()
    page.wait_for_url("**label=teaching**")
    page.goto("/?label=teaching")
    expect(page.get_by_role("status").filter(has_text="1 study")).to_be_visible()


def test_axe_finds_nothing_and_nothing_overflows(page_as: OpenPage, archive: Archive) -> None:
    page = page_as(viewport={"width": 360, "height": 740})
    open_study(archive, page, PATIENT)
    add(page, "W" * 64)
    add(page, "urgent")
    page.get_by_role("button", name="Add label").click()
    expect(page.get_by_role("option", name="teaching")).to_be_visible()
    assert page.evaluate(OVERFLOW) == [0, 0]
    assert violations(page) == []
    page.keyboard.press("Escape")
    assert violations(page) == []
