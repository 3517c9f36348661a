"""API tokens in a browser, in each language: logging in, creating a token, using it, and revoking it."""

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Browser, expect

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.browser.users import User, make

pytestmark = [pytest.mark.live, pytest.mark.once]

SERIOUS = ("error", "warning")
ADMINISTRATOR = User("관리자", is_superuser=True)


@pytest.fixture(scope="module")
def gateway(archive: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("gateway")
    with serving(archive.base_url, folder, settings={"ORTHANC_ANONYMOUS_ACTIONS": ""}) as gateway:
        make(folder, ADMINISTRATOR)
        yield gateway.address


def username(gateway: str, token: str) -> str:
    query = json.dumps({"query": "{ viewer { username } }"}).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = Request(f"{gateway}/graphql/", query, headers)  # noqa: S310 - it is HTTP
    with urlopen(request, timeout=30) as response:  # noqa: S310
        return str(json.load(response)["data"]["viewer"]["username"])


@pytest.mark.parametrize(
    ("locale", "log_in", "tokens", "create", "revoke"),
    [
        ("ko-KR", "로그인", "API 토큰", "토큰 만들기", "폐기"),
        ("ja-JP", "ログイン", "APIトークン", "トークンを作成", "取り消す"),
        ("en-US", "Log in", "API tokens", "Create a token", "Revoke"),
    ],
)
def test_token_authenticates_from_its_creation_to_its_revocation(
    browser: Browser, gateway: str, locale: str, log_in: str, tokens: str, create: str, revoke: str
) -> None:
    context = browser.new_context(locale=locale)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda line: problems.append(f"{line.text} {line.location}") if line.type in SERIOUS else None)
    page.goto(f"{gateway}/tokens/")
    page.locator("#id_username").fill(ADMINISTRATOR.name)
    page.locator("#id_password").fill(ADMINISTRATOR.password)
    page.get_by_role("button", name=log_in).click()
    page.wait_for_url(f"{gateway}/tokens/")
    # the page and GraphiQL lead to each other
    page.get_by_role("link", name="GraphiQL").click()
    page.get_by_role("link", name="API tokens", exact=True).click()
    expect(page.get_by_role("heading", name=tokens)).to_be_visible()
    # so does the admin site, in the same language
    page.goto(f"{gateway}/admin/")
    page.get_by_role("link", name=tokens, exact=True).click()
    expect(page.get_by_role("heading", name=tokens)).to_be_visible()
    page.get_by_role("button", name=create).click()
    token = page.locator("#token").inner_text()
    assert username(gateway, token) == ADMINISTRATOR.name
    page.goto(f"{gateway}/tokens/")
    expect(page.locator("#token")).to_have_count(0)
    page.get_by_role("button", name=revoke).click()
    expect(page.get_by_role("button", name=revoke)).to_have_count(0)
    with pytest.raises(HTTPError, match="401"):
        username(gateway, token)
    # the admin site has no icon
    assert [problem for problem in problems if "favicon" not in problem] == []
    context.close()
