"""A PostgreSQL of the sandbox starts again, whatever has ended it."""

import os
import signal
from threading import Timer

import psycopg

from orthancproxy.sandbox.postgresql import LocalPostgreSQL


def test_it_starts_again_while_a_connection_of_the_killed_one_has_not_ended() -> None:
    with LocalPostgreSQL() as postgresql, psycopg.connect(postgresql.url()) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        goes_on = Timer(1.0, os.kill, (backend, signal.SIGCONT))
        postgresql.kill()
        goes_on.start()
        try:
            postgresql.start()
        finally:
            goes_on.join()
        with psycopg.connect(postgresql.url()) as other:
            assert other.execute("SELECT 1").fetchone() == (1,)
