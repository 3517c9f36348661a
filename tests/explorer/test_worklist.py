"""The worklist: search, state in the URL, order, keyboard, small screens, and what happens in the archive meanwhile."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.corpus import instance, load
from tests.explorer.conftest import Archive, OpenPage, further_patients, request

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

KOREAN = "洪 吉洞"
PATIENT = "query ($id: String!) { patients(filter: {patientId: $id}) { nodes { orthancId } } }"
# all but names and descriptions, which may be of any length
CUT_OFF = """() => [...document.querySelectorAll("[role=columnheader], [role=gridcell]")]
    .filter(({dataset}) => dataset.column !== "patient" && dataset.column !== "description")
    .filter((cell) => cell.scrollWidth > cell.clientWidth)
    .map((cell) => cell.textContent)"""
# beside a scroll bar of 15 px, which a headless browser does not show
OVERFLOW = """() => {
    const list = document.querySelector("[data-testid=worklist]");
    list.style.maxWidth = `${list.clientWidth - 15}px`;
    const overflow = list.scrollWidth - list.clientWidth;
    list.style.maxWidth = "";
    return overflow;
}"""
# marks stay for seconds only
NOTE_MARKS = """() => {
    globalThis.marks = [];
    const note = (row) => row.role === "row" && row.dataset.mark && marks.push([row.dataset.mark, row.textContent]);
    const observer = new MutationObserver((changes) => {
        for (const { target, addedNodes } of changes) [target, ...addedNodes].forEach(note);
    });
    const grid = document.querySelector("[role=grid]");
    observer.observe(grid, { subtree: true, childList: true, attributeFilter: ["data-mark"] });
}"""
DELETE = "mutation ($id: ID!) { deletePatient(orthancId: $id) { instancesCount } }"


@pytest.fixture
def page(page_as: OpenPage) -> Page:
    """The worklist, with its rows."""
    page = page_as()
    page.goto("/")
    expect(rows(page).first).to_be_visible()
    return page


def delete_patient(page: Page, patient_id: str) -> None:
    """Delete a patient, as another user would."""
    [patient] = request(page, PATIENT, id=patient_id)["patients"]["nodes"]
    request(page, DELETE, id=patient["orthancId"])


def rows(page: Page) -> Locator:
    return page.get_by_role("rowgroup").get_by_role("row")


def test_the_first_page_is_one_request(page_as: OpenPage) -> None:
    page = page_as()
    queries: list[str] = []
    page.on("request", lambda request: queries.append(request.post_data or "") if "/graphql" in request.url else None)
    page.goto("/")
    expect(rows(page).first).to_be_visible()
    # the corner asks for jobs once it knows who may have any: the rows don't wait for that
    assert len([query for query in queries if "subscription" not in query and "UnfinishedJobs" not in query]) == 1


def test_search_finds_a_name_in_any_script_and_the_url_keeps_it(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("홍길동")
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text(KOREAN)
    expect(page).to_have_url(re.compile("search="))
    page.reload()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("searchbox").fill("nobody of this name")
    expect(page.get_by_role("heading", name="No study matches")).to_be_visible()


def test_words_can_be_typed_slowly(page: Page) -> None:
    search = page.get_by_role("searchbox")
    search.press_sequentially("hong ")
    expect(page).to_have_url(re.compile("search=hong$"))
    search.press_sequentially("gil")
    expect(search).to_have_value("hong gil")
    patient_id = page.get_by_role("textbox", name="PatientID")
    patient_id.press_sequentially("KR ")
    expect(page).to_have_url(re.compile("patientId=KR$"))
    expect(patient_id).to_have_value("KR ")


def test_whoever_opens_a_study_while_typing_stays_there(page: Page) -> None:
    page.clock.install()
    page.clock.pause_at(datetime.now(UTC) + timedelta(hours=1))
    page.get_by_role("searchbox").press_sequentially("hong")
    rows(page).first.click()
    page.clock.run_for(1_000)
    expect(page.get_by_role("heading", name="Series", exact=True)).to_be_visible()
    expect(page).to_have_url(re.compile("/studies/"))


def test_filters_and_order_are_in_the_url_and_the_back_button_undoes_them(page: Page) -> None:
    count = rows(page).count()
    page.get_by_role("combobox", name="Modality").click()
    page.get_by_role("option", name="US", exact=True).click()
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Patient", exact=True).click()
    expect(page).to_have_url(re.compile("modality=US.*sort=name"))
    page.go_back()
    expect(page).to_have_url(re.compile("modality=US$"))
    page.go_back()
    expect(rows(page)).to_have_count(count)


def test_the_list_is_sorted_by_the_column_that_is_clicked(page: Page) -> None:
    header = page.get_by_role("columnheader", name="PatientID")
    for direction in ("ascending", "descending"):
        header.get_by_role("button").click()
        expect(header).to_have_attribute("aria-sort", direction)
        expect(page.get_by_role("grid")).to_have_attribute("aria-busy", "false")
        cells = page.get_by_role("rowgroup").locator("[data-column=patientId]").all_inner_texts()
        assert cells == sorted(cells, reverse=direction == "descending")


def test_a_column_can_be_any_tag(page: Page) -> None:
    page.get_by_role("button", name="Columns").click()
    page.get_by_role("combobox", name="DICOM tag").fill("KVP")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("columnheader", name="KVP")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text=KOREAN)).to_contain_text("120")


def test_the_arrow_keys_move_between_rows_and_enter_opens_a_study(page: Page) -> None:
    rows(page).first.focus()
    page.keyboard.press("ArrowDown")
    expect(rows(page).nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(rows(page).last).to_be_focused()
    page.keyboard.press("Home")
    expect(rows(page).first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("/studies/"))


def test_what_arrives_and_what_is_deleted_shows_without_a_reload(page: Page, archive: Archive) -> None:
    count = rows(page).count()
    page.evaluate(NOTE_MARKS)
    load(archive.orthanc, [instance(patient=77, StudyDate="20261129")])
    arrived = rows(page).filter(has_text="P077")
    expect(arrived).to_be_visible()
    expect(page.get_by_text(f"{count + 1} studies")).to_be_visible()
    delete_patient(page, "P077")
    expect(arrived).to_have_count(0)
    expect(page.get_by_text(f"{count} studies")).to_be_visible()
    marks = [mark for mark, text in page.evaluate("marks") if "P077" in text]
    assert (marks[0], marks[-1]) == ("arrived", "gone")


def test_what_nobody_tells_is_seen_within_a_minute(page_as: OpenPage, archive: Archive) -> None:
    with further_patients(archive, [instance(patient=77)]):
        page = page_as()
        page.clock.install()
        page.goto("/?patientId=P077")
        expect(rows(page)).to_have_count(1)
    # deleted behind the gateway, which has no index here
    page.clock.fast_forward(60_000)
    expect(rows(page)).to_have_count(0)


def test_a_search_can_be_saved(page: Page) -> None:
    page.get_by_role("textbox", name="PatientID").fill("KR")
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Saved searches").click()
    page.get_by_label("Name of this search").fill("Korean")
    page.get_by_role("button", name="Save", exact=True).click()
    page.goto("/")
    page.get_by_role("button", name="Saved searches").click()
    page.get_by_role("link", name="Korean").click()
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("patientId=KR"))


@pytest.mark.parametrize("locale", ["en-US", "ko-KR", "ja-JP"])
def test_no_column_is_cut_off(page_as: OpenPage, locale: str) -> None:
    # dates and times are longest in these
    page = page_as(locale=locale, viewport={"width": 1280, "height": 800})
    page.goto("/")
    expect(rows(page).first).to_be_visible()
    headers = page.get_by_role("columnheader")
    for width, count in ((1280, 8), (1024, 6), (993, 5), (769, 5)):
        page.set_viewport_size({"width": width, "height": 800})
        expect(headers).to_have_count(count)
        assert page.evaluate(CUT_OFF) == []
        assert page.evaluate(OVERFLOW) == 0
    # what somebody chooses is shown, however narrow the window is
    page.goto("/?columns=patient,arrival")
    expect(headers).to_have_count(2)


def test_tags_of_persons_and_days_are_formatted(page: Page) -> None:
    page.goto("/?patientId=KR-0001&columns=patient,tag:PatientName,tag:StudyDate,tag:StudyTime")
    expect(rows(page)).to_have_count(1)
    expect(rows(page).get_by_role("gridcell").nth(1)).to_have_text("Hong Gildong · 洪 吉洞 · 홍 길동")
    expect(rows(page).get_by_role("gridcell").nth(2)).to_have_text("11 Mar 2024")
    expect(rows(page).get_by_role("gridcell").nth(3)).to_have_text(re.compile(r"^09:32:\d\d$"))


def test_on_a_phone_studies_are_cards(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_role("columnheader")).to_have_count(0)
    box = rows(page).filter(has_text=KOREAN).bounding_box()
    assert box is not None
    assert box["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
