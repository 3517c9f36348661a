"""Migrates the database in the background, as soon as it is available."""

import logging
import os
import subprocess
import sys
import time

logger = logging.getLogger(__name__)

RETRY_SECONDS = 5.0


def migrate_until_done(retry_seconds: float = RETRY_SECONDS) -> None:
    """Run `manage.py migrate` until it succeeds, in a process of its own: it needs Django, which this one does not.

    A failure that repeats has one line in the log.
    """
    environment = {"DJANGO_SETTINGS_MODULE": "orthancproxy.project.settings", **os.environ}
    reported = ""
    while True:
        migration = subprocess.run(
            [sys.executable, "-m", "django", "migrate", "--noinput"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if migration.returncode == 0:
            applied = [line.strip() for line in migration.stdout.splitlines() if line.strip().startswith("Applying")]
            logger.info("database migrated", extra={"applied": len(applied)})
            return
        # the last line of a traceback says what it is
        [*_, reason] = ["", *migration.stderr.strip().splitlines()]
        if reason != reported:
            logger.error("the database cannot be migrated, and it is tried again: %s", reason)
            reported = reason
        time.sleep(retry_seconds)
