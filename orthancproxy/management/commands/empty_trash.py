"""`manage.py empty_trash`: delete for good what has been in the trash for long enough."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from orthancproxy.conf import conf
from orthancproxy.errors import GatewayError
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.resolvers.trash import TrashKeeper


class Command(BaseCommand):
    """Does what a running gateway does every hour, or empties a trash that was turned off."""

    help = "Delete for good the studies that have been in the trash for ORTHANC_TRASH_DAYS. The gateway may run."
    requires_system_checks = "__all__"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=float,
            help="instead of ORTHANC_TRASH_DAYS; 0 for all of which is known since when they are there",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days = conf.ORTHANC_TRASH_DAYS if options["days"] is None else options["days"]
        if options["days"] is None and not days:
            raise CommandError("ORTHANC_TRASH_DAYS is 0: say how long with --days.")
        if not days >= 0:
            raise CommandError("The number of days cannot be negative.")
        client = connect()
        parts = background(client)
        try:
            deleted = TrashKeeper(client, parts.report).empty(days)
        except GatewayError as error:
            raise CommandError(f"The trash cannot be emptied: {error}") from error
        finally:
            parts.follower.stop()
        self.stdout.write(f"{deleted} studies were deleted for good.")
