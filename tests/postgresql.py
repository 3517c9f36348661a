"""A PostgreSQL of the tests' own."""

from collections.abc import Iterator
from contextlib import contextmanager

from orthancproxy.sandbox.postgresql import LocalPostgreSQL


@contextmanager
def run_postgresql(port: int | None = None, *options: str, superuser: str = "gateway") -> Iterator[str]:
    """Run a PostgreSQL, and yield the URL of its database. One that is not installed fails the test."""
    with LocalPostgreSQL(port, options, superuser) as postgresql:
        yield postgresql.url()
