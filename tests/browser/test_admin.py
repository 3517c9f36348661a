"""The admin site, as an administrator uses it in a browser: users, groups, scopes and the audit."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from orthancproxy.sandbox.gateway import serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.browser.graphiql import GraphiQL, graphiql_page
from tests.browser.users import PASSWORD, User, make

pytestmark = [pytest.mark.live, pytest.mark.once]

ADMINISTRATOR = User("관리자", is_superuser=True)
CARDIOLOGIST = User("박지영", ["Viewer", "Cardiology"])
PATIENTS = "query Ids { patients(first: 9) { totalCount nodes { patientId } } }"
SCOPES = "query Scopes { viewer { username actions scopes { kind value } } }"


@pytest.fixture(scope="module")
def gateway(archive: LocalOrthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway without permissions for anonymous callers, over patients P001 to P003."""
    folder = tmp_path_factory.mktemp("gateway")
    with serving(archive.base_url, folder, settings={"ORTHANC_ANONYMOUS_ACTIONS": ""}) as gateway:
        make(folder, ADMINISTRATOR)
        yield gateway.address


@pytest.fixture
def administrator(graphiql: GraphiQL, gateway: str) -> GraphiQL:
    """The admin site, with its administrator logged in."""
    page = graphiql.page
    page.goto(f"{gateway}/admin/")
    page.get_by_label("Username").fill(ADMINISTRATOR.name)
    page.get_by_label("Password").fill(ADMINISTRATOR.password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Site administration")).to_be_visible()
    return graphiql


def choose(page: Page, *names: str) -> None:
    """Move groups to the right in the user's form."""
    for name in names:
        page.locator("#id_groups_from").select_option(label=name)
        page.locator("#id_groups_add").click()
    chosen = page.locator("#id_groups_to option")
    assert sorted(chosen.all_inner_texts()) == sorted(names)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".messagelist .success")).to_be_visible()


def test_user_with_new_groups_and_scopes_sees_what_they_allow(
    administrator: GraphiQL, browser: Browser, gateway: str
) -> None:
    page = administrator.page
    page.goto(f"{gateway}/admin/auth/group/add/")
    page.get_by_label("Name:").fill("Cardiology")
    page.get_by_role("button", name="Add another Access scope").click()
    page.locator("#id_access_scopes-0-value").fill("*2")
    page.get_by_role("button", name="Add another Access scope").click()
    page.locator("#id_access_scopes-1-value").fill("P003")
    save(page)

    page.goto(f"{gateway}/admin/auth/user/add/")
    page.get_by_label("Username").fill(CARDIOLOGIST.name)
    page.get_by_label("Password:").fill(PASSWORD)
    page.get_by_label("Password confirmation").fill(PASSWORD)
    save(page)
    choose(page, *CARDIOLOGIST.groups)
    save(page)

    with graphiql_page(browser, gateway) as theirs:
        theirs.open()
        theirs.log_in(CARDIOLOGIST)
        theirs.write(SCOPES)
        assert theirs.execute("Scopes")["data"]["viewer"] == {
            "username": CARDIOLOGIST.name,
            "actions": ["VIEW", "DOWNLOAD"],
            "scopes": [{"kind": "PATIENT_ID", "value": "*2"}, {"kind": "PATIENT_ID", "value": "P003"}],
        }
        theirs.write(PATIENTS)
        assert theirs.execute("Ids")["data"]["patients"] == {
            "totalCount": 2,
            "nodes": [{"patientId": "P002"}, {"patientId": "P003"}],
        }
        # and nothing of the admin site
        theirs.page.goto(f"{gateway}/admin/auth/user/")
        expect(theirs.page.get_by_label("Username")).to_be_visible()
        assert theirs.problems == []
    assert administrator.problems == []
    assert administrator.refused == []


def test_audit_in_the_admin_site_is_read_only(administrator: GraphiQL, gateway: str) -> None:
    page = administrator.page
    page.goto(f"{gateway}/admin/")
    page.get_by_role("link", name="Audit events").first.click()
    newest = page.locator("#result_list tbody tr").first
    expect(newest).to_contain_text(ADMINISTRATOR.name)
    expect(newest).to_contain_text("Login")
    expect(page.get_by_role("link", name="Add audit event")).to_have_count(0)
    expect(page.locator("select[name=action]")).to_have_count(0)
    newest.get_by_role("link").click()
    expect(page.locator(".field-username")).to_contain_text(ADMINISTRATOR.name)
    expect(page.locator(".field-code")).to_contain_text("110114")
    expect(page.locator("#content input:not([type=hidden])")).to_have_count(0)
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    expect(page.get_by_role("link", name="Delete")).to_have_count(0)
    # who looked is there too
    page.goto(f"{gateway}/admin/orthancproxy/auditevent/?event__exact=AUDIT_LOG_USED")
    expect(page.locator("#result_list")).to_contain_text("/admin/orthancproxy/auditevent/")
    assert administrator.problems == []
    assert administrator.refused == []


def test_logout_from_the_admin_site_ends_the_session(administrator: GraphiQL, gateway: str) -> None:
    page = administrator.page
    administrator.open()
    assert administrator.account() == [ADMINISTRATOR.name, "API tokens", "Log out"]
    page.goto(f"{gateway}/admin/")
    page.get_by_role("button", name="Log out").click()
    administrator.open()
    assert administrator.account() == ["Log in"]
    assert administrator.problems == []
