"""Logins and logouts at the provider in Chromium, with a gateway as it is deployed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, free_port
from tests.browser.graphiql import TIMEOUT, chromium
from tests.browser.observer import REPORT_VIOLATIONS
from tests.browser.users import User, enter, make
from tests.corpus import load, sample_studies
from tests.identity.provider import CLIENT, SECRET, IdentityProvider
from tests.orthancs import running_orthancs

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

ROOT = User("root", is_superuser=True)
# what Chromium says of every page whose status is an error, and of the provider's own icon
EXPECTED = re.compile(r"Failed to load resource|favicon")


@dataclass(frozen=True)
class Deployment:
    """A gateway at which people must log in with the provider."""

    gateway: LocalGateway
    provider: IdentityProvider


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    secret = folder / "secret"
    secret.write_text(f"{SECRET}\n")
    port = free_port()
    with running_orthancs() as start_orthanc, IdentityProvider() as provider:
        provider.accept_logins(f"http://127.0.0.1:{port}")
        provider.set_account("anna-1", "anna", ["reader", "gateway-admin"])
        provider.set_account("ben-1", "ben", ["reader"])
        orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
        load(orthanc, sample_studies())
        settings = {
            "ORTHANC_ANONYMOUS_ACTIONS": "",
            "ORTHANC_OIDC_ISSUER": provider.issuer,
            "ORTHANC_OIDC_CLIENT_ID": CLIENT,
            "ORTHANC_OIDC_CLIENT_SECRET_FILE": str(secret),
            "ORTHANC_OIDC_ROLE_GROUPS": "reader=Viewer",
            "ORTHANC_OIDC_STAFF_ROLE": "gateway-admin",
            "ORTHANC_OIDC_REQUIRED": "true",
            "ORTHANC_OIDC_PASSWORD_USERS": ROOT.name,
            "no_proxy": "*",
        }
        with serving(orthanc.base_url, folder, port=port, settings=settings) as gateway:
            make(folder, ROOT)
            yield Deployment(gateway, provider)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser, deployment: Deployment) -> Iterator[BrowserContext]:
    """Yield a profile; the test fails for breaches of the content security policy and errors in the console."""
    context = browser.new_context(base_url=deployment.gateway.address, locale="en-GB")
    context.set_default_timeout(TIMEOUT)
    context.add_init_script(REPORT_VIOLATIONS)
    problems: list[str] = []
    context.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    yield context
    context.close()
    assert [problem for problem in problems if not EXPECTED.search(problem)] == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


def log_in_at_provider(page: Page, sub: str) -> None:
    page.locator("input[name=login]").fill(sub)
    page.locator("input[name=password]").fill("any")
    page.get_by_role("button", name="Sign-in").click()


def log_out_at_provider(page: Page) -> None:
    page.get_by_role("button", name="Yes, sign me out").click()


def username(page: Page) -> object:
    csrf = {cookie["name"]: cookie["value"] for cookie in page.context.cookies()}.get("csrftoken", "")
    body = {"query": "{ viewer { username } }"}
    return page.request.post("/graphql/", data=body, headers={"X-CSRFToken": csrf}).json()["data"]["viewer"]["username"]


def test_the_page_for_people_leads_to_the_provider_and_its_logout_does_too(page: Page, deployment: Deployment) -> None:
    page.goto("/?search=x")
    log_in_at_provider(page, "ben-1")
    page.wait_for_url(f"{deployment.gateway.address}/?search=x")
    menu = page.get_by_role("button", name="ben")
    expect(menu).to_be_visible()
    assert username(page) == "ben"
    menu.click()
    page.get_by_role("menuitem", name="Log out").click()
    log_out_at_provider(page)
    expect(page.get_by_role("heading", name="Logged out")).to_be_visible()
    assert page.url == f"{deployment.gateway.address}/sso/logged-out/"
    assert username(page) is None
    # the login asks for the password again
    page.get_by_role("link", name="Log in").click()
    expect(page.locator("input[name=password]")).to_be_visible()


def test_graphiql_and_the_admin_site_take_the_same_login(page: Page, deployment: Deployment) -> None:
    page.goto("/login/?next=/graphql/")
    log_in_at_provider(page, "anna-1")
    expect(page.locator(".graphiql-logo .username")).to_have_text("anna")
    page.goto("/admin/")
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    # a form, whose page forbids forms that lead elsewhere
    page.get_by_role("button", name="Log out").click()
    log_out_at_provider(page)
    expect(page.get_by_role("heading", name="Logged out")).to_be_visible()
    page.goto("/admin/")
    log_in_at_provider(page, "anna-1")
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    page.goto("/graphql/")
    page.get_by_role("button", name="Log out").click()
    log_out_at_provider(page)
    page.wait_for_url("**/sso/logged-out/")
    assert username(page) is None


def test_a_person_without_access_to_the_admin_site_is_told_so(page: Page) -> None:
    page.goto("/admin/")
    log_in_at_provider(page, "ben-1")
    expect(page.get_by_role("alert")).to_contain_text("ben")


def test_a_logout_at_the_provider_ends_the_session_of_an_open_page(
    context: BrowserContext, deployment: Deployment
) -> None:
    page = context.new_page()
    page.goto("/")
    log_in_at_provider(page, "ben-1")
    expect(page.get_by_role("button", name="ben")).to_be_visible()
    elsewhere = context.new_page()
    elsewhere.goto(f"{deployment.provider.base_url}/session/end")
    log_out_at_provider(elsewhere)
    expect(elsewhere.get_by_text("Sign-out Success")).to_be_visible()
    assert username(page) is None
    # the stream of changes has ended
    expect(page.get_by_role("dialog")).to_contain_text("Log in")


def test_a_password_is_for_when_the_provider_is_down(page: Page) -> None:
    page.goto("/login/?password=yes&next=/admin/")
    enter(page, ROOT)
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()


def test_a_gateway_starts_and_is_ready_without_its_provider(tmp_path: Path) -> None:
    settings = {
        "ORTHANC_OIDC_ISSUER": f"http://127.0.0.1:{free_port()}",
        "ORTHANC_OIDC_CLIENT_ID": CLIENT,
        "ORTHANC_OIDC_REQUIRED": "true",
        "no_proxy": "*",
    }
    with running_orthancs() as start_orthanc, serving(start_orthanc().base_url, tmp_path, settings=settings) as gateway:
        with urlopen(f"{gateway.address}/readyz", timeout=10) as response:  # noqa: S310  it is HTTP
            assert response.status == 200
        with pytest.raises(HTTPError) as caught:
            urlopen(f"{gateway.address}/login/", timeout=10)  # noqa: S310
        assert (caught.value.code, caught.value.headers["Retry-After"]) == (503, "5")
        assert "Traceback" not in gateway.log.read_text()
