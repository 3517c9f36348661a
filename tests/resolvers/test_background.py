"""What a process does besides its requests, and where it says so."""

from collections.abc import Callable
from io import StringIO
from threading import Event

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from orthancproxy.archive.index import IndexStage
from orthancproxy.archive.scope import EVERYTHING
from orthancproxy.follower.follower import LeaseHolder
from orthancproxy.resolvers.background import background, running
from orthancproxy.resolvers.context import connect
from orthancproxy.resolvers.trash import TrashKeeper
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

SERVER = "{ server { studiesCount index { state studiesCount updatedAt } } }"


def state() -> IndexStage:
    return background(connect()).index_status(EVERYTHING).state


@pytest.mark.since("1.12.5")
def test_index_is_built_in_the_background_and_described(
    archive: LocalOrthanc, use_orthanc: UseOrthanc, settings: Settings, graphql: GraphQL, client: Client
) -> None:
    use_orthanc(archive)
    settings.ORTHANC_INDEX = False
    assert graphql(SERVER)["server"]["index"] == {"state": "OFF", "studiesCount": 0, "updatedAt": None}
    assert "index" not in client.get("/readyz").json()
    settings.ORTHANC_INDEX = True
    wait_until(lambda: state() is IndexStage.READY)
    server = graphql(SERVER)["server"]
    assert server["index"]["state"] == "READY"
    assert server["index"]["studiesCount"] == server["studiesCount"] > 0
    assert server["index"]["updatedAt"]
    assert client.get("/readyz").json()["index"] == "ready"


@pytest.mark.since("1.12.5")
@pytest.mark.parametrize("is_running", [False, True])
def test_index_is_rebuilt_by_command(
    archive: LocalOrthanc,
    use_orthanc: UseOrthanc,
    use_index: Callable[[], None],
    settings: Settings,
    is_running: bool,
) -> None:
    use_orthanc(archive)
    use_index()
    if is_running:
        wait_until(lambda: not LeaseHolder(archive.base_url).take())
    else:
        settings.ORTHANC_INDEX = False
    output = StringIO()
    call_command("rebuild_index", stdout=output)
    assert "studies are indexed" in output.getvalue()
    settings.ORTHANC_INDEX = True
    assert state() is IndexStage.READY


def test_orthanc_without_extended_find_has_no_index(
    archive: LocalOrthanc, use_orthanc: UseOrthanc, use_index: Callable[[], None]
) -> None:
    use_orthanc(archive)
    use_index()
    assert state() is (IndexStage.READY if connect().capabilities().has_extended_find else IndexStage.OFF)


@pytest.mark.once
def test_what_a_step_reports_does_not_begin_it_all_again_when_it_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, reported = Event(), Event()

    def step(keeper: TrashKeeper) -> None:
        current = running()
        assert current
        begun.set()
        # while somebody waits for the end of this step
        current.follower._stopped.wait(60)
        keeper._report([])
        reported.set()

    monkeypatch.setattr(TrashKeeper, "is_needed", lambda _: True)
    monkeypatch.setattr(TrashKeeper, "step", step)
    background(connect())
    assert begun.wait(60)
    settings.ORTHANC_JOB_DAYS = 2
    assert (reported.is_set(), running()) == (True, None)
