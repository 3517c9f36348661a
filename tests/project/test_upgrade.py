"""Two hosts are upgraded one after the other: the old one goes on with the database that the new one has migrated."""

import datetime
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from django.apps.registry import Apps
from django.core.management import call_command
from django.db import connections, models
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import ConnectionHandler

from orthancproxy.project.environment import Environment
from orthancproxy.sandbox.orthanc import LocalOrthanc, free_port
from orthancproxy.sandbox.process import ChildProcess
from tests.postgresql import run_postgresql
from tests.waiting import wait_until

CHECKOUT = Path(__file__).parents[2]
APP = "orthancproxy"
RELEASED = [(APP, "0015_index_version")]
"""The migrations of the last release. Later ones may add, and remove nothing that its code uses."""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/gateway.sqlite3"
        return
    with run_postgresql() as url:
        yield url


@pytest.fixture
def using(url: str, tmp_path: Path) -> Iterator[str]:
    """The alias of the database, beside that of the tests."""
    settings = Environment({}).database(url, tmp_path)
    settings["OPTIONS"].pop("pool", None)
    connections.databases["upgraded"] = ConnectionHandler({"default": settings}).settings["default"]
    try:
        yield "upgraded"
    finally:
        connections["upgraded"].close()
        del connections["upgraded"], connections.databases["upgraded"]


def value(field: "models.Field[Any, Any]", row: int) -> Any:
    """Return a value for a field, another for each row."""
    match field:
        case models.BooleanField():
            return False
        case models.IntegerField() | models.FloatField() | models.DecimalField():
            return row
        case models.DateTimeField():
            return datetime.datetime(2026, 1, row, tzinfo=datetime.UTC)
        case models.DateField():
            return datetime.date(2026, 1, row)
        case models.TimeField():
            return datetime.time(row)
        case models.JSONField():
            return {}
        case models.UUIDField():
            return uuid.UUID(int=row)
        case models.GenericIPAddressField():
            return f"192.0.2.{row}"
        case models.BinaryField():
            return bytes([row])
        case _:
            return str(row)


def write_rows(apps: Apps, using: str, row: int) -> Mapping[str, Any]:
    """Write a row of each model of the gateway, as the code of these models does; return them by model."""
    made: dict[str, Any] = {}

    def write(model: Any) -> Any:
        """Write a row, and first those that it refers to."""
        if (label := model._meta.label) not in made:
            fields = [
                one for one in model._meta.concrete_fields if not one.null and not isinstance(one, models.AutoField)
            ]
            values = {one.name: write(one.related_model) if one.is_relation else value(one, row) for one in fields}
            made[label] = model._default_manager.using(using).create(**values)
        return made[label]

    for model in apps.get_models():
        if model._meta.app_label == APP and model._meta.managed:
            write(model)
    return {label: one for label, one in made.items() if label.startswith(f"{APP}.")}


def test_the_code_of_the_last_release_goes_on_after_the_migration(using: str) -> None:
    # of other apps, such as that of sessions, the release had what it needs
    for target in (*RELEASED, *[(app,) for app in ("auth", "contenttypes", "sessions", "knox", "axes", "admin")]):
        call_command("migrate", *target, database=using, verbosity=0)
    apps = MigrationExecutor(connections[using]).loader.project_state(RELEASED).apps
    before = write_rows(apps, using, 1)
    assert len(before) >= 8
    call_command("migrate", database=using, verbosity=0)
    # the other host has not been upgraded yet
    during = write_rows(apps, using, 2)
    for label, first in before.items():
        model = type(first)
        rows = model._default_manager.using(using)
        assert rows.filter(pk__in=[first.pk, during[label].pk]).count() == 2, label
        first.refresh_from_db(using=using)
        first.save(using=using)
    for one in reversed([*during.values()]):
        one.delete(using=using)


def test_hosts_that_start_with_the_new_code_take_over_the_old_database(archive: LocalOrthanc, tmp_path: Path) -> None:
    with run_postgresql() as url, ExitStack() as stack:
        command = [sys.executable, "manage.py", "migrate", "--noinput", "--verbosity", "0", *RELEASED[0]]
        subprocess.run(command, cwd=CHECKOUT, env={**os.environ, "DATABASE_URL": url}, check=True)
        hosts = []
        # the second does not migrate: it waits until the first has
        for number, arguments in enumerate((["--migrate"], [])):
            port = free_port()
            folder = tmp_path / str(number)
            folder.mkdir()
            gateway = ChildProcess(
                [sys.executable, "-m", "orthancproxy.project.server", "--port", str(port), *arguments],
                log=folder / "gateway.log",
                environment={
                    **os.environ,
                    "PYTHONPATH": str(CHECKOUT),
                    "DATABASE_URL": url,
                    "DJANGO_DATA_DIR": str(folder),
                    "ORTHANC_BASE_URL": archive.base_url,
                    "ORTHANC_ANONYMOUS_ACTIONS": "view",
                    "WEB_CONCURRENCY": "1",
                },
            )
            stack.callback(gateway.stop)
            hosts.append(f"http://127.0.0.1:{port}")

        def is_ready(address: str) -> bool:
            try:
                return requests.get(f"{address}/readyz", timeout=5).status_code == 200
            except requests.ConnectionError:
                return False

        for address in reversed(hosts):
            wait_until(lambda address=address: is_ready(address), seconds=90)  # type: ignore[misc]
            assert requests.get(f"{address}/api/orthanc/patients/", timeout=20).json()


pytestmark = [pytest.mark.once, pytest.mark.live]
