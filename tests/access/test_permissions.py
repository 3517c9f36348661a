"""Permissions of groups, anonymous callers and access tokens."""

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

from orthancproxy.access import identity_provider
from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.conf import Configuration
from orthancproxy.schema import schema
from tests.access.archive import LABEL, SmallArchive
from tests.access.callers import GROUPS, ROLES, CallerClient, bearer, make_user, with_api_token
from tests.access.cases import CASES
from tests.access.matrix import assert_access
from tests.identity.provider import IdentityProvider
from tests.manual_clock import ManualClock
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

CHECKOUT = Path(__file__).resolve().parents[2]
VIEWER = "{ viewer { username actions scopes { kind value } } }"
MAIN_CASES = {name: one for name, one in CASES.items() if not one.is_variant}


def test_migrations_create_the_groups_with_their_permissions(tmp_path: Path) -> None:
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


def test_viewer_field_has_the_actions_and_scopes_of_the_caller(
    callers: dict[str, CallerClient], scoped_callers: dict[str, CallerClient], proxy: RecordingProxy
) -> None:
    scopes = {
        "Ward": [{"kind": "PATIENT_ID", "value": "P001"}, {"kind": "PATIENT_ID", "value": "W7-*"}],
        "Labelled": [{"kind": "STUDY_LABEL", "value": LABEL}],
    }
    for caller in (*callers.values(), *scoped_callers.values()):
        answer = caller.graphql(VIEWER)
        if caller.rejection:
            assert answer.status == 401
            continue
        assert answer.data["viewer"] == {
            "username": caller.username or None,
            "actions": [action.name for action in Action if action in caller.actions],
            "scopes": scopes.get(caller.name.split(" ")[0], []),
        }
    assert proxy.requests == []


# the actions that are shared; the permission to download
TAKES_MORE = {
    ("Mutation.shareStudy", Action.SHARE),
    ("GET studies/<str:orthanc_id>/anonymized/", Action.ANONYMIZE),
}


