"""What is around every page: logging in, languages, colours, errors, and how much the browser loads."""

import gzip
import re

import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser.users import enter
from tests.explorer.conftest import MANAGER, POWERLESS, VIEWER, Archive, OpenPage
from tests.explorer.test_accessibility import AXE, FIND_VIOLATIONS, tab_to, violations

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

MAX_WORKLIST_SCRIPT_BYTES = 250_000
KOREAN = "吉洞"


def script_bytes(page: Page, path: str) -> int:
    """Return how many bytes of JavaScript a page loads, compressed."""
    scripts: list[Response] = []
    page.on("response", lambda response: scripts.append(response) if response.url.endswith(".js") else None)
    page.goto(path)
    expect(page.get_by_role("main")).to_contain_text(KOREAN)
    return sum(len(gzip.compress(script.body())) for script in scripts)


def test_anonymous_caller_logs_in_and_returns_to_the_page(page_as: OpenPage) -> None:
    page = page_as(None)
    page.goto("/status?from=a link")
    assert "/login/?next=/status%3Ffrom%3D" in page.url
    enter(page, VIEWER)
    page.wait_for_url("**/status?from=*")
    expect(page.get_by_role("heading", name="Status")).to_be_visible()


def test_session_that_ends_is_noticed_and_work_goes_on_after_a_login(page_as: OpenPage) -> None:
    page = page_as(None)
    page.goto("/login/?next=/status")
    enter(page, VIEWER)
    expect(page.get_by_role("heading", name="Archive")).to_be_visible()
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("link", name="Account").click()
    page.get_by_role("link", name="Status").click()
    dialog = page.get_by_role("dialog", name="Your session has ended")
    dialog.get_by_role("link", name="Log in").click()
    page.wait_for_url("**/login/?next=%2Fstatus")
    enter(page, VIEWER)
    expect(page.get_by_role("heading", name="Archive")).to_be_visible()


def test_user_logs_out_and_the_next_one_sees_nothing(page_as: OpenPage) -> None:
    page = page_as(None)
    page.goto("/login/?next=/account")
    enter(page, MANAGER)
    page.get_by_role("button", name="Account and settings: manager").click()
    page.get_by_role("menuitem", name="Log out").click()
    page.wait_for_url("**/login/?next=/")


def test_tabs_follow_who_is_logged_in(page_as: OpenPage, archive: Archive) -> None:
    # sessions of their own: those of `page_as` are other tests', too
    first = page_as(None)
    first.goto("/login/?next=/status")
    enter(first, VIEWER)
    expect(first.get_by_role("button", name=f"Account and settings: {VIEWER.name}")).to_be_visible()
    second = first.context.new_page()
    second.goto("/account")
    second.get_by_role("main").get_by_role("button", name="Log out").click()
    second.wait_for_url("**/login/?next=/")
    dialog = first.get_by_role("dialog", name="Your session has ended")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="I have logged in elsewhere").click()
    # nobody has, and the page stays for whoever does
    expect(dialog).to_be_visible()
    expect(first).to_have_url(f"{archive.address}/status")
    # as the same user, work goes on; as another one, nothing of the first stays
    enter(second, VIEWER)
    expect(dialog).to_have_count(0)
    second.goto("/account")
    second.get_by_role("main").get_by_role("button", name="Log out").click()
    second.wait_for_url("**/login/?next=/")
    enter(second, MANAGER)
    expect(first.get_by_role("button", name="Account and settings: manager")).to_be_visible()
    expect(dialog).to_have_count(0)


def test_account_of_a_user_without_permissions_is_shown(page_as: OpenPage) -> None:
    page = page_as(POWERLESS)
    page.goto("/account")
    expect(page.get_by_role("main")).to_contain_text("powerless")
    expect(page.get_by_role("main").get_by_role("button", name="Log out")).to_be_visible()


@pytest.mark.parametrize(
    ("locale", "title", "language"), [("en-GB", "Status", "en"), ("ko-KR", "상태", "ko"), ("ja-JP", "状態", "ja")]
)
def test_page_is_in_the_language_of_the_browser(page_as: OpenPage, locale: str, title: str, language: str) -> None:
    page = page_as(locale=locale)
    page.goto("/status")
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", language)


