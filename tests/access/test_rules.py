"""What callers may do, and by which settings, groups and keys; and what happens when nothing can be written down."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission
from graphql import GraphQLObjectType
from pytest_django import Settings

from orthancproxy.access import oidc
from orthancproxy.access.actions import Action
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.conf import Configuration
from orthancproxy.schema import schema
from tests.access.archive import LABEL, Archive
from tests.access.callers import GROUPS, ROLES, Caller, bearer, make_user, with_api_token
from tests.access.cases import CASES
from tests.access.matrix import assert_cell
from tests.identity.provider import IdentityProvider
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

CHECKOUT = Path(__file__).resolve().parents[2]
Event, Outcome = EventKind, AuditOutcome
VIEWER = "{ viewer { username actions scopes { kind value } } }"
MAIN = {name: one for name, one in CASES.items() if not one.is_variant}


def test_a_new_database_has_the_groups(tmp_path: Path) -> None:
    environment = {**os.environ, "DJANGO_DATA_DIR": str(tmp_path), "DATABASE_URL": ""}
    command = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
    subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True)
    query = """
        SELECT g.name, c.app_label || '.' || p.codename, c.model
        FROM auth_group g
        JOIN auth_group_permissions gp ON gp.group_id = g.id
        JOIN auth_permission p ON p.id = gp.permission_id
        JOIN django_content_type c ON c.id = p.content_type_id
    """
    with sqlite3.connect(tmp_path / "gateway.sqlite3") as database:
        found = set(database.execute(query))
        [[rules]] = database.execute("SELECT count(*) FROM orthancproxy_accessscope")
        [[permissions]] = database.execute(
            "SELECT count(*) FROM auth_permission p JOIN django_content_type c ON c.id = p.content_type_id "
            "WHERE c.model = 'archive'"
        )
    database.close()
    assert found == {
        (group, action.permission, "archive") for group, actions in GROUPS.items() for action in actions if group
    }
    assert (rules, permissions) == (0, len(Action))


def test_viewer_tells_everybody_what_they_may(
    callers: dict[str, Caller], confined: dict[str, Caller], proxy: RecordingProxy
) -> None:
    scopes = {
        "Ward": [{"kind": "PATIENT_ID", "value": "P001"}, {"kind": "PATIENT_ID", "value": "W7-*"}],
        "Labelled": [{"kind": "STUDY_LABEL", "value": LABEL}],
    }
    for caller in (*callers.values(), *confined.values()):
        answer = caller.graphql(VIEWER)
        if caller.refusal:
            assert answer.status == 401
            continue
        assert answer.data["viewer"] == {
            "username": caller.username or None,
            "actions": [action.name for action in Action if action in caller.actions],
            "scopes": scopes.get(caller.name.split(" ")[0], []),
        }
    assert proxy.requests == []


class TestAnonymousActions:
    def test_there_are_none_by_default(self) -> None:
        assert Configuration.ORTHANC_ANONYMOUS_ACTIONS.default == ()

    @pytest.mark.parametrize("action", Action)
    def test_there_are_exactly_those_that_are_listed(
        self, action: Action, settings: Settings, stored: Archive, proxy: RecordingProxy
    ) -> None:
        settings.ORTHANC_ANONYMOUS_ACTIONS = [action.value]
        caller = Caller(f"anonymous {action.value}", actions=frozenset({action}))
        before = stored.state()
        for name, case in MAIN.items():
            try:
                assert_cell(case, caller, stored, proxy, before)
            except AssertionError as error:
                error.add_note(name)
                raise
            if stored.state() != before:
                stored.refill()
                before = stored.state()

    def test_they_are_not_those_of_somebody_who_is_known(
        self, settings: Settings, callers: dict[str, Caller], proxy: RecordingProxy
    ) -> None:
        settings.ORTHANC_ANONYMOUS_ACTIONS = ["view"]
        assert callers["anonymous"].rest("patients/").status == 200
        assert callers["unknown API token"].rest("patients/").status == 401
        for way in ("session", "API token", "access token"):
            assert callers[f"no group ({way})"].rest("patients/").status == 403


LEVELS = {
    "Patient": "patients { nodes { id %s } }",
    "Study": "studies { nodes { id %s } }",
    "Series": "seriesList { nodes { id %s } }",
    "Instance": "instances { nodes { id %s } }",
}
URLS = [
    f"{kind.name}.{name}"
    for kind in schema._schema.type_map.values()
    if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
    for name in kind.fields
    if name.lower().endswith("url")
]


class TestURLs:
    @pytest.fixture
    def beholder(self, groups: None) -> Iterator[Caller]:
        """Somebody who may see, and not download."""
        group = Group.objects.create(name="beholders")
        group.permissions.add(Permission.objects.get(codename="view", content_type__model="archive"))
        user = make_user("beholder", "beholders")
        yield with_api_token("beholder", user, frozenset({Action.VIEW}))
        user.delete()
        group.delete()

    def test_there_are_some_at_each_level(self) -> None:
        assert {name.split(".")[0] for name in URLS} == LEVELS.keys()

    @pytest.mark.parametrize("name", URLS)
    def test_who_may_not_download_gets_none(
        self, name: str, beholder: Caller, settings: Settings, stored: Archive
    ) -> None:
        kind, field = name.split(".")
        query = f"{{ {LEVELS[kind] % field} }}"
        settings.ORTHANC_ANONYMOUS_ACTIONS = ["view"]
        for caller, code in ((beholder, "FORBIDDEN"), (Caller("anonymous"), "UNAUTHENTICATED")):
            answer = caller.graphql(query)
            assert answer.status == 200
            assert set(answer.codes) == {code}
            assert b"http" not in answer.content
            [row] = answer.rows
            assert (row.event, row.outcome, row.error_code) == (Event.ACCESSED, Outcome.DENIED, code)
            assert row.operation == name
            assert caller.graphql(f"{{ {LEVELS[kind] % ''} }}").codes == []

    @pytest.mark.parametrize("name", URLS)
    def test_others_can_follow_it(self, name: str, callers: dict[str, Caller], stored: Archive) -> None:
        kind, field = name.split(".")
        viewer = callers["Viewer (access token)"]
        [nodes] = viewer.graphql(f"{{ {LEVELS[kind] % field} }}").data.values()
        url = nodes["nodes"][0][field]
        path = url.removeprefix("http://testserver")
        assert viewer.send("GET", path).status == 200
        assert callers["anonymous"].send("GET", path).status == 401
        assert callers["no group (session)"].send("GET", path).status == 403


class Clock:
    """Goes on when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class TestKeys:
    @pytest.fixture
    def provider(self, proxy: RecordingProxy, settings: Settings) -> Iterator[IdentityProvider]:
        with IdentityProvider() as running:
            for name, value in running.settings.items():
                setattr(settings, name, value)
            yield running

    def test_they_are_rotated_under_way(self, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Clock()
        monkeypatch.setattr(oidc, "monotonic", clock)

        def answers(token: str) -> tuple[int, int]:
            caller = Caller("", headers=bearer(token))
            query = caller.graphql("{ patients { totalCount } }")
            return query.status, caller.rest("patients/").status

        first = provider.token("anna", [ROLES["Viewer"]])
        assert answers(first) == (200, 200)
        # both are published for a while
        provider.rotate(withdraw=False)
        clock.now += oidc.FETCH_INTERVAL_SECONDS + 1
        second = provider.token("anna", [ROLES["Viewer"]])
        assert answers(second) == (200, 200)
        assert answers(first) == (200, 200)
        # withdrawn: not until somebody comes with a new one, or they are fetched again
        provider.rotate("ES256")
        clock.now += oidc.FETCH_INTERVAL_SECONDS + 1
        third = provider.token("anna", [ROLES["Viewer"]])
        assert answers(third) == (200, 200)
        clock.now += oidc.KEYS_LIFETIME_SECONDS + 1
        assert answers(first) == (401, 401)
        assert answers(second) == (401, 401)
        assert answers(third) == (200, 200)
        refused = Caller("", headers=bearer(first)).graphql(VIEWER)
        assert refused.json["errors"][0]["message"] == "The access token is signed by an unknown key."

    def test_no_provider_no_access_tokens(self, provider: IdentityProvider, settings: Settings) -> None:
        token = provider.token("anna", [ROLES["Manager"]])
        settings.ORTHANC_OIDC_ISSUER = ""
        answer = Caller("", headers=bearer(token)).rest("patients/")
        assert answer.status == 401
        assert answer.json["detail"] == "This gateway accepts no tokens of an OpenID Connect provider."

    def test_roles_are_groups_where_no_others_are_named(self, provider: IdentityProvider, settings: Settings) -> None:
        def actions(*roles: str) -> list[str]:
            viewer = Caller("", headers=bearer(provider.token("anna", roles))).graphql(VIEWER).data["viewer"]
            return list(viewer["actions"])

        # a group's own name is no role where roles are mapped
        assert actions("Manager") == []
        assert actions("boss", "ward") == [action.name for action in Action]
        settings.ORTHANC_OIDC_ROLE_GROUPS = []
        assert actions("boss") == []
        assert actions("Uploader", "no such group") == ["VIEW", "DOWNLOAD", "UPLOAD"]

    def test_a_user_of_the_same_name_lends_nothing(self, provider: IdentityProvider, groups: None) -> None:
        """The provider's names and the gateway's are not the same people."""
        user = make_user("anna", "Manager", is_superuser=True)
        try:
            token = provider.token("anna", [ROLES["Viewer"]])
            viewer = Caller("", headers=bearer(token)).graphql(VIEWER).data["viewer"]
            assert viewer["actions"] == ["VIEW", "DOWNLOAD"]
        finally:
            user.delete()
