"""The table of jobs, and the permissions to send and to manage jobs, which the group Manager gets."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from orthancproxy.access.actions import Action
from orthancproxy.access.new_permissions import new_permissions


class Migration(migrations.Migration):

    dependencies = [
        ('orthancproxy', '0017_labels'),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=16)),
                ('state', models.CharField(default='PENDING', max_length=16)),
                ('created_by', models.CharField(blank=True, max_length=150)),
                ('is_identity', models.BooleanField(default=False)),
                ('client_mutation_id', models.CharField(max_length=128, null=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ended_at', models.DateTimeField(null=True)),
                ('level', models.CharField(max_length=8)),
                ('orthanc_ids', models.JSONField()),
                ('parameters', models.JSONField(default=dict)),
                ('studies', models.JSONField()),
                ('progress', models.FloatField(default=0.0)),
                ('counts', models.JSONField(default=dict)),
                ('error', models.JSONField(null=True)),
                ('cancelled_at', models.DateTimeField(null=True)),
                ('version', models.PositiveIntegerField(default=1)),
                ('attempt', models.CharField(blank=True, max_length=32)),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('attempted_at', models.DateTimeField(null=True)),
                ('orthanc_job', models.CharField(blank=True, max_length=36)),
                ('seen_at', models.DateTimeField(null=True)),
                ('missing_since', models.DateTimeField(null=True)),
                ('intention', models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='job', to='orthancproxy.auditevent')),
            ],
            options={
                'indexes': [models.Index(fields=['created_by', '-id'], name='jobs_of_caller'), models.Index(fields=['ended_at', 'id'], name='jobs_by_end')],
                'constraints': [models.UniqueConstraint(fields=('created_by', 'is_identity', 'client_mutation_id'), name='one_job_for_each_mutation_id')],
            },
        ),
        new_permissions(Action.SEND, Action.MANAGE_JOBS),
    ]
