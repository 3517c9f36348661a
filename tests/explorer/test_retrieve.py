"""Searching another server, and retrieving a study from it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.access.archive import Target
from tests.corpus import ask
from tests.explorer.conftest import CONFINED, MANAGER, VIEWER, Archive, OpenPage

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

STUDY = Target.at(9)


@pytest.fixture(autouse=True)
def _only_the_samples(archive: Archive) -> Iterator[None]:
    """Remove what the test retrieves."""
    yield
    if STUDY.ids["studies"] in ask(archive.orthanc, "/studies").decode():
        ask(archive.orthanc, f"/studies/{STUDY.ids['studies']}", "DELETE")


def search(page: Page, source: str = "PACS") -> None:
    page.goto("/")
    page.get_by_role("link", name="Other servers").click()
    page.wait_for_url("**/retrieve")
    page.get_by_label("Server", exact=True).select_option(source)
    page.get_by_label("Patient name").fill("남궁" if source == "DEAD" else "Namgung")
    page.get_by_label("Patient name").press("Enter")


def test_a_study_is_found_retrieved_and_opened_with_the_keyboard(page_as: OpenPage) -> None:
    page = page_as(MANAGER)
    search(page)
    page.wait_for_url("**/retrieve?source=PACS&name=Namgung")
    row = page.get_by_role("table", name="Studies on PACS").locator("tbody tr")
    expect(row).to_have_count(1)
    for text in ("Namgung, Gildong", "남궁 길동", STUDY.patient_id, "Brain study 1", "A009-1", "CT", "2 instances"):
        expect(row).to_contain_text(text)
    button = row.get_by_role("button", name="Retrieve: Brain study 1")
    expect(button).to_have_text("Retrieve")
    button.focus()
    page.keyboard.press("Enter")
    expect(row.get_by_role("status")).to_have_text("Done")
    row.get_by_role("link", name="Open").click()
    page.wait_for_url(f"**/studies/{STUDY.ids['studies']}")
    expect(page.get_by_text("Brain study 1").first).to_be_visible()
    # the search is the address
    page.go_back()
    expect(page.get_by_label("Patient name")).to_have_value("Namgung")
    expect(row.get_by_role("link", name="Open")).to_be_visible()
    expect(row.get_by_role("button")).to_have_text("Retrieve again")
    page.get_by_role("link", name="Jobs").click()
    job = page.locator("tbody tr").first
    for text in ("Brain study 1", "Retrieve from PACS", "Done", "2 instances"):
        expect(job).to_contain_text(text)


def test_a_server_that_does_not_answer_is_told_and_a_search_needs_a_criterion(page_as: OpenPage) -> None:
    page = page_as(MANAGER)
    search(page, "DEAD")
    expect(page.get_by_text("The other server cannot be reached, or rejected the search.")).to_be_visible()
    assert "127.0.0.1:1" not in page.content()
    page.goto("/retrieve")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_text("Give at least one criterion.")).to_be_visible()
    assert page.url.endswith("/retrieve")


@pytest.mark.parametrize(
    ("language", "title", "button", "name"),
    [("ko", "다른 서버에서 찾기", "가져오기", "남궁 길동"), ("ja", "他のサーバで検索", "取得", "南宮 吉洞")],
)
def test_the_page_speaks_the_language(language: str, title: str, button: str, name: str, page_as: OpenPage) -> None:
    page = page_as(MANAGER, locale=language)
    page.goto("/retrieve?source=PACS&name=Namgung")
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    row = page.locator("tbody tr")
    expect(row.get_by_role("button")).to_have_text(button)
    expect(row).to_contain_text(name)


def test_names_in_any_script_and_modalities_in_lower_case_are_found(page_as: OpenPage) -> None:
    page = page_as(MANAGER)
    for name, modality in (("남궁", ""), ("南宮 吉洞", "ct"), ("Namgung, Gildong", "")):
        page.goto("/retrieve")
        page.get_by_label("Server", exact=True).select_option("PACS")
        page.get_by_label("Patient name").fill(name)
        page.get_by_label("Modality").fill(modality)
        page.get_by_label("Modality").press("Enter")
        expect(page.locator("tbody tr")).to_contain_text("남궁 길동")
    page.get_by_label("Modality").fill("mr")
    page.get_by_label("Modality").press("Enter")
    expect(page.get_by_text("The server has no such study.")).to_be_visible()


@pytest.mark.parametrize("user", [VIEWER, CONFINED], ids=["without the permission", "with a scope"])
def test_it_is_not_offered_to_those_who_may_not(user: object, page_as: OpenPage) -> None:
    page = page_as(user)
    page.goto("/retrieve")
    expect(page.get_by_role("alert")).to_have_text("You do not have permission to search other servers.")
    expect(page.get_by_role("link", name="Other servers")).to_have_count(0)
