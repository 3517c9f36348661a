"""Logging in and out in a browser, and using GraphiQL with a session."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.browser.graphiql import GraphiQL, graphiql_page
from tests.browser.users import PASSWORD, User, enter, make
from tests.corpus import ask, load, sample_studies
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.long]

VIEWER = User("김민수", ["Viewer"])
MANAGER = User("manager", ["Manager"])
ADMINISTRATOR = User("root", is_superuser=True)
CLOSED = {"ORTHANC_ANONYMOUS_ACTIONS": ""}
WHO = "query Who { viewer { username actions } }"


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, sample_studies())
    return orthanc


@pytest.fixture(scope="module")
def gateway(orthanc: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway without permissions for anonymous callers."""
    folder = tmp_path_factory.mktemp("gateway")
    with serving(orthanc.base_url, folder, settings=CLOSED) as gateway:
        make(folder, VIEWER, MANAGER, ADMINISTRATOR)
        yield gateway.address


@pytest.fixture
def page(graphiql: GraphiQL) -> Page:
    """The same page, for what is not GraphiQL."""
    return graphiql.page


def deletion(orthanc: LocalOrthanc, *, dry_run: bool) -> str:
    series = json.loads(ask(orthanc, "/series"))[0]
    return (
        f'mutation Delete {{ deleteSeries(orthancId: "{series}", dryRun: {str(dry_run).lower()}) '
        "{ dryRun instancesCount } }"
    )


def code(graphiql: GraphiQL, operation: str) -> str:
    """The code of the only error, which the result pane shows."""
    [error] = graphiql.execute(operation)["errors"]
    found: str = error["extensions"]["code"]
    expect(graphiql.result.filter(has_text=f'"code": "{found}"')).to_be_visible()
    return found


def cookie(context: BrowserContext, name: str) -> dict[str, object] | None:
    return next((dict(one) for one in context.cookies() if one.get("name") == name), None)


def test_a_viewer_logs_in_reads_and_logs_out(graphiql: GraphiQL, orthanc: LocalOrthanc) -> None:
    graphiql.open()
    assert graphiql.account() == ["Log in"]
    assert code(graphiql, "Hierarchy") == "UNAUTHENTICATED"

    graphiql.log_in(VIEWER)
    assert graphiql.account() == [VIEWER.name, "API tokens", "Log out"]
    assert graphiql.execute("Hierarchy")["data"]["patients"]["totalCount"] == 5
    graphiql.write(WHO)
    assert graphiql.execute("Who")["data"]["viewer"] == {"username": VIEWER.name, "actions": ["VIEW", "DOWNLOAD"]}
    before = ask(orthanc, "/statistics")
    graphiql.write(deletion(orthanc, dry_run=False))
    assert code(graphiql, "Delete") == "FORBIDDEN"
    assert ask(orthanc, "/statistics") == before

    graphiql.log_out()
    assert graphiql.account() == ["Log in"]
    assert code(graphiql, "Hierarchy") == "UNAUTHENTICATED"
    assert graphiql.problems == []
    assert graphiql.refused == []


def test_a_manager_sees_what_would_be_deleted(graphiql: GraphiQL, orthanc: LocalOrthanc) -> None:
    graphiql.open()
    graphiql.log_in(MANAGER)
    before = ask(orthanc, "/statistics")
    graphiql.write(deletion(orthanc, dry_run=True))
    answer = graphiql.execute("Delete")
    assert answer["data"]["deleteSeries"]["dryRun"] is True
    assert answer["data"]["deleteSeries"]["instancesCount"] > 0
    assert ask(orthanc, "/statistics") == before
    assert graphiql.problems == []


def test_editor_contents_survive_login_and_not_logout(graphiql: GraphiQL) -> None:
    graphiql.open()
    graphiql.write(WHO)
    graphiql.log_in(VIEWER)
    assert WHO in graphiql.text("operation.graphql")
    graphiql.log_out()
    assert "Who" not in "".join(graphiql.tabs.all_inner_texts())
    assert "query Who" not in graphiql.page.evaluate("JSON.stringify({...sessionStorage})")


def test_graphiql_page_renews_the_csrf_token_of_a_session(graphiql: GraphiQL) -> None:
    graphiql.open()
    graphiql.log_in(VIEWER)
    graphiql.page.context.clear_cookies(name="csrftoken")
    graphiql.open()
    assert cookie(graphiql.page.context, "csrftoken")
    assert "errors" not in graphiql.execute("Hierarchy")


