"""What all tests share: real Orthancs with known archives in them, and clients of the gateway before them."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, connections, transaction
from django.test import Client
from django.test.utils import setup_databases, teardown_databases
from pytest_django import DjangoDbBlocker, Settings

from orthancproxy.access.actions import Action
from orthancproxy.audit.rate_limit import refusal_rate_limit
from orthancproxy.orthanc.calls import CallLog, current_calls, recording
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.corpus import hierarchy, load

UseOrthanc = Callable[[LocalOrthanc], LocalOrthanc]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what was skipped: a live test that does not run proves nothing."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped tests count as failed: {report.longrepr}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes minutes, for which one core would wait at the end; then with the modules of most tests."""
    counts = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.get_closest_marker("long") is None, -counts[item.path]))


@pytest.fixture(autouse=True)
def _no_call_log_left() -> Iterator[None]:
    """Fail the test that leaves a call log behind, as an answer that is neither read nor closed does."""
    yield
    left = current_calls.get()
    # the tests that follow are not to blame
    current_calls.set(None)
    assert left is None, "close the streaming answers of this test, or read them to their end"


@pytest.fixture(scope="session")
def start_orthanc() -> Iterator[Callable[..., LocalOrthanc]]:
    """Start Orthancs that live until the end of the session; arguments are those of LocalOrthanc."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(LocalOrthanc(**options))


@pytest.fixture(scope="session")
def archive(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """The archive of `tests.corpus.hierarchy`: read it, change nothing in it."""
    orthanc = start_orthanc(configuration=INDEXED_INSTANCE_TAGS)
    load(orthanc, hierarchy())
    return orthanc


@pytest.fixture(scope="session")
def unindexed_archive(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    """The same archive in an Orthanc that has only its own main DICOM tags indexed."""
    orthanc = start_orthanc()
    load(orthanc, hierarchy())
    return orthanc


@pytest.fixture(params=["indexed", "unindexed"])
def any_archive(request: pytest.FixtureRequest) -> LocalOrthanc:
    """Either archive: the answers are the same."""
    name = "archive" if request.param == "indexed" else "unindexed_archive"
    orthanc: LocalOrthanc = request.getfixturevalue(name)
    return orthanc


@pytest.fixture(scope="session", autouse=True)
def django_db_setup(
    tmp_path_factory: pytest.TempPathFactory, django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """A database that every test may write to, since all that the gateway does is recorded.

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
def _begin_without_records(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> None:
    """Empty the gateway's own tables for a test that looks at them: others, which only write to them, leave rows."""
    looks = {"db", "transactional_db"}.intersection(request.fixturenames)
    if not looks and not any(request.node.iter_markers("django_db")):
        return
    tables = [model._meta.db_table for model in apps.get_app_config("orthancproxy").get_models() if model._meta.managed]
    with django_db_blocker.unblock(), transaction.atomic(), connection.cursor() as cursor:
        for table in tables:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608 - a name of Django's


@pytest.fixture(autouse=True)
def _everybody_may_do_everything(settings: Settings) -> None:
    """Let anonymous callers in: who may do what is the subject of tests/access only."""
    settings.ORTHANC_ANONYMOUS_ACTIONS = [action.value for action in Action]


@pytest.fixture(autouse=True)
def _every_refusal_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the audit take what the tests are refused in a minute: how much it takes is the subject of tests/faults."""
    monkeypatch.setattr(refusal_rate_limit, "max_rows_per_address", 1_000_000)
    monkeypatch.setattr(refusal_rate_limit, "max_rows", 1_000_000)


@pytest.fixture
def use_orthanc(settings: Settings) -> Iterator[UseOrthanc]:
    """Point the gateway to an Orthanc for one test."""

    def use(orthanc: LocalOrthanc) -> LocalOrthanc:
        settings.ORTHANC_BASE_URL = orthanc.base_url
        connect.cache_clear()
        return orthanc

    yield use
    connect.cache_clear()


class GraphQL:
    """A client of the GraphQL endpoint that remembers the calls to Orthanc of its last query."""

    def __init__(self) -> None:
        self._client = Client()
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
