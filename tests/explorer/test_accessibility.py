"""All pages: what axe finds, the keyboard, small screens in three languages, and studies that are hard to show."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from orthancproxy.sandbox.gateway import CHECKOUT
from tests.corpus import ask, instance
from tests.explorer.conftest import NOBODY, Archive, OpenPage, cards, further_patients

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

AXE = Path(CHECKOUT, "orthancproxy/web/node_modules/axe-core/axe.min.js")
NAMES = {
    "P070": """<img src=x onerror="window.hit=1">^<script>window.hit=1</script>""",
    "P071": "\u202e\u05d3\u05d5\u05d3=\u0645\u062d\u0645\u062f^\u0639\u0644\u064a",
    "P072": "W" * 250,
    "P073": "",
    "P077": "W" * 300,
}
"""HTML, from right to left with an override, without a place to break, and none.

Orthanc keeps no value of more than 256 characters in its index: the last has no name there, only in its file.
"""
MAX_INDEXED = 256
SERIES = 300
INSTANCES = 2_000
PATHS = {
    "worklist": "/?columns=patient,description,modalities,tag:StudyComments",
    "study": "/studies/{study}",
    "patient": "/patients/{patient}",
    "tags": "/studies/{study}?series={series}&instance={instance}",
    "viewer": "/studies/{study}/view",
    "upload": "/upload",
    "retrieve": "/retrieve?source=PACS&name=Hong",
    "jobs": "/jobs?everyone=yes",
    "shares": "/shares?everyone=yes",
    "audit": "/audit",
    "status": "/status",
    "account": "/account",
}
FIND_VIOLATIONS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
    .filter(({impact}) => impact === "serious" || impact === "critical")
    .flatMap(({id, nodes}) => nodes.map(({html, any}) => `${id}: ${html.slice(0, 200)} ${any[0]?.message ?? ""}`))"""
# the page must not scroll sideways: only what has a scroll bar of its own may be wider than the window
OVERFLOW = """() => [document.documentElement, document.querySelector("#content")]
    .map((element) => element.scrollWidth - element.clientWidth)"""
# text that is wider than its cell or button is cut off, or lies over what is beside it
CUT_OFF = """() => [...document.querySelectorAll("td, th, button, [class*=Badge-label], [class*=Button-label]")]
    .filter((element) => element.offsetParent && element.scrollWidth > element.clientWidth + 1)
    .map((element) => element.textContent.slice(0, 100))"""


@pytest.fixture(scope="module", autouse=True)
def difficult(archive: Archive) -> Iterator[dict[str, str]]:
    """Patients with difficult names and large studies; the Orthanc ids for the paths are of the longest name."""
    files = [
        *(
            instance(
                int(patient[1:]), PatientID=patient, PatientName=name, StudyDescription=name, SeriesDescription=name
            )
            for patient, name in NAMES.items()
        ),
        *(instance(74, series=series) for series in range(1, SERIES + 1)),
        *(instance(75, number=number) for number in range(1, INSTANCES + 1)),
    ]
    with further_patients(archive, files):
        patient = patient_of(archive, "P072")
        ids = {"patient": patient}
        for level, path in (("study", "studies"), ("series", "series")):
            [ids[level]] = [one["ID"] for one in json.loads(ask(archive.orthanc, f"/patients/{patient}/{path}"))]
        [instance_of_series] = json.loads(ask(archive.orthanc, f"/patients/{patient}/instances"))
        ids["instance"] = instance_of_series["MainDicomTags"]["SOPInstanceUID"]
        yield ids


def patient_of(archive: Archive, patient_id: str) -> str:
    """Return the Orthanc id of a patient."""
    patients = json.loads(ask(archive.orthanc, "/patients?expand"))
    [found] = [one["ID"] for one in patients if one["MainDicomTags"].get("PatientID") == patient_id]
    return str(found)


def open_study(archive: Archive, page: Page, patient_id: str) -> None:
    [study] = json.loads(ask(archive.orthanc, f"/patients/{patient_of(archive, patient_id)}/studies"))
    page.goto(f"/studies/{study['ID']}")
    expect(page.get_by_role("heading", name="Series", exact=True)).to_be_visible()


def settle(page: Page) -> None:
    """Wait until the page has its data, and nothing moves."""
    expect(page.get_by_role("heading", level=1).first).to_be_visible()
    expect(page.locator("[role=status][aria-label], [aria-busy=true]")).to_have_count(0)
    page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running')")


def violations(page: Page) -> list[str]:
    """Return what axe finds serious in light and dark."""
    settle(page)
    page.evaluate(AXE.read_text())
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
        settle(page)
        found += [f"{scheme}: {violation}" for violation in page.evaluate(FIND_VIOLATIONS)]
    return found


def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    """Press Tab, or Shift+Tab, until an element has the focus."""
    expect(target).to_be_visible()
    for _ in range(60):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press(key)
    raise AssertionError(f"Not reached by {key}: {target}")


def choose(page: Page, button: Locator, item: str) -> None:
    """Open a menu with the keyboard, and press Enter on an item."""
    button.press("Enter")
    # before it has the focus, keys are not for it
    expect(page.get_by_role("menu").locator(":focus, :scope:focus")).to_have_count(1)
    target = page.get_by_role("menuitem", name=item)
    for _ in range(20):
        if target.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
        page.keyboard.press("ArrowDown")
    raise AssertionError(f"Not reached by arrow keys: {item}")


