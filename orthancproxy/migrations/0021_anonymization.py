"""The table of pseudonyms, and the permission to anonymize, which the group Manager gets; nobody may re-identify."""

import django.utils.timezone
from django.db import migrations, models

from orthancproxy.access.actions import Action
from orthancproxy.access.new_permissions import new_permissions


class Migration(migrations.Migration):

    dependencies = [
        ("orthancproxy", "0020_correcting"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.CreateModel(
            name='Pseudonym',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('project', models.CharField(max_length=64)),
                ('patient_id', models.CharField(max_length=324)),
                ('pseudonym', models.CharField(max_length=64)),
                ('days', models.SmallIntegerField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_by', models.CharField(blank=True, max_length=150)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('project', 'patient_id'), name='one_pseudonym_for_each_patient'), models.UniqueConstraint(fields=('project', 'pseudonym'), name='one_patient_for_each_pseudonym')],
            },
        ),
        new_permissions(Action.ANONYMIZE, Action.REIDENTIFY),
    ]
