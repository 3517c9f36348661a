"""What all tests share: real Orthancs with known archives in them, and clients of the gateway before them."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker, Settings

from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.audit.rate_limit import refusal_rate_limit
from orthancproxy.orthanc.calls import CallLog, current_calls, recording
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.gateway import LocalGateway
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.corpus import hierarchy, load
from tests.orthancs import (
    ONE_CALL_PER_CONNECTION,
    StartOrthanc,
    index_in_postgresql,
    installed_version,
    running_orthancs,
)
from tests.postgresql import run_postgresql

# `GATEWAY_INDEX=1 make test` runs every test with the index
INDEXED = "GATEWAY_INDEX" in os.environ
UseOrthanc = Callable[[LocalOrthanc], LocalOrthanc]
LOG_CHARACTERS = 10_000  # that are shown of the log of a gateway
TEMPORARY_FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the session, its workers and all that they start a temporary folder of their own."""
    if hasattr(config, "workerinput"):
        return
    # pytest keeps the folders of its last three sessions where they were
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="orthanc-gateway-tests-"))
    # PostgreSQL runs as a user of its own
    folder.chmod(0o711)
    config.stash[TEMPORARY_FOLDER] = folder
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it."""
    if folder := config.stash.get(TEMPORARY_FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what was skipped: a live test that does not run proves nothing. A failed one tells what its gateways log."""
    report = yield
    if report.when == "call" and report.failed:
        for one in gateways_of(getattr(item, "funcargs", {})):
            log = one.log.read_text(errors="replace")[-LOG_CHARACTERS:]
            report.sections.append((f"log of the gateway on port {one.port}", log))
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped tests count as failed: {report.longrepr}"
    return report


