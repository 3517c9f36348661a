"""The list of share links, and how one is revoked."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, expect

from tests.explorer.conftest import ADMINISTRATOR, CONFINED_TO, MANAGER, VIEWER, OpenPage, request

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

STUDY = "query ($id: String!) { studies(filter: {patientId: $id}) { nodes { orthancId } } }"
SHARE = """mutation($study: ID!, $expires: DateTime!) {
    shareStudy(input: {studyOrthancId: $study, actions: [VIEW, DOWNLOAD], expiresAt: $expires}) { share { url } } }"""
DESCRIPTION = "흉부 CT (조영 증강)"


def test_links_are_listed_and_revoked(page_as: OpenPage, browser: Browser) -> None:
    page = page_as(MANAGER)
    page.goto("/account")
    [study] = request(page, STUDY, id=CONFINED_TO)["studies"]["nodes"]
    expires = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    url = request(page, SHARE, study=study["orthancId"], expires=expires)["shareStudy"]["share"]["url"]
    with browser.new_context() as recipient:
        assert recipient.request.get(url).status == 200

    page.goto("/shares?show=open")
    link = page.locator("tbody tr")
    expect(link).to_have_count(1)
    for text in (DESCRIPTION, "홍 길동", "View and download", "Open"):
        expect(link).to_contain_text(text)
    # the link itself is nowhere: it was shown when it was made
    assert url.rsplit("/", 1)[-1] not in page.content()
    revoke = page.get_by_role("button", name=f"Revoke the link to {DESCRIPTION}")
    revoke.click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    revoke.click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("The link was revoked.")
    expect(revoke).to_have_count(0)
    with browser.new_context() as recipient:
        assert recipient.request.get(url).status == 404
    page.get_by_text("Ended", exact=True).click()
    page.wait_for_url("**/shares?show=ended")
    expect(link).to_contain_text("Revoked")

    others = page_as(ADMINISTRATOR)
    others.goto("/shares?show=ended")
    expect(others.get_by_text("There are no such links.")).to_be_visible()
    others.get_by_role("switch", name="Links of all users").check()
    others.wait_for_url("**everyone=yes")
    expect(others.locator("tbody tr")).to_contain_text(MANAGER.name)
    others.get_by_role("link", name="in the audit log").click()
    others.wait_for_url("**/audit?user=share**")


def test_share_links_are_not_offered_without_the_permission(page_as: OpenPage) -> None:
    page = page_as(VIEWER)
    page.goto("/shares")
    expect(page.get_by_role("alert")).to_have_text("You do not have permission to share studies.")
    expect(page.get_by_role("link", name="Status")).to_be_visible()
    expect(page.get_by_role("link", name="Share links")).to_have_count(0)
