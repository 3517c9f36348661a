"""`manage.py archive_audit`: archive and delete old events of the audit log now."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orthancproxy.audit.retention import Retention
from orthancproxy.conf import conf


class Command(BaseCommand):
    """Does what a running gateway does, but also for fewer events than a whole file."""

    help = "Archive and delete the events of the audit that are older than ORTHANC_AUDIT_DAYS, as the gateway does."
    requires_system_checks = "__all__"

    def handle(self, *args: Any, **options: Any) -> None:
        if not conf.ORTHANC_AUDIT_DAYS:
            raise CommandError("ORTHANC_AUDIT_DAYS is 0: all events stay for ever.")
        try:
            retained = Retention().run(partial_file_age=timedelta(0))
        except OSError as error:
            raise CommandError(f"Archiving failed: {error}") from error
        for file in retained.files:
            self.stdout.write(str(file))
        self.stderr.write(f"{retained.deleted} events deleted")
