"""Changes of access are audited, whichever way they are made, with who made them and what changed."""

import io
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import get_hasher
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.db import OperationalError, transaction
from django.test import Client
from knox.models import AuthToken

from orthancproxy.access.models import AccessScope
from orthancproxy.audit import events
from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.kinds import EventKind
from orthancproxy.audit.models import AuditEvent
from tests.audit.test_dicom_messages import coded_value, event_identification, objects, parsed_messages
from tests.conftest import GraphQL

BACKEND = "orthancproxy.project.login.PasswordBackend"

pytestmark = pytest.mark.django_db(transaction=True)


def changed() -> list[tuple[str, Any]]:
    """Return the target and the details of each change, oldest first."""
    return list(
        AuditEvent.objects.filter(event=EventKind.ACCESS_CHANGED).order_by("pk").values_list("target", "details")
    )


def changed_by(action: Callable[[], object]) -> list[tuple[str, Any]]:
    """Return the target and the details of the changes of an action."""
    before = len(changed())
    action()
    return changed()[before:]


@pytest.fixture
def root() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root"), backend=BACKEND)
    return client


@pytest.fixture
def kim() -> User:
    return User.objects.create_user("kim", password="as good as any")


def user_form(user: User, **values: Any) -> dict[str, Any]:
    joined = {"date_joined_0": "2026-01-31", "date_joined_1": "12:00:00"}
    return {"username": user.username, "is_active": "on", **joined, **values}


