"""A PostgreSQL of the tests' own."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

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
