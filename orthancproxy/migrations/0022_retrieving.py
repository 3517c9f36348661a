"""The permission to retrieve from other servers, which the group Manager gets."""

from django.db import migrations

from orthancproxy.access.actions import Action


def permit_managers(apps, schema_editor):
    database = schema_editor.connection.alias
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(database)
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    archive, _ = content_types.get_or_create(app_label="orthancproxy", model="archive")
    permission, _ = permissions.get_or_create(
        content_type=archive, codename=Action.RETRIEVE.value, defaults={"name": Action.RETRIEVE.description}
    )
    # a group of the project's with this name lacks the permissions of ours
    managers = apps.get_model("auth", "Group").objects.using(database).filter(
        name="Manager", permissions__content_type=archive, permissions__codename=Action.VIEW_AUDIT.value
    )
    for group in managers:
        group.permissions.add(permission)


class Migration(migrations.Migration):

    dependencies = [
        ("orthancproxy", "0021_anonymization"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(permit_managers, migrations.RunPython.noop)]
