"""The advice names what has to be updated: Orthanc, the plugin that keeps its index, or both."""

from dataclasses import replace
from typing import Any

import pytest

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.server import describe
from orthancproxy.errors import ArchiveRejected, NotFound
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.capabilities import Capabilities
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.orthanc.endpoints import PLUGINS, Endpoint
from orthancproxy.orthanc.plugins import Plugins
from orthancproxy.orthanc.responses import Plugin
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ask
from tests.orthancs import installed_version

END = ": without extended find, Orthanc cannot sort, page or count, so that the gateway fetches whole lists."


def update_advice(client: OrthancClient) -> list[str]:
    return [advice for advice in describe(client, Hierarchy(client)).advice if advice.startswith("Update ")]


def advice_on_connections(client: OrthancClient) -> list[str]:
    return [advice for advice in describe(client, Hierarchy(client)).advice if '"IndexConnectionsCount"' in advice]


@pytest.mark.live
class TestOrthanc:
    def test_over_sqlite_it_is_only_to_be_updated_if_it_is_old(self, unindexed_archive: LocalOrthanc) -> None:
        expected = [] if installed_version() >= (1, 12, 5) else [f"Update Orthanc to 1.12.5 or newer{END}"]
        assert update_advice(OrthancClient(ConnectionOptions(unindexed_archive.base_url))) == expected

    def test_over_an_old_plugin_its_version_is_named_without_a_further_call(
        self, postgresql_archive: LocalOrthanc
    ) -> None:
        client = OrthancClient(ConnectionOptions(postgresql_archive.base_url))
        client.capabilities()
        with recording() as log:
            [advice] = update_advice(client)
        assert [call.template for call in log.calls] == ["/statistics"]
        # Debian's: 4.0 with 1.10.1, and 5.0 with the newest
        version = "4.0" if installed_version() < (1, 11) else "5.0"
        assert b'"Version" : "%s"' % version.encode() in ask(postgresql_archive, "/plugins/postgresql-index")
        orthanc = "Orthanc to 1.12.5 or newer and " if installed_version() < (1, 12, 5) else ""
        assert advice == f"Update {orthanc}its PostgreSQL plugin {version} to 7.0 or newer{END}"
        [connections] = advice_on_connections(client)
        assert connections.endswith(f" share the one connection of plugin {version}.")


class ClientOf(OrthancClient):
    """A client whose Orthanc is taken for one of a version, with the plugin that keeps its index."""

    def __init__(self, url: str, version: str, plugin: str | Exception) -> None:
        super().__init__(ConnectionOptions(url))
        index = plugins(plugin).index
        self._changed: dict[str, Any] = {"version": version, "has_extended_find": False, "index_plugin": index}

    def capabilities(self) -> Capabilities:
        """Return the detected capabilities, but for these."""
        return replace(super().capabilities(), **self._changed)


def plugins(index: str | Exception) -> Plugins:
    """Return an Orthanc's plugins, of which one keeps the index: `ID VERSION`."""

    def call(endpoint: Endpoint, *, body: Any = None, query: str = "", decoder: Any = None) -> Any:
        if isinstance(index, Exception):
            raise index
        name, version = index.split()
        if endpoint == PLUGINS:
            return ["explorer.js", name]
        assert endpoint.template == f"/plugins/{name}"
        return Plugin(version)

    return Plugins(call)


@pytest.mark.live
@pytest.mark.once
@pytest.mark.parametrize(
    ("version", "plugin", "expected"),
    [
        ("1.13.0", "postgresql-index 5.0", "its PostgreSQL plugin 5.0 to 7.0 or newer"),
        ("1.12.4", "postgresql-index 7.2", "Orthanc to 1.12.5 or newer"),
        ("1.12.4", "mysql-index 5.2", "Orthanc to 1.12.5 or newer and its MySQL plugin 5.2 to one with extended find"),
        ("1.13.0", "odbc-index 1.2", "its ODBC plugin 1.2 to one with extended find"),
        ("1.13.0", ArchiveRejected(), "the plugin of Orthanc's database (PostgreSQL: to 7.0 or newer)"),
        ("1.13.0", NotFound("x"), "the plugin of Orthanc's database (PostgreSQL: to 7.0 or newer)"),
        ("1.13.0", "postgresql-index mainline", "Orthanc and the plugin of its database"),
    ],
)
def test_advice_for_versions_that_are_not_installed(
    archive: LocalOrthanc, version: str, plugin: str | Exception, expected: str
) -> None:
    [advice] = update_advice(ClientOf(archive.base_url, version, plugin))
    assert advice.startswith(f"Update {expected}")
    assert advice.endswith(END)


@pytest.mark.live
@pytest.mark.once
@pytest.mark.parametrize(
    ("plugin", "is_given"),
    [
        ("postgresql-index 3.3", False),
        ("postgresql-index 6.2", True),
        ("postgresql-index 7.0", False),
        ("postgresql-index mainline", False),
        ("mysql-index 5.2", False),
    ],
)
def test_more_connections_are_for_plugins_that_have_one_by_default(
    archive: LocalOrthanc, plugin: str, is_given: bool
) -> None:
    assert bool(advice_on_connections(ClientOf(archive.base_url, "1.12.4", plugin))) is is_given