class TestAnonymousActions:
    def test_anonymous_callers_have_no_actions_by_default(self) -> None:
        assert Configuration.ORTHANC_ANONYMOUS_ACTIONS.default == ()

    @pytest.mark.parametrize("action", Action)
    def test_anonymous_callers_have_exactly_the_actions_of_the_setting(
        self, action: Action, settings: Settings, archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        settings.ORTHANC_ANONYMOUS_ACTIONS = [action.value]
        # nobody changes labels without a name, although the setting says so
        caller = CallerClient(f"anonymous {action.value}", actions=FOR_ANYONE & {action})
        before = archive.state()
        for name, case in MAIN_CASES.items():
            if (name, action) in TAKES_MORE:
                continue
            try:
                assert_access(case, caller, archive, proxy, before)
            except AssertionError as error:
                error.add_note(name)
                raise
            if archive.state() != before:
                archive.refill()
                before = archive.state()

    def test_authenticated_callers_do_not_have_the_anonymous_actions(
        self, settings: Settings, callers: dict[str, CallerClient], proxy: RecordingProxy
    ) -> None:
        settings.ORTHANC_ANONYMOUS_ACTIONS = ["view"]
        assert callers["anonymous"].rest("patients/").status == 200
        assert callers["unknown API token"].rest("patients/").status == 401
        for authentication in ("session", "API token", "access token"):
            assert callers[f"no group ({authentication})"].rest("patients/").status == 403


LEVELS = {
    "Patient": "patients { nodes { id %s } }",
    "Study": "studies { nodes { id %s } }",
    "Series": "seriesList { nodes { id %s } }",
    "Instance": "instances { nodes { id %s } }",
}
URLS = [
    f"{kind.name}.{name}"
    for kind in schema._schema.type_map.values()
    # of a share link, the URL is no download; that of an anonymized study takes more (test_anonymization.py)
    if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
    if kind.name not in {"Share", "AnonymizePayload"}
    for name in kind.fields
    if name.lower().endswith("url")
]


class TestURLFields:
    @pytest.fixture
    def view_only_caller(self, groups: None) -> Iterator[CallerClient]:
        """Yield a caller with the permission to view but not to download."""
        group = Group.objects.create(name="beholders")
        group.permissions.add(Permission.objects.get(codename="view", content_type__model="archive"))
        user = make_user("beholder", "beholders")
        yield with_api_token("beholder", user, frozenset({Action.VIEW}))
        user.delete()
        group.delete()

    def test_each_level_has_url_fields(self) -> None:
        assert {name.split(".")[0] for name in URLS} == LEVELS.keys()

    @pytest.mark.parametrize("name", URLS)
    def test_url_field_without_the_permission_to_download_is_denied(
        self, name: str, view_only_caller: CallerClient, settings: Settings, archive: SmallArchive
    ) -> None:
        kind, field = name.split(".")
        query = f"{{ {LEVELS[kind] % field} }}"
        settings.ORTHANC_ANONYMOUS_ACTIONS = ["view"]
        for caller, code in ((view_only_caller, "FORBIDDEN"), (CallerClient("anonymous"), "UNAUTHENTICATED")):
            answer = caller.graphql(query)
            assert answer.status == 200
            assert set(answer.codes) == {code}
            assert b"http" not in answer.content
            [row] = answer.audit_events
            assert (row.event, row.outcome, row.error_code) == (EventKind.ACCESSED, AuditOutcome.DENIED, code)
            assert row.operation == name
            assert caller.graphql(f"{{ {LEVELS[kind] % ''} }}").codes == []

    @pytest.mark.parametrize("name", [name for name in URLS if name != "Study.viewerUrl"])
    def test_url_of_a_field_is_served_to_callers_with_the_permission_only(
        self, name: str, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        kind, field = name.split(".")
        viewer = callers["Viewer (access token)"]
        [nodes] = viewer.graphql(f"{{ {LEVELS[kind] % field} }}").data.values()
        url = nodes["nodes"][0][field]
        path = url.removeprefix("http://testserver")
        assert viewer.send("GET", path).status == 200
        assert callers["anonymous"].send("GET", path).status == 401
        assert callers["no group (session)"].send("GET", path).status == 403


class TestAccessTokens:
    @pytest.fixture
    def provider(self, proxy: RecordingProxy, settings: Settings) -> Iterator[IdentityProvider]:
        with IdentityProvider() as running:
            for name, value in running.settings.items():
                setattr(settings, name, value)
            yield running

    def test_token_is_valid_as_long_as_its_key_is_published(
        self, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = ManualClock()
        monkeypatch.setattr(identity_provider, "monotonic", clock)

        def answers(token: str) -> tuple[int, int]:
            caller = CallerClient("", headers=bearer(token))
            query = caller.graphql("{ patients { totalCount } }")
            return query.status, caller.rest("patients/").status

        first = provider.token("anna", [ROLES["Viewer"]])
        assert answers(first) == (200, 200)
        # both are published for a while
        provider.rotate(withdraw=False)
        clock.now += identity_provider.FETCH_INTERVAL_SECONDS + 1
        second = provider.token("anna", [ROLES["Viewer"]])
        assert answers(second) == (200, 200)
        assert answers(first) == (200, 200)
        # a withdrawn key is accepted until the keys are fetched again: for a token with a new key, or by their age
        provider.rotate("ES256")
        clock.now += identity_provider.FETCH_INTERVAL_SECONDS + 1
        third = provider.token("anna", [ROLES["Viewer"]])
        assert answers(third) == (200, 200)
        clock.now += identity_provider.KEYS_LIFETIME_SECONDS + 1
        assert answers(first) == (401, 401)
        assert answers(second) == (401, 401)
        assert answers(third) == (200, 200)
        rejected = CallerClient("", headers=bearer(first)).graphql(VIEWER)
        assert rejected.json["errors"][0]["message"] == "The access token is signed by an unknown key."

    def test_access_token_is_rejected_if_no_provider_is_configured(
        self, provider: IdentityProvider, settings: Settings
    ) -> None:
        token = provider.token("anna", [ROLES["Manager"]])
        settings.ORTHANC_OIDC_ISSUER = ""
        answer = CallerClient("", headers=bearer(token)).rest("patients/")
        assert answer.status == 401
        assert answer.json["detail"] == "This gateway does not accept tokens of an OpenID Connect provider."

    def test_roles_are_group_names_unless_the_setting_maps_them(
        self, provider: IdentityProvider, settings: Settings
    ) -> None:
        def actions(*roles: str) -> list[str]:
            viewer = CallerClient("", headers=bearer(provider.token("anna", roles))).graphql(VIEWER).data["viewer"]
            return list(viewer["actions"])

        # the name of a group is not a role if roles are mapped
        assert actions("Manager") == []
        assert actions("boss", "ward") == [action.name for action in Action if action in GROUPS["Manager"]]
        settings.ORTHANC_OIDC_ROLE_GROUPS = []
        assert actions("boss") == []
        assert actions("Uploader", "no such group") == ["VIEW", "DOWNLOAD", "UPLOAD"]

    def test_access_token_does_not_have_the_permissions_of_a_local_user_with_the_same_name(
        self, provider: IdentityProvider, groups: None
    ) -> None:
        user = make_user("anna", "Manager", is_superuser=True)
        try:
            token = provider.token("anna", [ROLES["Viewer"]])
            viewer = CallerClient("", headers=bearer(token)).graphql(VIEWER).data["viewer"]
            assert viewer["actions"] == ["VIEW", "DOWNLOAD"]
        finally:
            user.delete()
