"""The index in PostgreSQL gives the lists that Orthanc gives, also while PostgreSQL is stopped."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.index import IndexStage
from orthancproxy.archive.index_keeper import IndexKeeper
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.index.models import IndexedPatient, IndexedStudy, IndexState
from orthancproxy.index.store import DjangoIndex
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.project.environment import Environment
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.archive.test_index import PLANS, shown
from tests.postgresql import run_postgresql

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5")]

ALIAS = "index"


@contextmanager
def _connected_to(url: str) -> Iterator[None]:
    connections.settings[ALIAS] = {
        **connections.settings["default"],
        **Environment({}).database(url, Path()),
        "OPTIONS": {},
    }
    try:
        yield
    finally:
        connections[ALIAS].close()
        del connections[ALIAS], connections.settings[ALIAS]


def _create_tables() -> None:
    with connections[ALIAS].schema_editor() as editor:
        for model in (IndexState, IndexedPatient, IndexedStudy):
            editor.create_model(model)


def test_index_in_postgresql_selects_until_it_is_stopped(
    archive: LocalOrthanc, django_db_blocker: DjangoDbBlocker
) -> None:
    client = OrthancClient(ConnectionOptions(archive.base_url))
    keeper = IndexKeeper(client, DjangoIndex("here", ALIAS))

    def check(scope: Scope) -> None:
        for plan in PLANS[::3]:
            assert shown(Hierarchy(client, scope, keeper=keeper), plan) == shown(Hierarchy(client, scope), plan), plan

    with ExitStack() as stack, django_db_blocker.unblock():
        with ExitStack() as running:
            url = running.enter_context(run_postgresql())
            stack.enter_context(_connected_to(url))
            # not migrated
            assert keeper.status(EVERYTHING).state is IndexStage.UNAVAILABLE
            check(EVERYTHING)
            _create_tables()
            assert keeper.status(EVERYTHING).state is IndexStage.BUILDING
            keeper.build()
            keeper.sweep()
            assert keeper.status(EVERYTHING).state is IndexStage.READY
            for scope in (EVERYTHING, Scope(("P001", "P00*"))):
                check(scope)
        assert keeper.status(EVERYTHING).state is IndexStage.UNAVAILABLE
        check(EVERYTHING)
