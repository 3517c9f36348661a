"""The audit log: who did what to a study, filters in the URL, page after page, and as CSV."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.corpus import ask
from tests.explorer.conftest import ADMINISTRATOR, VIEWER, Archive, OpenPage, request

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

PAGE_SIZE = 5


@pytest.fixture
def page(page_as: OpenPage) -> Page:
    """A page of the administrator's, for which the log has pages of five events, and three of them at least."""

    def shorten(route: Route) -> None:
        body: Any = route.request.post_data_json
        if body["operationName"] == "AuditEvents":
            body["variables"]["first"] = PAGE_SIZE
        route.continue_(post_data=json.dumps(body))

    page = page_as()
    page.goto("/status")
    for _ in range(3 * PAGE_SIZE):
        request(page, "{ viewer { username } }")
    page.route("**/graphql/", shorten)
    return page


def rows(page: Page) -> Locator:
    return page.locator("tbody > tr")


def test_pages_never_repeat_an_event(page: Page) -> None:
    page.goto("/audit")
    for count in (1, 2, 3):
        expect(rows(page)).to_have_count(count * PAGE_SIZE)
        if count < 3:
            page.get_by_role("button", name="Show older events").click()
    for details in page.get_by_role("button", name="Details").all():
        details.click()
    numbers = [int(number) for number in page.locator("dt:text-is('Number') + dd").all_inner_texts()]
    assert len(numbers) == 3 * PAGE_SIZE
    assert numbers == sorted(set(numbers), reverse=True)


def test_filters_are_in_the_url(page: Page) -> None:
    page.goto("/audit")
    page.get_by_label("Outcome").select_option("Succeeded")
    page.get_by_label("User", exact=True).fill(ADMINISTRATOR.name)
    page.keyboard.press("Enter")
    page.get_by_role("combobox", name="Event").click()
    page.get_by_role("option", name="Logged in").click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page)).to_contain_text(ADMINISTRATOR.name)
    page.reload()
    expect(page.get_by_label("User", exact=True)).to_have_value(ADMINISTRATOR.name)
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Clear all filters").click()
    expect(rows(page)).to_have_count(PAGE_SIZE)
    page.go_back()
    expect(rows(page)).to_have_count(1)


def test_study_leads_to_who_viewed_it(page_as: OpenPage, archive: Archive) -> None:
    study = json.loads(ask(archive.orthanc, "/studies"))[0]
    other = page_as(VIEWER)
    other.goto(f"/studies/{study}")
    expect(other.get_by_role("heading", name="Series", exact=True)).to_be_visible()
    page = page_as(ADMINISTRATOR)
    page.goto(f"/studies/{study}")
    page.get_by_role("button", name="More actions").click()
    page.get_by_role("menuitem", name="Audit log").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Audit log of a study")
    viewed = rows(page).filter(has_text="Viewed").filter(has_text=VIEWER.name).first
    viewed.get_by_role("button", name=f"Show only: {VIEWER.name}").click()
    expect(page.get_by_label("User", exact=True)).to_have_value(VIEWER.name)
    # the rows from before stay until there are those of the user
    expect(rows(page).filter(has_not_text=VIEWER.name)).to_have_count(0)
    expect(rows(page).first).to_contain_text(VIEWER.name)


def test_csv_has_all_pages(page: Page, tmp_path: Path) -> None:
    page.goto("/audit")
    expect(rows(page)).to_have_count(PAGE_SIZE)
    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    download.value.save_as(tmp_path / "audit.csv")
    events = list(csv.DictReader(io.StringIO((tmp_path / "audit.csv").read_text("utf-8-sig"))))
    assert len(events) > 2 * PAGE_SIZE
    assert len({event["Number"] for event in events}) == len(events)
    assert ADMINISTRATOR.name in {event["User"] for event in events}


def test_audit_log_is_not_offered_without_the_permission(page_as: OpenPage) -> None:
    page = page_as(VIEWER)
    page.goto("/audit")
    expect(page.get_by_role("alert")).to_have_text("You do not have permission to view the audit log.")
    expect(page.get_by_role("link", name="Status")).to_be_visible()
    expect(page.get_by_role("link", name="Audit log")).to_have_count(0)
