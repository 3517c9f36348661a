"""The permission to correct, merge and split, which the group Manager gets."""

from django.db import migrations

from orthancproxy.access.actions import Action
from orthancproxy.access.new_permissions import new_permissions


class Migration(migrations.Migration):

    dependencies = [
        ("orthancproxy", "0019_job_phases"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [new_permissions(Action.MODIFY)]
