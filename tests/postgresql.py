"""A PostgreSQL of the tests' own."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from orthancproxy.sandbox.gateway import CHECKOUT, make_database
from orthancproxy.sandbox.postgresql import LocalPostgreSQL


@contextmanager
def run_postgresql(port: int | None = None, *options: str, superuser: str = "gateway") -> Iterator[str]:
    """Run a PostgreSQL, and yield the URL of its database. One that is not installed fails the test."""
    with LocalPostgreSQL(port, options, superuser) as postgresql:
        yield postgresql.url()


def new_database(url: str) -> str:
    """Return the URL of a new database, beside that at the URL."""
    name = f"of_a_test_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return f"{url.rpartition('/')[0]}/{name}"


def run_script(script: str, url: str, folder: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of the gateway on the database at the URL, which is migrated before."""
    environment = {"PATH": os.environ["PATH"], "DJANGO_DATA_DIR": str(folder), "DATABASE_URL": url}
    make_database(environment)
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=CHECKOUT,
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