def gateways_of(fixtures: Mapping[str, Any]) -> Iterator[LocalGateway]:
    """Yield the gateways that fixtures are, have in a sequence, or have as their `gateway`."""
    values = list(fixtures.values())
    while values:
        value = values.pop()
        if isinstance(value, LocalGateway):
            yield value
        elif isinstance(value, (list, tuple)):
            values += value
        elif isinstance(found := getattr(value, "gateway", None), LocalGateway):
            yield found


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests for newer Orthancs, and order the others.

    First come the modules that are marked as long, for which one core would wait at the end; then by their size.
    """
    newer = [item for item in items if _is_for_newer_orthanc(item)]
    if newer:
        items[:] = [item for item in items if item not in newer]
        config.hook.pytest_deselected(items=newer)
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.get_closest_marker("long") is None, -counts[item.path]))


def _is_for_newer_orthanc(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("since")
    if marker is None:
        return False
    if item.get_closest_marker("live") is None or item.get_closest_marker("once"):
        raise pytest.UsageError(f"{item.nodeid} is marked as since, but `make test-matrix` would not run it")
    return installed_version() < tuple(int(number) for number in marker.args[0].split("."))


@pytest.fixture(autouse=True)
def _no_call_log_left() -> Iterator[None]:
    """Fail the test that leaves a call log behind, as an answer that is neither read nor closed does."""
    yield
    left = current_calls.get()
    # the tests that follow are not to blame
    current_calls.set(None)
    assert left is None, "close the streaming answers of this test, or read them to their end"


@pytest.fixture(scope="module")
def start_orthanc() -> Iterator[StartOrthanc]:
    """Start Orthancs that live until the end of the module."""
    with running_orthancs() as start:
        yield start


@pytest.fixture(scope="session")
def start_session_orthanc() -> Iterator[StartOrthanc]:
    """Start Orthancs that live until the end of the session."""
    with running_orthancs() as start:
        yield start


@pytest.fixture(scope="session")
def archive(start_session_orthanc: StartOrthanc) -> LocalOrthanc:
    """The archive of `tests.corpus.hierarchy`: read it, change nothing in it."""
    orthanc = start_session_orthanc(configuration={**INDEXED_INSTANCE_TAGS, **ONE_CALL_PER_CONNECTION})
    load(orthanc, hierarchy())
    return orthanc


@pytest.fixture(scope="session")
def unindexed_archive(start_session_orthanc: StartOrthanc) -> LocalOrthanc:
    """The same archive in an Orthanc that has only its own main DICOM tags indexed."""
    orthanc = start_session_orthanc()
    load(orthanc, hierarchy())
    return orthanc


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a database on a PostgreSQL of the tests' own."""
    with run_postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def postgresql_archive(postgresql: str, start_session_orthanc: StartOrthanc) -> LocalOrthanc:
    """The same archive in an Orthanc with its index in PostgreSQL. Debian's plugin offers it no extended find."""
    arguments = index_in_postgresql(postgresql)
    arguments["configuration"].update(ONE_CALL_PER_CONNECTION)
    orthanc = start_session_orthanc(**arguments)
    load(orthanc, hierarchy())
    return orthanc


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of `any_archive` with all three, or once where the gateway reads them the same: before 1.11."""
    if "any_archive" in metafunc.fixturenames:
        reads_differently = installed_version() >= (1, 11)
        archives = ["archive", "unindexed_archive", "postgresql_archive"] if reads_differently else ["archive"]
        metafunc.parametrize("any_archive", archives, indirect=True)


@pytest.fixture
def any_archive(request: pytest.FixtureRequest) -> LocalOrthanc:
    """Each of the archives: the answers are the same."""
    orthanc: LocalOrthanc = request.getfixturevalue(request.param)
    return orthanc


@pytest.fixture(scope="session", autouse=True)
def django_db_setup(
    tmp_path_factory: pytest.TempPathFactory, django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """A database that every test may write to, since the gateway audits every operation.

    It is a file, as the gateway's own is: threads that share one in memory lock each other out. Tests that look at
    rows ask for `transactional_db`, which empties it after them.
    """
    database = connections.settings["default"]
    database.setdefault("TEST", {})["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")
    with django_db_blocker.unblock():
        before = setup_databases(verbosity=0, interactive=False)
        yield
        teardown_databases(before, verbosity=0)


@pytest.fixture(autouse=True)
def _empty_tables(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> None:
    """Empty the gateway's own tables for a test that looks at them: others, which only write to them, leave rows."""
    looks = {"db", "transactional_db"}.intersection(request.fixturenames)
    if not looks and not any(request.node.iter_markers("django_db")):
        return
    tables = [model._meta.db_table for model in apps.get_app_config("orthancproxy").get_models() if model._meta.managed]
    with django_db_blocker.unblock(), transaction.atomic(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of Django's


@pytest.fixture(autouse=True)
def _anonymous_callers_have_every_permission(settings: Settings) -> None:
    """Permissions are the subject of tests/access only."""
    settings.ORTHANC_ANONYMOUS_ACTIONS = [action.value for action in Action if action in FOR_ANYONE]


@pytest.fixture(autouse=True)
def _every_rejection_is_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate limit is the subject of tests/audit only."""
    monkeypatch.setattr(refusal_rate_limit, "max_rows_per_caller", 1_000_000)
    monkeypatch.setattr(refusal_rate_limit, "max_rows", 1_000_000)


@pytest.fixture(autouse=True)
def _no_index_unless_wanted(settings: Settings) -> None:
    """Most tests use their Orthanc for a short time only."""
    settings.ORTHANC_INDEX = False


@pytest.fixture(autouse=True)
def _no_log_of_changes_unless_wanted(settings: Settings) -> None:
    """The log of changes is the subject of tests/feed only: it reads Orthanc's every second."""
    settings.ORTHANC_CHANGES_DAYS = 0


@pytest.fixture
def use_index(settings: Settings) -> Callable[[], None]:
    """Let the gateway select lists by an index of the Orthanc that it points to."""

    def use() -> None:
        settings.ORTHANC_INDEX = True
        client = connect()
        keeper = background(client).keeper
        assert keeper
        if client.capabilities().has_extended_find:
            keeper.build()

    return use


@pytest.fixture
def use_orthanc(settings: Settings, use_index: Callable[[], None]) -> Iterator[UseOrthanc]:
    """Point the gateway to an Orthanc for one test."""

    def use(orthanc: LocalOrthanc) -> LocalOrthanc:
        settings.ORTHANC_BASE_URL = orthanc.base_url
        connect.cache_clear()
        if INDEXED:
            use_index()
        return orthanc

    yield use
    connect.cache_clear()


class GraphQL:
    """A client of the GraphQL endpoint that remembers the calls to Orthanc of its last query."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._client = Client(headers=dict(headers or {}))
        self.calls = CallLog()

    def answer(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer, errors included."""
        with recording() as self.calls:
            response = self._client.post(
                "/graphql/", {"query": query, "variables": variables}, content_type="application/json"
            )
        answer: dict[str, Any] = response.json()
        return answer

    def __call__(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = self.answer(query, **variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    def error(self, query: str, **variables: Any) -> dict[str, Any]:
        """The only error of an answer."""
        [error] = self.answer(query, **variables)["errors"]
        assert isinstance(error, dict)
        return error


@pytest.fixture
def graphql() -> GraphQL:
    """A client of the GraphQL endpoint."""
    return GraphQL()
