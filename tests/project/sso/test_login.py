"""Logins at the provider: the authorization code flow, and what it does to users, groups and sessions."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Group, User
from pytest_django import Settings

from orthancproxy.access import identity_provider
from orthancproxy.audit.models import AuditEvent
from orthancproxy.audit.rate_limit import refusal_rate_limit
from orthancproxy.project.sso.models import LoginSession, ProviderIdentity
from orthancproxy.sandbox.orthanc import free_port
from tests.access.callers import PASSWORD, csrf_client, log_in
from tests.identity.provider import IdentityProvider
from tests.project.sso.conftest import MakePerson, use_provider
from tests.project.sso.people import GATEWAY, Person, parameters


def logins() -> list[tuple[str, str, str]]:
    rows = AuditEvent.objects.filter(event="LOGIN").order_by("pk")
    return list(rows.values_list("username", "outcome", "error_code"))


def test_a_person_logs_in_with_their_name_and_the_groups_of_their_roles(person: MakePerson) -> None:
    anna = person("anna", "Viewer", "offline_access")
    url = anna.begin("/sso/?next=/tokens/")
    asked = parameters(url)
    assert (asked["response_type"], asked["code_challenge_method"], asked["scope"]) == (
        "code",
        "S256",
        "openid profile",
    )
    assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
    response = anna.come_back(anna.go_to_provider(url))
    assert (response.status_code, response["Location"]) == (302, "/tokens/")
    assert anna.viewer == {"username": "anna", "actions": ["VIEW", "DOWNLOAD"]}
    user = User.objects.get()
    assert (user.has_usable_password(), user.is_staff, user.is_superuser) == (False, False, False)
    assert logins() == [("anna", "SUCCESS", "")]


@pytest.mark.parametrize(("secret", "method"), [("", "none"), ("s", "client_secret_post")])
def test_the_gateway_may_be_a_public_client_or_send_its_secret_in_the_form(
    settings: Settings, person: MakePerson, secret: str, method: Any
) -> None:
    with IdentityProvider() as other:
        other.accept_logins(GATEWAY, secret=secret, method=method)
        use_provider(settings, other)
        settings.ORTHANC_OIDC_CLIENT_SECRET = secret
        if method == "client_secret_post":
            configuration = {
                **identity_provider._configuration.read(),
                "token_endpoint_auth_methods_supported": [method],
            }
            identity_provider._configuration._document = configuration
        anna = Person("anna")
        assert anna.log_in().status_code == 302
        assert anna.username == "anna"


def test_a_wrong_secret_logs_nobody_in_and_is_logged(
    settings: Settings, person: MakePerson, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ORTHANC_OIDC_CLIENT_SECRET = "wrong and secret"
    anna = person("anna")
    assert anna.log_in().status_code == 400
    assert "401 invalid_client" in str([vars(record) for record in caplog.records])
    assert "wrong and secret" not in str([vars(record) for record in caplog.records])
    assert anna.username is None


def test_no_code_token_or_state_is_logged(person: MakePerson, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    anna = person("anna")
    back = anna.go_to_provider(anna.begin())
    anna.come_back(back)
    # used again: rejected
    assert anna.come_back(back).status_code == 400
    id_token = anna.client.session["sso"]["id_token"]
    logged = repr([vars(record) for record in caplog.records if not record.name.startswith("urllib3")])
    for secret in (parameters(back)["code"], parameters(back)["state"], id_token, "keep & safe"):
        assert secret not in logged


class TestReturns:
    def test_another_state_logs_nobody_in(self, person: MakePerson) -> None:
        anna = person("anna")
        back = parameters(anna.go_to_provider(anna.begin()))
        for state in ("", "made-up", back["state"][:-1]):
            response = anna.client.get("/sso/callback/", {**back, "state": state})
            assert response.status_code == 400
            assert "begun in another browser" in response.content.decode()
        assert anna.username is None
        assert logins() == [("", "FAILED", "UNAUTHENTICATED")] * 3

    def test_the_code_of_somebody_else_logs_nobody_in(self, person: MakePerson) -> None:
        anna, eve = person("anna"), person("eve")
        url = eve.go_to_provider(eve.begin())
        anna.begin()
        assert anna.come_back(url).status_code == 400
        # also not with a state of her own: nonce and PKCE are those of another login
        state = parameters(anna.begin())["state"]
        assert anna.client.get("/sso/callback/", {**parameters(url), "state": state}).status_code == 400
        assert (anna.username, User.objects.count()) == (None, 0)

    def test_a_code_counts_once(self, person: MakePerson) -> None:
        anna = person("anna")
        url = anna.begin()
        cookie = anna.client.cookies["sso"].value
        back = anna.go_to_provider(url)
        assert anna.come_back(back).status_code == 302
        thief = csrf_client()
        assert thief.get(back.removeprefix(GATEWAY)).status_code == 400
        # with a copy of the cookie, too
        thief.cookies["sso"] = cookie
        assert thief.get(back.removeprefix(GATEWAY)).status_code == 400
        assert "sessionid" not in thief.cookies

    def test_a_response_of_another_issuer_logs_nobody_in(self, person: MakePerson) -> None:
        anna = person("anna")
        back = parameters(anna.go_to_provider(anna.begin()))
        assert anna.client.get("/sso/callback/", {**back, "iss": "https://evil.example"}).status_code == 400
        assert anna.username is None

    def test_an_error_of_the_provider_is_a_page_and_ends_no_session(self, person: MakePerson) -> None:
        anna = person("anna")
        anna.log_in()
        # a page of another site may lead here
        assert anna.client.get("/sso/callback/?error=access_denied").status_code == 400
        assert anna.username == "anna"
        state = parameters(anna.begin())["state"]
        response = anna.client.get("/sso/callback/", {"error": "access_denied", "state": state})
        assert response.status_code == 403
        assert "has not logged you in" in response.content.decode()
        assert "prompt=login" in response.content.decode()
        assert anna.username == "anna"

    @pytest.mark.parametrize("path", ["/login/?password=yes&code=a&state=b", "/admin/login/?code=a&state=b"])
    def test_a_password_login_with_a_code_in_its_address_exchanges_none(
        self, provider: IdentityProvider, path: str
    ) -> None:
        before = provider.requests("/token")
        assert log_in(csrf_client(), "anna", "wrong", path).status_code == 200
        assert provider.requests("/token") == before

    @pytest.mark.parametrize(
        "next_url", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/login/", "/sso/?next=/", ""]
    )
    def test_a_login_leads_to_no_other_site_and_not_to_the_login(self, person: MakePerson, next_url: str) -> None:
        response = person("anna").log_in(f"/sso/?{urlencode({'next': next_url})}")
        assert (response.status_code, response["Location"]) == (302, "/")

    def test_logins_in_several_tabs_all_count(self, person: MakePerson) -> None:
        anna = person("anna")
        urls = [anna.begin() for _ in range(5)]
        assert all(anna.come_back(anna.go_to_provider(url)).status_code == 302 for url in reversed(urls))

    def test_whoever_opens_the_page_leaves_no_row(self) -> None:
        for _ in range(10):
            client = csrf_client()
            assert client.get("/sso/").status_code == 302
            assert len(client.cookies["sso"].value) < 1000
        assert (LoginSession.objects.count(), logins()) == (0, [])

    def test_a_login_begins_a_session_of_its_own(self, person: MakePerson) -> None:
        anna, ben = person("anna"), person("ben")
        anna.log_in()
        before = anna.client.cookies["sessionid"].value
        # in the same browser
        ben.client = anna.client
        assert ben.log_in().status_code == 302
        assert anna.client.cookies["sessionid"].value != before
        [row] = LoginSession.objects.all()
        assert row.subject == ben.sub
        assert row.sid


class TestUsers:
    @pytest.mark.parametrize("name", ["root", "ROOT", "ｒｏｏｔ"])
    @pytest.mark.parametrize("is_linking", [False, True])
    def test_nobody_gets_the_user_of_an_administrator_by_its_name(
        self, settings: Settings, person: MakePerson, name: str, is_linking: bool
    ) -> None:
        settings.ORTHANC_OIDC_LINK_USERS = is_linking
        root = User.objects.create_superuser("root", password=PASSWORD)
        eve = person(name)
        response = eve.log_in()
        assert response.status_code == 403
        assert "There already is a user named root" in response.content.decode().replace("ROOT", "root")
        assert (eve.username, User.objects.get(), ProviderIdentity.objects.count()) == (None, root, 0)
        assert [(outcome, code) for _, outcome, code in logins()] == [("FAILED", "UNAUTHENTICATED")]

    def test_nobody_gets_another_persons_user_by_its_name(self, settings: Settings, person: MakePerson) -> None:
        settings.ORTHANC_OIDC_LINK_USERS = True
        anna, eve = person("anna"), person("anna")
        assert anna.log_in().status_code == 302
        assert eve.log_in().status_code == 403
        assert (anna.username, eve.username) == ("anna", None)

    def test_a_user_is_given_away_by_its_name_only_with_the_setting(
        self, settings: Settings, person: MakePerson
    ) -> None:
        known = User.objects.create_user("anna", password=PASSWORD)
        anna = person("anna")
        assert anna.log_in().status_code == 403
        settings.ORTHANC_OIDC_LINK_USERS = True
        assert anna.log_in().status_code == 302
        assert ProviderIdentity.objects.get().user == known

    def test_a_superuser_links_a_person_to_a_user_and_that_is_audited(self, person: MakePerson) -> None:
        root = User.objects.create_superuser("root", password=PASSWORD)
        staff = User.objects.create_user("staff", password=PASSWORD, is_staff=True)
        boss = person("boss")
        client = csrf_client()
        client.force_login(staff, "orthancproxy.project.login.PasswordBackend")
        path = "/admin/orthancproxy_sso/provideridentity/add/"
        assert client.get(path).status_code == 403
        client.force_login(root, "orthancproxy.project.login.PasswordBackend")
        client.get(path)
        form = {"user": root.pk, "issuer": ProviderIdentity(issuer="x").issuer, "subject": boss.sub}
        form["issuer"] = boss.begin().partition("/auth")[0]
        form["csrfmiddlewaretoken"] = client.cookies["csrftoken"].value
        assert client.post(path, form).status_code == 302
        event = AuditEvent.objects.get(
            event="ACCESS_CHANGED", target="users/root", details__has_key="provider identity added"
        )
        assert event.username == "root"
        assert boss.log_in().status_code == 302
        # the name follows the provider
        assert boss.username == "boss"
        assert User.objects.get(is_superuser=True) == root

    def test_a_person_is_the_same_user_under_a_new_name(self, provider: IdentityProvider, person: MakePerson) -> None:
        anna = person("anna")
        anna.log_in()
        provider.set_account(anna.sub, "anna2")
        anna.log_in()
        assert (anna.username, User.objects.count()) == ("anna2", 1)
        # a name of somebody else is not taken
        User.objects.create_user("root")
        provider.set_account(anna.sub, "root")
        anna.log_in()
        assert anna.username == "anna2"

    def test_a_deactivated_user_cannot_log_in_and_has_no_session(self, person: MakePerson) -> None:
        anna = person("anna", "Viewer")
        anna.log_in()
        User.objects.update(is_active=False)
        assert anna.username is None
        response = anna.log_in()
        assert response.status_code == 403
        assert "deactivated" in response.content.decode()
        assert logins()[-1] == ("anna", "FAILED", "UNAUTHENTICATED")

    def test_a_session_ends_when_the_identity_is_removed(self, person: MakePerson) -> None:
        anna = person("anna")
        anna.log_in()
        ProviderIdentity.objects.all().delete()
        assert anna.username is None

    @pytest.mark.parametrize("name", ["share:1", "an\x00na", " anna", "a" * 151])
    def test_a_name_that_is_none_is_rejected(self, person: MakePerson, name: str) -> None:
        assert person(name).log_in().status_code == 403
        assert not User.objects.exists()


class TestGroups:
    @pytest.fixture(autouse=True)
    def _hand_made_group(self) -> None:
        Group.objects.create(name="By hand")

    def test_a_withdrawn_role_counts_until_the_next_login(self, provider: IdentityProvider, person: MakePerson) -> None:
        anna = person("anna", "Manager", "Viewer", "no such group")
        anna.log_in()
        user = User.objects.get()
        user.groups.add(Group.objects.get(name="By hand"))
        provider.set_account(anna.sub, "anna", ["Viewer"])
        assert "DELETE" in anna.viewer["actions"]
        AuditEvent.objects.all().delete()
        anna.log_in()
        assert anna.viewer["actions"] == ["VIEW", "DOWNLOAD"]
        # what an administrator assigned stays
        assert sorted(group.name for group in user.groups.all()) == ["By hand", "Viewer"]
        changes = AuditEvent.objects.filter(event="ACCESS_CHANGED").values_list("details", flat=True)
        assert list(changes) == [{"groups removed": ["Manager"]}]

    def test_groups_that_the_setting_names_are_the_providers_alone(
        self, settings: Settings, person: MakePerson
    ) -> None:
        settings.ORTHANC_OIDC_ROLE_GROUPS = ["reader=Viewer", "boss=Manager"]
        anna = person("anna", "reader", "Manager")
        anna.log_in()
        user = User.objects.get()
        assert [group.name for group in user.groups.all()] == ["Viewer"]
        user.groups.set(Group.objects.filter(name__in=["Manager", "Uploader"]))
        anna.log_in()
        assert sorted(group.name for group in user.groups.all()) == ["Uploader", "Viewer"]

    def test_the_role_of_the_setting_gives_and_takes_access_to_the_admin_site(
        self, settings: Settings, provider: IdentityProvider, person: MakePerson
    ) -> None:
        anna = person("anna", "gateway-admin")
        anna.log_in()
        assert not User.objects.get().is_staff
        settings.ORTHANC_OIDC_STAFF_ROLE = "gateway-admin"
        anna.log_in("/sso/?next=/admin/")
        assert anna.client.get("/admin/").status_code == 200
        provider.set_account(anna.sub, "anna", [])
        anna.log_in()
        assert anna.client.get("/admin/").status_code == 302
        assert not User.objects.get().is_superuser


class TestOutages:
    def test_a_provider_that_is_down_is_a_page_that_says_so(self, settings: Settings) -> None:
        with IdentityProvider() as other:
            other.accept_logins(GATEWAY)
            use_provider(settings, other)
            settings.ORTHANC_OIDC_REQUIRED = True
            settings.ORTHANC_OIDC_PASSWORD_USERS = ["root"]
            anna = Person("anna")
            back = anna.go_to_provider(anna.begin())
            other.kill()
            for path in (back.removeprefix(GATEWAY), "/sso/?next=/tokens/"):
                identity_provider._configuration.forget()
                response = anna.client.get(path)
                assert (response.status_code, response["Retry-After"]) == (503, "5")
                page = response.content.decode()
                assert "cannot be reached" in page
                assert "/login/?password=yes" in page
        assert {code for _, _, code in logins()} == {"GATEWAY_UNAVAILABLE"}

    def test_a_rejection_for_an_outage_has_a_time_to_try_again(self, settings: Settings) -> None:
        with IdentityProvider() as other:
            use_provider(settings, other)
            token = other.token()
        client = csrf_client()
        headers = {"Authorization": f"Bearer {token}"}
        query = {"query": "{ viewer { username } }"}
        graphql = client.post("/graphql/", query, content_type="application/json", headers=headers)
        assert graphql.json()["errors"][0]["extensions"]["code"] == "GATEWAY_UNAVAILABLE"
        for response in (graphql, client.get("/api/orthanc/patients/", headers=headers)):
            assert (response.status_code, response["Retry-After"]) == (503, "5")
        assert client.get("/dicom-web/studies", headers=headers).status_code == 503

    def test_logins_that_fail_for_an_outage_do_not_fill_the_audit_log(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(refusal_rate_limit, "max_rows_per_caller", 3)
        settings.ORTHANC_OIDC_ISSUER = f"http://127.0.0.1:{free_port()}"
        client = csrf_client()
        client.defaults["REMOTE_ADDR"] = "192.0.2.77"
        assert {client.get("/sso/").status_code for _ in range(10)} == {503}
        assert AuditEvent.objects.filter(event="LOGIN").count() == 3
