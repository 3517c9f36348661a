"""Logouts: here, at the provider, and those that the provider tells of."""

import asyncio
import html
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from typing import Any
from urllib.parse import parse_qs

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from pytest_django import Settings

from orthancproxy.access import identity_provider
from orthancproxy.audit.models import AuditEvent
from orthancproxy.project.sso import logout
from orthancproxy.project.sso.models import LoginSession, UsedLogoutToken
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.callers import PASSWORD, csrf_client, log_in
from tests.conftest import UseOrthanc
from tests.event_streams import event_stream
from tests.identity.provider import CLIENT, IdentityProvider
from tests.project.sso.conftest import MakePerson, use_provider
from tests.project.sso.people import GATEWAY, Person, parameters

EVENT = "http://schemas.openid.net/event/backchannel-logout"
MAX_SECONDS = 5.0
END = "2100-01-01T00:00:00Z"

MakeToken = Callable[..., str]


@pytest.fixture
def logout_token(provider: IdentityProvider) -> MakeToken:
    """Return a function that makes a logout token, with other claims and header where they are given."""

    def make(issuer: IdentityProvider = provider, header: dict[str, Any] | None = None, **claims: Any) -> str:
        own: dict[str, Any] = {"aud": CLIENT, "jti": uuid.uuid4().hex, "events": {EVENT: {}}, "typ": None, "sub": None}
        absent = {"preferred_username": None, "realm_access": None, "client_id": None}
        return issuer.token(claims={**own, **absent, **claims}, header={"typ": "logout+jwt", **(header or {})})

    return make


def tell(token: str) -> Any:
    """Send a logout token as the provider does, and return the response."""
    return csrf_client().post("/sso/back-channel-logout/", {"logout_token": token})


def logouts() -> list[tuple[str, str, str]]:
    rows = AuditEvent.objects.filter(event="LOGOUT").order_by("pk")
    return list(rows.values_list("username", "outcome", "operation"))