@pytest.mark.parametrize("name", PATHS)
def test_axe_finds_nothing_serious(page: Page, difficult: dict[str, str], name: str) -> None:
    page.goto(PATHS[name].format(**difficult))
    assert violations(page) == []


def test_axe_finds_nothing_serious_in_dialogs(page: Page, difficult: dict[str, str]) -> None:
    found = {}
    page.goto(PATHS["study"].format(**difficult))
    for name in ("Share", "Anonymize…", "Delete"):
        if name != "Share":
            page.get_by_role("button", name="More actions").click()
            found["menu"] = violations(page)
            page.get_by_role("menuitem", name=name).click()
        else:
            page.get_by_role("button", name=name).click()
        expect(page.get_by_role("dialog")).to_be_visible()
        found[name] = violations(page)
        if name == "Anonymize…":
            page.get_by_role("dialog").get_by_role("button", name="Preview").click()
            expect(page.get_by_role("dialog").get_by_role("table")).to_be_visible()
            found["preview"] = violations(page)
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.goto(PATHS["worklist"])
    for name in ("Columns", "Saved searches", "Account and settings"):
        page.get_by_role("button", name=name).click()
        expect(page.get_by_role("dialog").or_(page.get_by_role("menu"))).to_be_visible()
        found[name] = violations(page)
        page.keyboard.press("Escape")
    assert not any(found.values()), found


@pytest.mark.parametrize(("language", "locale"), [("en", "en-GB"), ("ko", "ko-KR"), ("ja", "ja-JP")])
def test_small_screens_do_not_scroll_sideways(
    page_as: OpenPage, difficult: dict[str, str], language: str, locale: str
) -> None:
    page = page_as(viewport={"width": 390, "height": 844}, locale=locale)
    too_wide = {}
    for name, path in PATHS.items():
        page.goto(path.format(**difficult))
        settle(page)
        expect(page.locator("html")).to_have_attribute("lang", language)
        if any(page.evaluate(OVERFLOW)):
            too_wide[name] = page.evaluate(OVERFLOW)
        elif name in ("retrieve", "jobs", "shares", "audit", "account") and page.evaluate(CUT_OFF):
            too_wide[name] = page.evaluate(CUT_OFF)
    assert too_wide == {}


def test_api_tokens_fit_small_screens(page_as: OpenPage) -> None:
    page = page_as(viewport={"width": 390, "height": 844}, locale="ja-JP")
    page.goto("/tokens/")
    page.get_by_role("button", name="トークンを作成").click()
    expect(page.get_by_role("button", name="取り消す").first).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_study_is_found_read_and_deleted_by_keyboard(page: Page, archive: Archive) -> None:
    with further_patients(archive, [instance(76, StudyDate="20261128")]):
        page.goto("/")
        expect(page.get_by_role("rowgroup").get_by_role("row").first).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("P076")
        row = page.get_by_role("rowgroup").get_by_role("row")
        expect(row).to_have_count(1)
        tab_to(page, row)
        page.keyboard.press("Enter")
        page.wait_for_url("**/studies/*")
        tab_to(page, cards(page))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("dialog").get_by_role("button", name="Show the tags"))
        page.keyboard.press("Enter")
        tab_to(page, page.get_by_role("textbox", name="Search tags"))
        page.keyboard.type("PatientName")
        expect(page.get_by_role("dialog").get_by_role("row").last).to_contain_text("Kim076")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
        more = page.get_by_role("button", name="More actions")
        tab_to(page, more)
        choose(page, more, "Delete")
        expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
        page.keyboard.type("kim076, minsu")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{archive.address}/")
        expect(page.get_by_role("region", name="Messages")).to_contain_text("The study was deleted")


@pytest.mark.parametrize("patient_id", NAMES)
def test_names_are_text_whatever_is_in_them(page: Page, archive: Archive, patient_id: str) -> None:
    name = NAMES[patient_id]
    indexed = name if len(name) <= MAX_INDEXED else ""
    page.goto(f"/?patientId={patient_id}")
    row = page.get_by_role("rowgroup").get_by_role("row")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(indexed.split("^")[0].split("=")[0] or "No name")
    open_study(archive, page, patient_id)
    expect(page.get_by_role("heading", level=1)).to_have_text(indexed or "No description")
    cards(page).click()
    page.get_by_role("button", name="Show the tags").click()
    expect(page.get_by_role("row").filter(has_text="StudyDescription")).to_contain_text(name)
    assert page.evaluate("window.hit") is None


def test_study_of_300_series_and_series_of_2000_instances_are_shown(page: Page, archive: Archive) -> None:
    open_study(archive, page, "P074")
    expect(cards(page)).to_have_count(SERIES)
    open_study(archive, page, "P075")
    cards(page).click()
    instances = page.get_by_role("dialog").get_by_role("region", name="Instances")
    expect(instances.get_by_role("button").first).to_be_visible()
    instances.evaluate("region => region.scrollTop = region.scrollHeight")
    last = page.get_by_role("button", name="Show the tags of Instance 2,000", exact=True)
    expect(last).to_be_visible()


def test_archive_without_studies_says_so(page_as: OpenPage) -> None:
    page = page_as(NOBODY)
    page.goto("/")
    expect(page.get_by_role("main").get_by_role("heading", name="The archive is empty")).to_be_visible()
    assert violations(page) == []