def test_choice_of_language_and_colours_stays_and_counts_for_the_login_page(page_as: OpenPage) -> None:
    page = page_as()
    page.goto("/account")
    page.get_by_text("日本語").click()
    page.get_by_text("ダーク").click()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.reload()
    expect(page.get_by_role("heading", name="アカウント", exact=True)).to_be_visible()
    expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", "dark")
    page.goto("/tokens/")
    expect(page.locator("html")).to_have_attribute("lang", "ja")


def test_error_is_a_sentence_with_the_id_of_the_request(page_as: OpenPage, archive: Archive) -> None:
    page = page_as()
    answer = '{"errors": [{"message": "…", "extensions": {"code": "ARCHIVE_UNAVAILABLE", "requestId": "0b5e"}}]}'
    page.route("**/graphql/", lambda route: route.fulfill(body=answer, content_type="application/json"))
    page.goto("/status")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("Orthanc is unavailable at the moment. Try again later.")
    expect(alert).to_contain_text("Request 0b5e")
    page.unroute("**/graphql/")
    alert.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Archive")).to_be_visible()


def test_lost_connection_is_shown_until_it_is_back(page_as: OpenPage) -> None:
    page = page_as()
    page.goto("/account")
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
    # what it asks for afterwards, too
    page.wait_for_load_state("networkidle")
    banner = page.get_by_text("You are offline.")
    expect(banner).to_have_count(0)
    page.context.set_offline(True)
    expect(banner).to_be_visible()
    page.context.set_offline(False)
    expect(banner).to_have_count(0)


def test_page_whose_code_cannot_be_loaded_says_so(page_as: OpenPage) -> None:
    page = page_as(problems=r"ERR_FAILED|dynamically imported module")
    page.goto("/account")
    page.route("**/assets/status-*.js", lambda route: route.abort())
    page.get_by_role("link", name="Status").click()
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("The gateway cannot be reached.")
    page.unroute("**/assets/status-*.js")
    alert.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Status", exact=True)).to_be_visible()


@pytest.mark.parametrize("path", ["/nowhere", "/studies", "/upload/x/%2e%E0"])
def test_unknown_address_is_told_in_the_frame_of_the_page(page_as: OpenPage, path: str) -> None:
    page = page_as(VIEWER, problems="404", locale="ko-KR")
    response = page.goto(path)
    assert response is not None
    assert response.status == 404
    expect(page.get_by_role("heading", level=1)).to_have_text("페이지를 찾을 수 없습니다")
    # of the frame, for those who may see anything
    expect(page.get_by_role("navigation").get_by_role("link", name="상태")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name="워크리스트로 이동").click()
    expect(page.get_by_role("main")).to_contain_text(KOREAN)


def test_unknown_address_is_told_to_those_who_are_not_logged_in(page_as: OpenPage) -> None:
    page = page_as(None, problems="404", locale="ja-JP", viewport={"width": 390, "height": 844})
    response = page.goto("/nowhere")
    assert response is not None
    assert response.status == 404
    expect(page.get_by_role("heading", name="ページが見つかりません")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.evaluate(AXE.read_text())
    assert page.evaluate(FIND_VIOLATIONS) == []
    page.get_by_role("link", name="ワークリストへ").click()
    page.wait_for_url("**/login/?next=/")


def test_search_box_leads_to_the_worklist(page: Page) -> None:
    page.goto("/account")
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("홍길동")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/\?search="))
    assert page.evaluate("new URLSearchParams(location.search).get('search')") == "홍길동"


def test_menu_opens_by_keyboard_on_a_phone(page_as: OpenPage) -> None:
    page = page_as(viewport={"width": 390, "height": 844})
    page.goto("/account")
    expect(page.get_by_role("heading", name="Account", exact=True)).to_be_visible()
    page.get_by_role("button", name="Open the menu").focus()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("dialog").get_by_role("link", name="Status"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Status", exact=True)).to_be_visible()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_worklist_loads_little_javascript(page: Page) -> None:
    assert 0 < script_bytes(page, "/") <= MAX_WORKLIST_SCRIPT_BYTES