@contextmanager
def receiving() -> Iterator[tuple[str, list[str]]]:
    """Yield the URL of a server, and the logout tokens that it receives."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            received.extend(form["logout_token"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def during_login(action: Callable[..., None]) -> Iterator[None]:
    """Carry out an action after a session has begun, and before it is written."""
    user_logged_in.connect(action)
    try:
        yield
    finally:
        user_logged_in.disconnect(action)


def log_out_at_provider(person: Person, url: str) -> str:
    """Confirm the logout at the provider, and return where it leads."""
    page = person.provider.get(url, timeout=10)
    assert page.status_code == 200, page.text
    form = re.search(r'action="([^"]+)".*?name="xsrf" value="([^"]+)"', page.text, re.DOTALL)
    assert form, page.text
    data = {"xsrf": form[2], "logout": "yes"}
    response = person.provider.post(html.unescape(form[1]), data, allow_redirects=False, timeout=10)
    return response.headers["Location"]


class TestLogout:
    def test_a_logout_ends_the_session_here_and_leads_to_the_provider_and_back(self, person: MakePerson) -> None:
        anna = person("anna")
        anna.log_in()
        response = anna.log_out()
        # not a redirect, which `form-action` of the form's page would forbid
        assert (response.status_code, response["Clear-Site-Data"]) == (200, '"cache"')
        found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', response.content.decode())
        assert found
        assert anna.username is None
        assert logouts() == [("anna", "SUCCESS", "POST /logout/")]
        url = html.unescape(found[1])
        assert parameters(url).keys() == {"client_id", "id_token_hint", "post_logout_redirect_uri"}
        assert log_out_at_provider(anna, url) == f"{GATEWAY}/sso/logged-out/"
        # the page leads nowhere by itself: no login loop
        page = anna.client.get("/sso/logged-out/")
        assert page.status_code == 200
        assert "refresh" not in page.content.decode()
        # the provider asks for the password again
        at_provider = anna.provider.get(anna.begin(), timeout=10)
        assert 'name="password"' in at_provider.text

    def test_a_script_is_told_where_to_go(self, settings: Settings, person: MakePerson) -> None:
        anna = person("anna")
        anna.log_in()
        response = anna.log_out(Accept="application/json")
        assert parameters(response.json()["url"])["client_id"] == CLIENT
        User.objects.create_user("root", password=PASSWORD)
        root = Person("root")
        log_in(root.client, "root")
        assert root.log_out(Accept="application/json").json() == {"url": ""}
        log_in(root.client, "root")
        settings.ORTHANC_OIDC_REQUIRED, settings.ORTHANC_OIDC_PASSWORD_USERS = True, ["root"]
        response = root.log_out(Accept="application/json")
        assert response.json() == {"url": "/sso/logged-out/"}

    def test_the_admin_sites_logout_leads_to_the_provider_too(self, settings: Settings, person: MakePerson) -> None:
        settings.ORTHANC_OIDC_STAFF_ROLE = "admin"
        anna = person("anna", "admin")
        anna.log_in()
        assert "id_token_hint" in anna.log_out("/admin/logout/").content.decode()

    def test_a_logout_needs_a_csrf_token(self, person: MakePerson) -> None:
        anna = person("anna")
        anna.log_in()
        assert anna.client.post("/logout/").status_code == 403
        assert anna.username == "anna"

    def test_a_logout_counts_while_the_provider_is_down(self, settings: Settings) -> None:
        with IdentityProvider() as other:
            other.accept_logins(GATEWAY)
            use_provider(settings, other)
            anna = Person("anna")
            anna.log_in()
            anna.client.get("/tokens/")
            other.kill()
            identity_provider._configuration.forget()
            assert anna.log_out().status_code == 302
            assert anna.username is None


class TestBackChannel:
    def test_a_logout_at_the_provider_ends_the_session_that_began_there(
        self, provider: IdentityProvider, person: MakePerson
    ) -> None:
        with receiving() as (url, received):
            provider.accept_logins(GATEWAY, back_channel=url)
            anna, elsewhere, ben = person("anna"), Person(""), person("ben")
            elsewhere.sub = anna.sub
            for one in (anna, elsewhere, ben):
                assert one.log_in().status_code == 302
            log_out_at_provider(anna, f"{provider.base_url}/session/end")
            [token] = received
        provider.accept_logins(GATEWAY)
        response = tell(token)
        assert (response.status_code, response["Cache-Control"]) == (
            200,
            "max-age=0, no-cache, no-store, must-revalidate, private",
        )
        assert (anna.username, elsewhere.username, ben.username) == (None, "anna", "ben")
        assert logouts() == [("anna", "SUCCESS", "POST /sso/back-channel-logout/")]

    def test_a_token_for_a_subject_ends_all_of_their_sessions_and_no_other(
        self, person: MakePerson, logout_token: MakeToken
    ) -> None:
        User.objects.create_user("root", password=PASSWORD)
        anna, elsewhere, ben, root = person("anna"), Person(""), person("ben"), Person("")
        elsewhere.sub = anna.sub
        for one in (anna, elsewhere, ben):
            one.log_in()
        log_in(root.client, "root")
        # a session that Django has given another key is found, too
        session = elsewhere.client.session
        session.cycle_key()
        elsewhere.client.cookies["sessionid"] = str(session.session_key)
        assert tell(logout_token(sub=anna.sub)).status_code == 200
        assert [one.username for one in (anna, elsewhere, ben, root)] == [None, None, "ben", "root"]
        assert logouts() == [("anna", "SUCCESS", "POST /sso/back-channel-logout/")]

    def test_a_token_for_an_unknown_session_is_accepted(self, logout_token: MakeToken) -> None:
        assert tell(logout_token(sid="unknown")).status_code == 200
        assert logouts() == []

    def test_a_token_counts_once(self, person: MakePerson, logout_token: MakeToken) -> None:
        anna = person("anna")
        anna.log_in()
        token = logout_token(sub=anna.sub)
        assert tell(token).status_code == 200
        anna.log_in()
        assert tell(token).status_code == 400
        assert anna.username == "anna"

    @pytest.mark.parametrize(
        ("named", "is_ended"),
        [
            (("subject",), True),
            (("sid",), True),
            (("subject", "sid"), True),
            (("other subject",), False),
            (("subject", "other sid"), False),
        ],
        ids=str,
    )
    def test_a_logout_during_the_login_ends_it(
        self, person: MakePerson, logout_token: MakeToken, named: tuple[str, ...], *, is_ended: bool
    ) -> None:
        def log_out(request: Any, **_: Any) -> None:
            login = request.sso_login
            claims = {"subject": {"sub": login.subject}, "sid": {"sid": login.sid}}
            others = {"other subject": {"sub": "other"}, "other sid": {"sid": "other"}}
            token = logout_token(**{key: value for one in named for key, value in {**claims, **others}[one].items()})
            assert tell(token).status_code == 200

        anna = person("anna")
        with during_login(log_out):
            response = anna.log_in("/sso/?next=/tokens/")
        assert (response.status_code, response["Location"]) == (302, "/sso/logged-out/" if is_ended else "/tokens/")
        assert anna.username == (None if is_ended else "anna")
        assert LoginSession.objects.count() == (0 if is_ended else 1)
        assert logouts() == ([("anna", "SUCCESS", "GET /sso/callback/")] if is_ended else [])
        # the next login is another one
        anna.log_in()
        assert anna.username == "anna"

    def test_a_logout_that_is_seen_after_a_later_one_ends_the_login(self, person: MakePerson) -> None:
        def log_out(request: Any, **_: Any) -> None:
            # its transaction began before that of the other one
            UsedLogoutToken.objects.create(pk=500, jti="late", subject=request.sso_login.subject, expires_at=END)

        UsedLogoutToken.objects.create(pk=501, jti="soon", subject="other", expires_at=END)
        anna = person("anna")
        with during_login(log_out):
            assert anna.log_in()["Location"] == "/sso/logged-out/"
        assert (anna.username, LoginSession.objects.count()) == (None, 0)

    def test_a_session_that_vanishes_while_it_is_written_is_a_logout(
        self, person: MakePerson, logout_token: MakeToken
    ) -> None:
        def log_out(request: Any, **_: Any) -> None:
            assert tell(logout_token(sub=request.sso_login.subject)).status_code == 200
            UsedLogoutToken.objects.all().delete()

        anna = person("anna")
        anna.log_in()
        with during_login(log_out):
            # the session of before gets another key
            assert anna.log_in()["Location"] == "/sso/logged-out/"
        assert (anna.username, LoginSession.objects.count()) == (None, 0)

    def test_a_session_that_is_written_before_the_token_can_be_seen_ends_too(
        self, person: MakePerson, logout_token: MakeToken, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        anna = person("anna")
        anna.log_in()
        delete, looks = logout._delete_sessions, count()
        # the transaction of the token has begun before the session was there
        monkeypatch.setattr(logout, "_delete_sessions", lambda named: delete(named) if next(looks) else set())
        assert tell(logout_token(sub=anna.sub)).status_code == 200
        assert anna.username is None
        assert logouts() == [("anna", "SUCCESS", "POST /sso/back-channel-logout/")]

    @pytest.mark.parametrize(
        "forged",
        [
            {"aud": "another-client"},
            {"iss": "https://evil.example"},
            {"events": None},
            {"events": {}},
            {"events": {EVENT: True}},
            {"events": [EVENT]},
            {"nonce": "n"},
            {"iat": "soon"},
            # from now
            {"seconds": {"iat": -400, "exp": 400}},
            {"seconds": {"iat": 400}},
            {"seconds": {"exp": -60}},
            {"jti": None},
            {"jti": ""},
            {"jti": "j" * 256},
            {"sub": None},
            {"sub": ""},
            {"sid": 7},
            {"header": {"typ": "at+jwt"}},
            {"header": {"kid": "unknown"}},
        ],
        ids=str,
    )
    def test_a_forged_token_ends_no_session(
        self, person: MakePerson, logout_token: MakeToken, forged: dict[str, Any]
    ) -> None:
        anna = person("anna")
        anna.log_in()
        times = {claim: int(time.time()) + seconds for claim, seconds in forged.get("seconds", {}).items()}
        claims = {name: value for name, value in forged.items() if name != "seconds"}
        response = tell(logout_token(**{"sub": anna.sub, **claims, **times}))
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
        assert anna.username == "anna"
        assert [(outcome, operation) for _, outcome, operation in logouts()] == [
            ("FAILED", "POST /sso/back-channel-logout/")
        ]

    def test_a_token_that_is_not_signed_by_the_provider_ends_no_session(
        self, provider: IdentityProvider, person: MakePerson, logout_token: MakeToken
    ) -> None:
        anna = person("anna")
        anna.log_in()
        with IdentityProvider() as foreign:
            token = logout_token(foreign, iss=provider.issuer, sub=anna.sub)
        header, payload, _ = logout_token(sub=anna.sub).split(".")
        id_token = anna.client.session["sso"]["id_token"]
        for one in (token, f"{header}.{payload}.", f"{header}.{payload}.AAAA", id_token, "", "a.b.c", "é"):
            assert tell(one).status_code == 400
        assert csrf_client().get("/sso/back-channel-logout/").status_code == 405
        assert csrf_client().post("/sso/back-channel-logout/").status_code == 400
        assert anna.username == "anna"

    def test_used_tokens_are_forgotten_when_they_are_no_longer_valid(self, logout_token: MakeToken) -> None:
        tell(logout_token(sid="a"))
        UsedLogoutToken.objects.update(expires_at="2000-01-01T00:00:00Z")
        tell(logout_token(sid="b"))
        assert UsedLogoutToken.objects.count() == 1

    def test_there_is_no_such_page_without_a_client(self, settings: Settings, logout_token: MakeToken) -> None:
        token = logout_token(sid="a")
        settings.ORTHANC_OIDC_CLIENT_ID = ""
        assert tell(token).status_code == 404
        for path in ("/sso/", "/sso/callback/"):
            assert csrf_client().get(path).status_code == 404


@pytest.mark.live
@pytest.mark.once
def test_event_streams_of_a_session_end_with_it(
    archive: LocalOrthanc, use_orthanc: UseOrthanc, settings: Settings, person: MakePerson, logout_token: MakeToken
) -> None:
    use_orthanc(archive)
    settings.ORTHANC_CHANGES_DAYS = 1
    anna = person("anna", "Viewer")
    anna.log_in()
    token = logout_token(sub=anna.sub)

    async def run() -> None:
        async with event_stream(cookies=anna.client.cookies) as stream:
            began = time.monotonic()
            response = await sync_to_async(tell)(token)
            assert response.status_code == 200
            event = await stream.event()
            assert event
            assert (event.name, event.data["code"]) == ("error", "UNAUTHENTICATED")
            assert await stream.event() is None
            assert time.monotonic() - began < MAX_SECONDS

    asyncio.run(run())
    assert not LoginSession.objects.exists()
