"""The groups Viewer, Uploader and Manager, with their permissions."""

from django.db import migrations

from orthancproxy.access.actions import PERMISSIONS, Action

GROUPS = {
    group: [action.value for action in Action if group in action.groups]
    for group in dict.fromkeys(group for action in Action for group in action.groups)
}


def make_groups(apps, schema_editor):
    # Django itself makes the permissions after the last migration only
    database = schema_editor.connection.alias
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(database)
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    groups = apps.get_model("auth", "Group").objects.using(database)
    archive, _ = content_types.get_or_create(app_label="orthancproxy", model="archive")
    made = {
        codename: permissions.get_or_create(content_type=archive, codename=codename, defaults={"name": name})[0]
        for codename, name in PERMISSIONS
    }
    for name, codenames in GROUPS.items():
        group, is_new = groups.get_or_create(name=name)
        # members of a group that the project has already did not join it for this
        if is_new:
            group.permissions.add(*(made[codename] for codename in codenames))


class Migration(migrations.Migration):
    dependencies = [
        ("orthancproxy", "0002_access_and_audit"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