class TestAdmin:
    def test_groups_and_permissions_of_a_user(self, root: Client, kim: User) -> None:
        group, permission = Group.objects.create(name="Ward 7"), Permission.objects.get(codename="delete_user")
        form = user_form(kim, is_staff="on", groups=[group.pk], user_permissions=[permission.pk])
        path = f"/admin/auth/user/{kim.pk}/change/"
        assert changed_by(lambda: root.post(path, form)) == [
            ("users/kim", {"changed": {"is_staff": [False, True]}}),
            ("users/kim", {"groups added": ["Ward 7"]}),
            ("users/kim", {"user_permissions added": ["auth.delete_user"]}),
        ]
        for event in AuditEvent.objects.order_by("-pk")[:3]:
            assert (event.username, event.authentication, event.address) == ("root", "SESSION", "127.0.0.1")
            assert (event.operation, event.outcome) == (f"POST {path}", "SUCCESS")
            assert event.request_id
        assert changed_by(lambda: root.post(path, user_form(kim))) == [
            ("users/kim", {"changed": {"is_staff": [True, False]}}),
            ("users/kim", {"groups removed": ["Ward 7"]}),
            ("users/kim", {"user_permissions removed": ["auth.delete_user"]}),
        ]
        assert changed_by(lambda: root.post(path, user_form(kim))) == []

    def test_password_is_not_in_the_log(self, root: Client, kim: User) -> None:
        form = {"password1": "much better than that", "password2": "much better than that", "usable_password": "true"}
        found = changed_by(lambda: root.post(f"/admin/auth/user/{kim.pk}/password/", form))
        assert found == [("users/kim", {"changed": {"password": None}})]

    def test_group_with_an_access_scope(self, root: Client) -> None:
        group = Group.objects.create(name="Ward 7")
        permission = Permission.objects.get(codename="view_audit")
        prefix = "access_scopes"
        form = {
            "name": "Ward 8",
            "permissions": [permission.pk],
            f"{prefix}-INITIAL_FORMS": 0,
            f"{prefix}-TOTAL_FORMS": 1,
            f"{prefix}-0-kind": "PATIENT_ID",
            f"{prefix}-0-value": "W8-*",
        }
        scope = {"group_id": group.pk, "kind": "PATIENT_ID", "value": "W8-*"}
        assert changed_by(lambda: root.post(f"/admin/auth/group/{group.pk}/change/", form)) == [
            ("groups/Ward 8", {"changed": {"name": ["Ward 7", "Ward 8"]}}),
            ("groups/Ward 8", {"permissions added": ["orthancproxy.view_audit"]}),
            ("groups/Ward 8", {"access scope created": scope}),
        ]
        form |= {f"{prefix}-INITIAL_FORMS": 1, f"{prefix}-0-id": AccessScope.objects.get().pk}
        form |= {f"{prefix}-0-group": group.pk, f"{prefix}-0-value": "*"}
        assert changed_by(lambda: root.post(f"/admin/auth/group/{group.pk}/change/", form)) == [
            ("groups/Ward 8", {"access scope changed": {"value": ["W8-*", "*"]}})
        ]
        form[f"{prefix}-0-DELETE"] = "on"
        assert changed_by(lambda: root.post(f"/admin/auth/group/{group.pk}/change/", form)) == [
            ("groups/Ward 8", {"access scope deleted": {**scope, "value": "*"}})
        ]

    def test_deleted_users_and_their_tokens(self, root: Client, kim: User) -> None:
        AuthToken.objects.create(kim, expiry=None)
        form = {"action": "delete_selected", "_selected_action": [kim.pk], "post": "yes"}
        found = changed_by(lambda: root.post("/admin/auth/user/", form))
        assert sorted(target for target, _ in found) == ["tokens/kim", "users/kim"]
        assert all(details.keys() == {"deleted"} for _, details in found)

    def test_change_that_cannot_be_audited_is_not_made(
        self, root: Client, kim: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise OperationalError("database is locked")

        monkeypatch.setattr(events, "write", fail)
        root.raise_request_exception = False
        assert root.post(f"/admin/auth/user/{kim.pk}/change/", user_form(kim, is_superuser="on")).status_code == 503
        kim.refresh_from_db()
        assert not kim.is_superuser


class TestOtherWays:
    def test_tokens_page(self, kim: User) -> None:
        client = Client()
        client.force_login(kim, backend=BACKEND)
        [(target, details)] = changed_by(lambda: client.post("/tokens/", {"days": 30}))
        token = AuthToken.objects.get()
        assert (target, details.keys()) == ("tokens/kim", {"created"})
        assert token.digest not in str(details)
        [event] = AuditEvent.objects.filter(event=EventKind.ACCESS_CHANGED).order_by("-pk")[:1]
        assert (event.username, event.operation) == ("kim", "POST /tokens/")
        [(target, details)] = changed_by(lambda: client.post("/tokens/", {"revoke": token.digest}))
        assert (target, details.keys()) == ("tokens/kim", {"deleted"})

    def test_commands(self, kim: User) -> None:
        [(target, _)] = changed_by(lambda: call_command("create_api_token", "kim", stdout=io.StringIO()))
        assert target == "tokens/kim"
        [event] = AuditEvent.objects.filter(event=EventKind.ACCESS_CHANGED).order_by("-pk")[:1]
        assert (event.username, event.address, event.request_id) == ("", None, "")
        [(target, details)] = changed_by(
            lambda: call_command("createsuperuser", username="chief", email="", interactive=False)
        )
        assert target == "users/chief"
        assert details["created"]["is_superuser"] is True

    def test_members_from_the_other_side_and_all_at_once(self, kim: User) -> None:
        group, other = Group.objects.create(name="Ward 7"), Group.objects.create(name="Ward 8")
        assert changed_by(lambda: group.user_set.add(kim)) == [("users/kim", {"groups added": ["Ward 7"]})]
        assert changed_by(lambda: group.user_set.add(kim)) == []
        other.user_set.add(kim)
        assert changed_by(group.user_set.clear) == [("users/kim", {"groups removed": ["Ward 7"]})]
        assert changed_by(kim.groups.clear) == [("users/kim", {"groups removed": ["Ward 8"]})]

    def test_login_changes_nothing(self, kim: User) -> None:
        # with the number of iterations of years ago: the password is hashed anew
        algorithm, _, salt, _ = kim.password.split("$")
        hasher: Any = get_hasher(algorithm)
        kim.password = hasher.encode("as good as any", salt, iterations=1000)
        kim.save()

        def log_in() -> None:
            assert Client().post("/login/", {"username": "kim", "password": "as good as any"}).status_code == 302

        assert changed_by(log_in) == []
        kim.refresh_from_db()
        assert "$1000$" not in kim.password

    def test_change_that_is_rolled_back_is_not_in_the_log(self, kim: User) -> None:
        def change() -> None:
            with transaction.atomic():
                kim.is_staff = True
                kim.save()
                transaction.set_rollback(True)

        assert changed_by(change) == []


def test_messages_are_security_alerts_about_a_user_or_a_role(kim: User) -> None:
    group = Group.objects.create(name="Ward 7")
    found = {event.target: event for event in AuditEvent.objects.filter(event=EventKind.ACCESS_CHANGED)}
    for instance, target, code in (
        (kim, "users/kim", "110137 DCM User Security Attributes Changed"),
        (group, "groups/Ward 7", "110136 DCM Security Roles Changed"),
    ):
        assert instance.pk
        [message] = parsed_messages(found[target])
        assert coded_value(event_identification(message), "EventID") == "110113 DCM Security Alert"
        assert coded_value(event_identification(message), "EventTypeCode") == code
        assert event_identification(message).get("EventActionCode") == "E"
        [alert] = objects(message)
        assert alert == ("2", "13", "12 RFC-3881 URI", f"//gateway/{target.replace(' ', '%20')}")
        detail = message.find("ParticipantObjectIdentification/ParticipantObjectDetail")
        assert detail is not None
        assert detail.get("type") == "Alert Description"
        assert "created" in b64decode(str(detail.get("value"))).decode()
    assert len(list(messages(found["users/kim"], "gateway"))) == 1


def test_api_shows_the_details(kim: User, graphql: GraphQL) -> None:
    query = "{ auditEvents(filter: {events: [ACCESS_CHANGED]}) { nodes { code target details } } }"
    [event] = graphql(query)["auditEvents"]["nodes"]
    assert (event["code"], event["target"]) == ("110113", "users/kim")
    assert event["details"]["created"]["is_active"] is True
