"""`manage.py tune_orthanc_index`: make a large SQLite index of Orthanc fast."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from orthancproxy.orthanc.sqlite_index import IndexNotTunable, tune, untune


class Command(BaseCommand):
    """Gives the SQLite index of a stopped Orthanc the statistics from which SQLite plans its queries."""

    help = "Give Orthanc's SQLite index the statistics from which SQLite plans its queries. Stop Orthanc first."
    # it needs neither the gateway's settings nor its database
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "path", type=Path, metavar="PATH", help="the file `index` in the IndexDirectory of Orthanc's configuration"
        )
        parser.add_argument("--undo", action="store_true", help="remove all statistics, as Orthanc creates an index")

    def handle(self, *args: Any, path: Path, undo: bool, **options: Any) -> None:
        try:
            if undo:
                done = "removed all statistics" if untune(path) else "there are no statistics, nothing to do"
            else:
                done = "added the statistics" if tune(path) else "it has the statistics, nothing to do"
        except IndexNotTunable as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{path}: {done}.")
