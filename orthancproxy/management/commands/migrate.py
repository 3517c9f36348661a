"""`manage.py migrate`: Django's command, of which one runs at a time on a database."""

from typing import Any

from django.core.management.commands import migrate

from orthancproxy.management.migration_lock import migration_lock


class Command(migrate.Command):
    """Waits until no other process migrates the database, then applies what is left to do."""

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate under the lock. `--plan` and `--check` change nothing, and do not wait."""
        if options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return

        def say() -> None:
            if options["verbosity"]:
                self.stdout.write("Another process is migrating the database: waiting for it.")
                self.stdout.flush()

        with migration_lock(say, options["database"]):
            super().handle(*args, **options)
