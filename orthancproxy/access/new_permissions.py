"""What migrations do with the permissions of new actions."""

from typing import Any

from django.db import migrations

from orthancproxy.access.actions import Action

# by which a group is known as ours
_IN_GROUP = {"Manager": Action.VIEW_AUDIT.value}


def new_permissions(*actions: Action) -> migrations.RunPython:
    """Return the step of a migration that creates the permissions of actions, and gives them to the groups they name.

    A group of the project's with the name of ours lacks the permissions of ours, and gets no more. The migration
    depends on `auth` 0012 and `contenttypes` 0002.
    """

    def create(apps: Any, schema_editor: Any) -> None:
        database = schema_editor.connection.alias
        content_types = apps.get_model("contenttypes", "ContentType").objects.using(database)
        permissions = apps.get_model("auth", "Permission").objects.using(database)
        archive, _ = content_types.get_or_create(app_label="orthancproxy", model="archive")
        groups = apps.get_model("auth", "Group").objects.using(database).filter(permissions__content_type=archive)
        for action in actions:
            permission, _ = permissions.get_or_create(
                content_type=archive, codename=action.value, defaults={"name": action.description}
            )
            for name in action.groups:
                for group in groups.filter(name=name, permissions__codename=_IN_GROUP[name]):
                    group.permissions.add(permission)

    return migrations.RunPython(create, migrations.RunPython.noop)
