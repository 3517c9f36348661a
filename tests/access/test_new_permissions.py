"""Migrations give new permissions to the group Manager of existing databases, and to no group of the project's."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.db import connection, migrations

MIGRATIONS = {
    "0017_labels": {"label", "label_scopes"},
    "0018_jobs": {"send", "manage_jobs"},
    "0020_correcting": {"modify"},
    "0021_anonymization": {"anonymize", "reidentify"},
    "0022_retrieving": {"retrieve"},
}
# which nobody has from the start
UNASSIGNED = {"reidentify"}


@pytest.mark.parametrize("name", MIGRATIONS)
def test_managers_of_existing_databases_get_the_permissions(name: str, groups: None) -> None:
    codenames = MIGRATIONS[name]
    managers, others = Group.objects.get(name="Manager"), Group.objects.get(name="Viewer")
    operations = import_module(f"orthancproxy.migrations.{name}").Migration.operations
    permit: Any
    [permit] = [one.code for one in operations if isinstance(one, migrations.RunPython)]

    def permitted(group: Group) -> set[str]:
        return codenames.intersection(group.permissions.values_list("codename", flat=True))

    def migrate() -> None:
        with connection.schema_editor() as editor:
            permit(apps, editor)

    before = list(managers.permissions.all())
    try:
        # a database of the release before, in which the permissions do not exist
        Permission.objects.filter(codename__in=codenames).delete()
        audit = Permission.objects.get(codename="view_audit", content_type__model="archive")
        managers.permissions.remove(audit)
        migrate()
        # it is not our group
        assert permitted(managers) == set()
        managers.permissions.add(audit)
        migrate()
        assert Permission.objects.filter(codename__in=codenames).count() == len(codenames)
        assert (permitted(managers), permitted(others)) == (codenames - UNASSIGNED, set())
    finally:
        managers.permissions.set(Permission.objects.filter(codename__in=[one.codename for one in before]))
