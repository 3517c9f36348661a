"""The gateway as an app of another Django project, with its settings and groups."""

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
from tests.access.archive import SmallArchive
from tests.access.callers import CallerClient
from tests.access.cases import DEFAULT_TARGET, MOUNT

pytestmark = pytest.mark.live
ARCHIVE = f"{MOUNT}studies/{DEFAULT_TARGET.ids['studies']}/archive/"
QUERY = {"query": "{ patients { totalCount } }"}


@pytest.fixture
def transactions() -> Iterator[None]:
    """Let every request be a transaction."""
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


def outcomes() -> list[tuple[str, str]]:
    return list(AuditEvent.objects.order_by("pk").values_list("operation", "outcome"))


@pytest.mark.usefixtures("transactions", "groups", "archive")
class TestAtomicRequests:
    def test_denied_request_is_audited_despite_the_rollback(self) -> None:
        before = len(outcomes())
        assert Client().get("/api/orthanc/patients/").status_code == 401
        answer = Client().post("/graphql/", QUERY, content_type="application/json").json()
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert Client().get(ARCHIVE).status_code == 401
        audited_values = outcomes()[before:]
        assert [outcome for _, outcome in audited_values] == ["DENIED"] * 3

    def test_permitted_request_succeeds(self, callers: dict[str, CallerClient]) -> None:
        manager = callers["Manager (session)"]
        assert manager.graphql(QUERY["query"]).data["patients"]["totalCount"] == 3
        assert manager.send("GET", ARCHIVE).status == 200


def test_api_token_is_accepted_if_the_project_requires_logins(
    settings: Settings, callers: dict[str, CallerClient], archive: SmallArchive
) -> None:
    settings.MIDDLEWARE = [*django_settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    viewer = callers["Viewer (API token)"]
    assert viewer.graphql(QUERY["query"]).data["patients"]["totalCount"] == 3


def test_migration_grants_no_permissions_to_an_existing_group(groups: None) -> None:
    Group.objects.filter(name="Manager").update(name="gateway manager")
    try:
        existing = Group.objects.create(name="Manager")
        migration = import_module("orthancproxy.migrations.0003_groups")
        with connection.schema_editor() as editor:
            migration.make_groups(apps, editor)
        assert not existing.permissions.exists()
    finally:
        Group.objects.filter(name="Manager").delete()
        Group.objects.filter(name="gateway manager").update(name="Manager")
