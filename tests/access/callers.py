"""The callers of the access matrix: each has a way to authenticate, and a set of permitted actions."""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.test.client import ClientHandler
from knox.models import get_token_model

from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope
from orthancproxy.audit.kinds import Authentication
from orthancproxy.audit.models import AuditEvent
from tests.access.archive import LABEL
from tests.identity.provider import IdentityProvider

PASSWORD = "as good as any"
ADDRESS = "127.0.0.1"  # of Django's test client
ROLE_GROUPS = ["reader=Viewer", "sender=Uploader", "boss=Manager", "ward=Ward", "labelled=Labelled"]
ROLES = {group: role for role, group in (pair.split("=") for pair in ROLE_GROUPS)}

READING = frozenset({Action.VIEW, Action.DOWNLOAD})
GROUPS: Mapping[str, frozenset[Action]] = {
    "": frozenset(),
    "Viewer": READING,
    "Uploader": READING | {Action.UPLOAD},
    "Manager": frozenset(Action) - {Action.REIDENTIFY},
}
SCOPES: Mapping[str, tuple[tuple[AccessScope.Kind, str], ...]] = {
    "Ward": ((AccessScope.Kind.PATIENT_ID, "P001"), (AccessScope.Kind.PATIENT_ID, "W7-*")),
    "Labelled": ((AccessScope.Kind.STUDY_LABEL, LABEL),),
}


# shared: a handler reads all static files when it is created
_HANDLER = ClientHandler(enforce_csrf_checks=True)


def csrf_client() -> Client:
    """Return a client whose requests need a CSRF token, like those of a browser."""
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    client.handler = _HANDLER
    return client


