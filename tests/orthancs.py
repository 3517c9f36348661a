"""Orthancs for the tests: started one by one, and ended together."""

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from orthancproxy.archive.levels import Level
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.sandbox.orthanc import Installation, LocalOrthanc
from tests.postgresql import new_database

StartOrthanc = Callable[..., LocalOrthanc]

# settings of a gateway that calls Orthanc for nothing but requests, and keeps no connection to it
NOT_FOLLOWING = {"ORTHANC_CHANGES_DAYS": "0", "ORTHANC_INDEX": "false"}

# Orthanc's, for tests that count calls: one over a connection that Orthanc closes meanwhile, idle for a second, is
# repeated, and Orthanc may be another one then, of which all is found out again
ONE_CALL_PER_CONNECTION = {"KeepAlive": False}


@contextmanager
def running_orthancs() -> Iterator[StartOrthanc]:
    """Yield a function that starts an Orthanc, with the arguments of LocalOrthanc; kill all of them at the end.

    What they store becomes stable after a day: if it did within a session, a test would see a change of its own.
    """
    with ExitStack() as stack:

        def start(*, configuration: Mapping[str, Any] = {}, **options: Any) -> LocalOrthanc:
            orthanc = stack.enter_context(LocalOrthanc(configuration={"StableAge": 86_400, **configuration}, **options))
            # a regular stop takes 1.4 s
            stack.callback(orthanc.kill)
            return orthanc

        yield start


def index_in_postgresql(url: str) -> dict[str, Any]:
    """Return the arguments of LocalOrthanc for an index in a new database, beside that at the URL."""
    database = urlsplit(new_database(url))
    name = database.path.removeprefix("/")
    settings = {"Host": database.hostname, "Port": database.port, "Username": database.username, "Database": name}
    return {
        "plugins": ["/usr/share/orthanc/plugins/libOrthancPostgreSQLIndex.so"],
        "configuration": {"PostgreSQL": {"EnableIndex": True, "EnableStorage": False, "Lock": False, **settings}},
    }


@cache
def installed_version() -> tuple[int, ...]:
    """Return the version of the Orthanc that the tests start, such as (1, 12, 7)."""
    installation = Installation.find()
    chroot = ["chroot", str(installation.root)] if installation.root else []
    command = [*chroot, installation.executable, "--version"]
    version = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[1]
    return tuple(int(number) for number in version.split("."))


def learn_clock(client: OrthancClient) -> None:
    """Let a client learn Orthanc's clock, which a request that keeps something would do by itself.

    Learnt late in a request, as on a busy machine, it does not prove of a young archive that its last change is past.
    """
    client.clock.least_at(client.clock.moment())


class WalkingOrthanc(OrthancClient):
    """A client whose Orthanc is taken for a large one over SQLite without statistics."""

    def capabilities(self) -> Capabilities:
        """Return the detected capabilities, but for that."""
        return replace(super().capabilities(), walks_index=True)


class CrowdedOrthanc(OrthancClient):
    """A client whose Orthanc is taken for one with a million resources of each level."""

    def capabilities(self) -> Capabilities:
        """Return the detected capabilities, but for that."""
        return replace(super().capabilities(), stored={level.value: 1_000_000 for level in Level})