def test_session_without_its_csrf_token_is_rejected(graphiql: GraphiQL) -> None:
    graphiql.open()
    graphiql.log_in(VIEWER)
    graphiql.page.context.clear_cookies(name="csrftoken")
    assert code(graphiql, "Hierarchy") == "CSRF_FAILED"


def test_login_page_reports_a_wrong_password(page: Page, gateway: str) -> None:
    page.goto(f"{gateway}/login/")
    enter(page, replace(VIEWER, password=f"{PASSWORD}!"))
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    expect(page.get_by_label("User")).to_have_value(VIEWER.name)
    expect(page.get_by_label("Password")).to_have_value("")
    expect(page.get_by_label("Password")).to_be_focused()


def test_login_is_locked_after_many_wrong_passwords(page: Page, gateway: str) -> None:
    page.goto(f"{gateway}/login/")
    statuses = []
    for _ in range(10):
        with page.expect_response(f"{gateway}/login/") as response:
            enter(page, User("somebody", password="a guess"))
        statuses.append(response.value.status)
    assert statuses == [200] * 9 + [429]
    expect(page.get_by_role("alert")).to_have_text(
        "There were too many attempts to log in. Wait 15 minutes, and try again."
    )
    assert response.value.headers["retry-after"] == "900"
    # others are not locked out
    page.goto(f"{gateway}/login/")
    enter(page, VIEWER)
    page.wait_for_url(f"{gateway}/")


@pytest.mark.parametrize("method", ["password", "too many guesses"])
def test_login_page_runs_no_foreign_script_and_is_not_cached(
    page: Page, graphiql: GraphiQL, gateway: str, method: str
) -> None:
    response = page.goto(f"{gateway}/login/")
    if method == "too many guesses":
        for _ in range(10):
            with page.expect_response(f"{gateway}/login/") as answer:
                enter(page, User("somebody else", password="a guess"))
        response = answer.value
    assert response
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "no-store" in response.headers["cache-control"]
    # its own style is let through
    assert page.locator("main").evaluate("(main) => getComputedStyle(main).maxWidth") == "320px"
    assert [problem for problem in graphiql.problems if "429" not in problem] == []
    violation = page.expect_console_message(lambda line: "securitypolicyviolation" in line.text)
    with violation:
        page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'evil = 1'}))")


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.invalid/",
        "//elsewhere.invalid/",
        "/\\elsewhere.invalid/",
        "https:elsewhere.invalid",
        "javascript:alert(1)",
    ],
)
def test_login_does_not_redirect_to_another_site(page: Page, graphiql: GraphiQL, gateway: str, target: str) -> None:
    page.goto(f"{gateway}/login/?next={target}")
    enter(page, VIEWER)
    page.wait_for_url(f"{gateway}/")
    assert graphiql.refused == []


def test_login_redirects_back(page: Page, gateway: str) -> None:
    page.goto(f"{gateway}/login/?next=/api/orthanc/patients/")
    enter(page, VIEWER)
    page.wait_for_url(f"{gateway}/api/orthanc/patients/")
    expect(page.locator("body")).to_contain_text("홍^길동")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_secure_cookies_work_on_this_machine_without_https(
    browser: Browser, orthanc: LocalOrthanc, tmp_path: Path, host: str
) -> None:
    """As deployed: the browser accepts Secure cookies over plain HTTP from its own machine."""
    settings = CLOSED | {"DJANGO_SECURE_COOKIES": "true"}
    with serving(orthanc.base_url, tmp_path, settings=settings) as gateway:
        make(tmp_path, VIEWER)
        with graphiql_page(browser, f"http://{host}:{gateway.port}") as graphiql:
            graphiql.open()
            graphiql.log_in(VIEWER)
            assert "errors" not in graphiql.execute("Hierarchy")
            context = graphiql.page.context
            for name, is_hidden in (("sessionid", True), ("csrftoken", False)):
                found = cookie(context, name)
                assert found
                assert (found["secure"], found["sameSite"], found["httpOnly"]) == (True, "Lax", is_hidden)
            graphiql.log_out()
            assert cookie(context, "sessionid") is None
            assert graphiql.problems == []


def test_a_session_is_hidden_from_scripts(graphiql: GraphiQL) -> None:
    graphiql.open()
    graphiql.log_in(VIEWER)
    session = cookie(graphiql.page.context, "sessionid")
    assert session
    assert (session["httpOnly"], session["sameSite"], session["secure"]) == (True, "Lax", False)
    assert "sessionid" not in graphiql.page.evaluate("document.cookie")