@dataclass(frozen=True)
class GatewayResponse:
    """The response of the gateway to one request."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    request_id: str

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def data(self) -> Any:
        """The `data` of a GraphQL response without errors."""
        assert (self.status, self.json.get("errors")) == (200, None), self.json
        return self.json["data"]

    @property
    def codes(self) -> list[str]:
        """The codes of the GraphQL errors."""
        return [error["extensions"]["code"] for error in self.json.get("errors", ())]

    @property
    def code(self) -> str:
        """The code of the first error, over either transport."""
        return self.codes[0] if "errors" in self.json else str(self.json["code"])

    @property
    def content_without_request_id(self) -> bytes:
        """The content with the request id removed."""
        return self.content.replace(self.request_id.encode(), b"")

    @cached_property
    def audit_events(self) -> list[AuditEvent]:
        """The audit events of the request, oldest first."""
        return list(AuditEvent.objects.filter(request_id=self.request_id).order_by("pk"))


@dataclass(frozen=True, slots=True)
class CallerClient:
    """A caller and their client. `rejection` is the error message of a rejected token, or empty."""

    name: str
    username: str = ""
    authentication: Authentication = Authentication.NONE
    actions: frozenset[Action] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    rejection: str = ""
    client: Client = field(default_factory=csrf_client)

    def send(
        self, method: str, path: str, body: bytes = b"", content_type: str = "application/json", **headers: str
    ) -> GatewayResponse:
        """Send a request with a new request id."""
        request_id = uuid.uuid4().hex
        sent = {"X-Request-ID": request_id, **self.headers, **headers}
        response: Any = self.client.generic(method, path, body, content_type=content_type, headers=sent)
        answer = GatewayResponse(response.status_code, dict(response.headers), response.getvalue(), request_id)
        assert answer.headers["X-Request-ID"] == request_id
        return answer

    def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> GatewayResponse:
        """Send a GraphQL operation."""
        return self.send("POST", "/graphql/", json.dumps({"query": query, "variables": variables or {}}).encode())

    def rest(self, path: str, method: str = "GET") -> GatewayResponse:
        """Send a request to a route of the REST API."""
        return self.send(method, f"/api/orthanc/{path}")

    @property
    def audit_author(self) -> tuple[str, str, str]:
        """The username, authentication and address in an audit event of this caller."""
        return self.username, self.authentication.value, ADDRESS


def make_groups() -> None:
    """Run the migration that creates the groups and permissions, and create two groups with access scopes."""
    migration = import_module("orthancproxy.migrations.0003_groups")
    with connection.schema_editor() as editor:
        migration.make_groups(apps, editor)
    for name, rules in SCOPES.items():
        group = Group.objects.create(name=name)
        AccessScope.objects.bulk_create(AccessScope(group=group, kind=kind, value=value) for kind, value in rules)


def make_user(name: str, *groups: str, **options: Any) -> User:
    """Create a user in these groups."""
    user = User.objects.create_user(name, password=PASSWORD, **options)
    user.groups.set(Group.objects.filter(name__in=groups))
    assert user.groups.count() == len(groups)
    return user


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def api_token(user: User, **lifetime: float) -> str:
    """Create an API token of a user, which by default lasts an hour."""
    token: str = get_token_model().objects.create(user, expiry=timedelta(**(lifetime or {"hours": 1})))[1]
    return token


def log_in(client: Client, username: str, password: str = PASSWORD, path: str = "/login/") -> Any:
    """Submit the form of the login page."""
    client.get(path)
    form = {"username": username, "password": password, "csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    return client.post(path, form)


def with_session(name: str, user: User, actions: frozenset[Action]) -> CallerClient:
    """Return a caller with a session and a CSRF token."""
    caller = CallerClient(name, user.username, Authentication.SESSION, actions)
    assert log_in(caller.client, user.username).status_code == 302
    caller_headers = {"X-CSRFToken": caller.client.cookies["csrftoken"].value}
    return CallerClient(name, user.username, Authentication.SESSION, actions, caller_headers, client=caller.client)


def with_api_token(name: str, user: User, actions: frozenset[Action]) -> CallerClient:
    """Return a caller with an API token of a user."""
    return CallerClient(name, user.username, Authentication.API_TOKEN, actions, bearer(api_token(user)))


def with_access_token(name: str, provider: IdentityProvider, actions: frozenset[Action], *groups: str) -> CallerClient:
    """Return a caller with an access token of a user who only the provider knows, with the roles of these groups."""
    username = f"oidc {name}".replace(" ", "-")
    token = provider.token(username, [ROLES[group] for group in groups] + ["unmapped-role"])
    return CallerClient(name, username, Authentication.OPENID_CONNECT, actions, bearer(token))


ANONYMOUS = "anonymous"


def make_callers(provider: IdentityProvider, foreign: IdentityProvider) -> Iterator[CallerClient]:
    """Yield the callers without a scope: anonymous, each group with each authentication, and rejected tokens."""
    yield CallerClient(ANONYMOUS)
    for group, actions in GROUPS.items():
        groups, name = ([group], group) if group else ([], "no group")
        user = make_user(f"local {name}".replace(" ", "-"), *groups)
        yield with_session(f"{name} (session)", user, actions)
        yield with_api_token(f"{name} (API token)", user, actions)
        yield with_access_token(f"{name} (access token)", provider, actions, *groups)
    yield from make_rejected(provider, foreign)


def make_rejected(provider: IdentityProvider, foreign: IdentityProvider) -> Iterator[CallerClient]:
    """Yield callers whose tokens are rejected, although they name a Manager."""
    user, inactive = make_user("refused", "Manager"), make_user("inactive", "Manager", is_active=False)
    roles = [ROLES["Manager"]]
    # the issuer and the claims are those of the provider, the key is that of another one
    forged = foreign.token("eve", roles, claims={"iss": provider.issuer})
    headers = {
        "expired API token": (bearer(api_token(user, seconds=-1)), "The token has expired."),
        "expired access token": (
            bearer(provider.token("eve", roles, lifetime=-60)),
            "The access token has expired.",
        ),
        "foreign issuer": (bearer(foreign.token("eve", roles)), "The access token was issued by another provider."),
        "forged issuer": (bearer(forged), "The access token is signed by an unknown key."),
        "unknown API token": (bearer("0123456789abcdef" * 4), "The token is unknown."),
        "no token": (
            {"Authorization": "Bearer"},
            "The Authorization header must have the form “Bearer <token>”.",
        ),
        "another scheme": (
            {"Authorization": "Basic cmVmdXNlZDphcyBnb29kIGFzIGFueQ=="},
            "The Authorization header must have the form “Bearer <token>”.",
        ),
        "inactive user": (bearer(api_token(inactive)), "The user of this token is not active."),
    }
    for name, (sent, reason) in headers.items():
        yield CallerClient(name, headers=sent, rejection=reason)
    # a session does not replace a rejected token
    session = with_session("session and unknown token", user, frozenset())
    sent = {**session.headers, **bearer("0123456789abcdef" * 4)}
    yield CallerClient(session.name, headers=sent, rejection="The token is unknown.", client=session.client)


def make_scoped_callers(provider: IdentityProvider) -> Iterator[CallerClient]:
    """Yield Managers with an access scope, by patients or by labels, with each authentication."""
    every = GROUPS["Manager"]
    for group in SCOPES:
        user = make_user(f"local {group}", "Manager", group)
        yield with_session(f"{group} (session)", user, every)
        yield with_api_token(f"{group} (API token)", user, every)
        yield with_access_token(f"{group} (access token)", provider, every, "Manager", group)
