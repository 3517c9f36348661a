"""The table of share links, and the permission to make them, which the group Manager gets."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from orthancproxy.access.actions import Action


def permit_managers(apps, schema_editor):
    database = schema_editor.connection.alias
    content_types = apps.get_model("contenttypes", "ContentType").objects.using(database)
    permissions = apps.get_model("auth", "Permission").objects.using(database)
    archive, _ = content_types.get_or_create(app_label="orthancproxy", model="archive")
    share, _ = permissions.get_or_create(
        content_type=archive, codename=Action.SHARE.value, defaults={"name": Action.SHARE.description}
    )
    # a group of the project's with this name lacks the permissions of ours
    managers = apps.get_model("auth", "Group").objects.using(database).filter(
        name="Manager", permissions__content_type=archive, permissions__codename=Action.VIEW_AUDIT.value
    )
    for group in managers:
        group.permissions.add(share)


class Migration(migrations.Migration):

    dependencies = [
        ('orthancproxy', '0013_signed_urls'),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='auditevent',
            name='authentication',
            field=models.CharField(choices=[('NONE', 'None'), ('SESSION', 'Session'), ('API_TOKEN', 'Api Token'), ('OPENID_CONNECT', 'Openid Connect'), ('SIGNED_URL', 'Signed Url'), ('SHARE_LINK', 'Share Link')], default='NONE', max_length=16, verbose_name='authentication'),
        ),
        migrations.CreateModel(
            name='Share',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token_hash', models.CharField(max_length=64, unique=True)),
                ('password', models.CharField(blank=True, max_length=128)),
                ('study_orthanc_id', models.CharField(max_length=44, verbose_name='study')),
                ('study_instance_uid', models.TextField()),
                ('patient_id', models.TextField()),
                ('allows_download', models.BooleanField(verbose_name='download')),
                ('created_by', models.CharField(max_length=150, verbose_name='shared by')),
                ('groups', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created')),
                ('expires_at', models.DateTimeField(verbose_name='expires')),
                ('revoked_at', models.DateTimeField(null=True, verbose_name='revoked')),
                ('opened_at', models.DateTimeField(null=True, verbose_name='last opened')),
                ('wrong_passwords', models.PositiveSmallIntegerField(default=0)),
                ('last_wrong_at', models.DateTimeField(null=True)),
                ('user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'share link',
                'verbose_name_plural': 'share links',
                'default_permissions': (),
            },
        ),
        migrations.RunPython(permit_managers, migrations.RunPython.noop),
    ]
