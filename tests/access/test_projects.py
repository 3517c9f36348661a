"""The gateway in a Django project of somebody else's, whose settings and groups are not ours."""

from collections.abc import Iterator
from importlib import import_module

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from pytest_django import Settings

from orthancproxy.audit.models import AuditEvent
from tests.access.archive import Archive
from tests.access.callers import Caller
from tests.access.cases import HERE, MOUNT

pytestmark = pytest.mark.live
ARCHIVE = f"{MOUNT}studies/{HERE.ids['studies']}/archive/"
QUERY = {"query": "{ patients { totalCount } }"}


@pytest.fixture
def transactions() -> Iterator[None]:
    """The project wants every request to be a transaction."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def outcomes() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("pk").values_list("operation", "outcome"))


@pytest.mark.usefixtures("transactions", "groups", "stored")
class TestAtomicRequests:
    def test_what_is_denied_is_written_down(self) -> None:
        before = len(outcomes())
        assert Client().get("/api/orthanc/patients/").status_code == 401
        answer = Client().post("/graphql/", QUERY, content_type="application/json").json()
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert Client().get(ARCHIVE).status_code == 401
        written = outcomes()[before:]
        assert [outcome for _, outcome in written] == ["DENIED"] * 3

    def test_what_is_allowed_is_done(self, callers: dict[str, Caller]) -> None:
        manager = callers["Manager (session)"]
        assert manager.graphql(QUERY["query"]).data["patients"]["totalCount"] == 3
        assert manager.send("GET", ARCHIVE).status == 200


def test_a_session_is_no_condition_where_the_project_wants_logins(
    settings: Settings, callers: dict[str, Caller], stored: Archive
) -> None:
    settings.MIDDLEWARE = [*django_settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    viewer = callers["Viewer (API token)"]
    assert viewer.graphql(QUERY["query"]).data["patients"]["totalCount"] == 3


def test_a_group_of_the_project_gets_no_permissions(groups: None) -> None:
    Group.objects.filter(name="Manager").update(name="ours")
    try:
        theirs = Group.objects.create(name="Manager")
        migration = import_module("orthancproxy.migrations.0003_groups")
        with connection.schema_editor() as editor:
            migration.make_groups(apps, editor)
        assert not theirs.permissions.exists()
    finally:
        Group.objects.filter(name="Manager").delete()
        Group.objects.filter(name="ours").update(name="Manager")
