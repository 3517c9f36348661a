"""What the gateway itself changes is in the log when its response arrives, once, whoever reads Orthanc's changes."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from orthancproxy.archive import storage
from orthancproxy.archive.levels import Level
from orthancproxy.archive.scope import Scope
from orthancproxy.feed.log import Change, ChangeLog, Kind, change_log
from orthancproxy.feed.models import ChangeLogState
from orthancproxy.feed.orthanc_changes import BETWEEN_UPDATES, Reader
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ask, instance, load
from tests.deletion.deletion_client import TRANSPORTS, refill, resource_at
from tests.deletion.test_scope import delete_id_in_scope
from tests.log_capture import logged
from tests.orthancs import StartOrthanc
from tests.uploads import upload_client
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

ADDED, UPDATED, DELETED = Kind.ADDED, Kind.UPDATED, Kind.DELETED


@pytest.fixture(scope="module")
def module_orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc()


@pytest.fixture
def orthanc(module_orthanc: LocalOrthanc, use_orthanc: UseOrthanc) -> Iterator[LocalOrthanc]:
    refill(module_orthanc)
    use_orthanc(module_orthanc)
    changes = background(connect()).changes
    assert changes
    changes.look()
    yield module_orthanc
    background(connect()).follower.stop()


Labeller = Callable[..., None]


@pytest.fixture
def labeller(orthanc: LocalOrthanc) -> Labeller:
    """Return a function that sends a mutation as a user who may change all labels; there are none before."""
    for level in Level:
        for one in json.loads(ask(orthanc, f"/{level.path}?expand")):
            for label in one["Labels"]:
                ask(orthanc, f"/{level.path}/{one['ID']}/labels/{label}", "DELETE")
    client = Client()
    client.force_login(User.objects.create_superuser("root"), backend="orthancproxy.project.login.PasswordBackend")

    def send(query: str, **variables: object) -> None:
        answer = client.post("/graphql/", {"query": query, "variables": variables}, content_type="application/json")
        assert "errors" not in answer.json(), answer.json()

    return send


def logged_changes() -> list[tuple[Kind, str]]:
    return [(one.change.kind, one.change.orthanc_id) for one in change_log.after(0, 1000)]


def at(*place: int) -> str:
    return resource_at(place).orthanc_id


@pytest.mark.parametrize("transport", upload_client.TRANSPORTS)
def test_upload_adds_its_study_once_and_updates_it_at_most_once_a_second(orthanc: LocalOrthanc, transport: str) -> None:
    upload = upload_client.TRANSPORTS[transport]()
    key = f"key of {transport}"
    for part in range(4):
        files = [upload_client.File(instance(9, number=number)) for number in range(10 * part, 10 * part + 10)]
        outcome = upload(files, patientId=f"N {transport}", uploadKey=key)
        assert outcome.uploaded == 10
        assert len(logged_changes()) >= 3
    changes = change_log.after(0, 1000)
    assert [one.change.kind for one in changes[:3]] == [ADDED] * 3
    assert [one.change.level for one in changes[:3]] == [Level.PATIENT, Level.STUDY, Level.SERIES]
    assert {one.change.kind for one in changes[3:]} <= {UPDATED}
    assert [one.change.orthanc_id for one in changes[1:3]] == [outcome.study_id, *outcome.series_ids]
    times = [one.at for one in changes if one.change.orthanc_id == outcome.study_id]
    assert all(later - earlier > BETWEEN_UPDATES for earlier, later in pairwise(times))
    # the last part is told, at once or within a second
    wait_until(lambda: ChangeLogState.objects.get().position == json.loads(ask(orthanc, "/changes?last"))["Last"])


@pytest.mark.parametrize(
    ("place", "deleted", "updated"),
    [
        ((1, 1, 1, 1), [(1, 1, 1, 1)], [(1, 1, 1), (1, 1)]),
        ((1, 1, 2), [(1, 1, 2)], [(1, 1)]),
        ((1, 2, 1), [(1, 2, 1), (1, 2)], []),
        ((1, 1), [(1, 1)], []),
        ((2, 1, 1, 1), [(2, 1, 1, 1), (2, 1, 1), (2, 1), (2,)], []),
        ((3,), [(3, 1), (3, 2), (3,)], []),
    ],
)
def test_deletion_is_logged_with_its_patient_and_study(
    orthanc: LocalOrthanc,
    place: tuple[int, ...],
    deleted: list[tuple[int, ...]],
    updated: list[tuple[int, ...]],
) -> None:
    outcome = TRANSPORTS["REST"]()(resource_at(place).level, at(*place))
    assert outcome.deleted
    changes = [one.change for one in change_log.after(0, 1000)]
    expected = [(DELETED, at(*one)) for one in deleted] + [(UPDATED, at(*one)) for one in updated]
    assert sorted(logged_changes()) == sorted(expected)
    for one in changes:
        assert one.patient_id == f"P00{place[0]}"
        assert one.patient_orthanc_id == at(place[0])
        assert (one.study_instance_uid is None) is (one.study_orthanc_id is None) is (one.level is Level.PATIENT)
    # reported again, as the Lua script does
    change_log.removed(changes[0].level, [changes[0].orthanc_id])
    assert len(logged_changes()) == len(expected)


def test_what_is_stored_again_while_others_of_its_patient_are_deleted_is_added_after_its_deletion(
    orthanc: LocalOrthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    delete, deleted = storage.delete, list[str]()

    def store_the_first_again(client: OrthancClient, level: Level, orthanc_id: str, *more: Any) -> Any:
        if deleted:
            load(orthanc, [instance(3, study) for study in (1, 2) if at(3, study) in deleted])
            # as another process does, some seconds later
            later = ChangeLog(now=lambda: timezone.now() + 2 * BETWEEN_UPDATES)
            Reader(connect(), later, orthanc.base_url).look()
        deleted.append(orthanc_id)
        return delete(client, level, orthanc_id, *more)

    monkeypatch.setattr(storage, "delete", store_the_first_again)
    delete_id_in_scope(Level.PATIENT, at(3), Scope(patient_ids=("P003",)))
    first, second = ([kind for kind, one in logged_changes() if one == study] for study in deleted)
    assert (first[:2], second) == ([DELETED, ADDED], [DELETED])


@pytest.mark.since("1.12.0")
def test_deletion_has_the_labels_of_the_study(orthanc: LocalOrthanc) -> None:
    ask(orthanc, f"/studies/{at(1, 1)}/labels/research", "PUT")
    ask(orthanc, f"/studies/{at(2, 1)}/labels/research", "PUT")
    TRANSPORTS["REST"]()("studies", at(1, 1))
    TRANSPORTS["REST"]()("series", at(2, 1, 1))
    # the second with its study and patient
    assert [one.change.labels for one in change_log.after(0, 1000)] == [frozenset({"research"})] * 4


ADD = """mutation($level: Level!, $id: ID!, $labels: [String!]!) {
    addLabels(level: $level, orthancId: $id, labels: $labels) { labels } }"""
REMOVE = ADD.replace("addLabels", "removeLabels")


@pytest.mark.since("1.12.0")
@pytest.mark.parametrize("place", [(1,), (1, 1), (1, 1, 2), (1, 1, 2, 1)])
def test_labels_are_logged_once_with_those_of_the_study(
    orthanc: LocalOrthanc, place: tuple[int, ...], labeller: Labeller
) -> None:
    ask(orthanc, f"/studies/{at(1, 1)}/labels/research", "PUT")
    ask(orthanc, f"/studies/{at(1, 2)}/labels/teaching", "PUT")
    target = {"level": list(Level)[len(place) - 1].name, "id": at(*place)}
    labeller(ADD, labels=["a", "b"], **target)
    # nothing changes, so nothing is told
    labeller(ADD, labels=["b"], **target)
    labeller(REMOVE, labels=["a", "never-there"], **target)
    labeller(REMOVE, labels=["a"], **target)
    added, removed = [one.change for one in change_log.after(0, 1000)]
    of_study = {1: {"research", "teaching"}, 2: {"research", "b"}}.get(len(place), {"research"})
    assert added.labels == frozenset(of_study | ({"a"} if len(place) == 2 else set()))
    assert removed.labels == frozenset(of_study)
    for one in (added, removed):
        assert (one.kind, one.level, one.orthanc_id) == (Kind.LABELLED, list(Level)[len(place) - 1], at(*place))
        assert (one.patient_id, one.patient_orthanc_id) == ("P001", at(1))
        assert one.study_orthanc_id == (None if len(place) == 1 else at(1, 1))
        assert (one.study_instance_uid is None) == (len(place) == 1)


@pytest.mark.since("1.12.0")
def test_deletion_that_the_index_finds_has_the_labels_that_were_added_last(
    orthanc: LocalOrthanc, labeller: Labeller
) -> None:
    labeller(ADD, level="STUDY", id=at(1, 1), labels=["research"])
    change_log.removed(Level.STUDY, [at(1, 1)])
    [_, deleted] = [one.change for one in change_log.after(0, 1000)]
    assert (deleted.kind, deleted.labels) == (DELETED, frozenset({"research"}))


class BrokenLog(ChangeLog):
    """A log whose database can be unavailable."""

    is_broken = False

    @contextmanager
    def exclusive(self) -> Iterator[ChangeLogState]:
        if self.is_broken:
            raise OperationalError("database is locked")
        with super().exclusive() as state:
            yield state


def test_outage_of_the_log_is_logged_once_and_additions_follow(orthanc: LocalOrthanc) -> None:
    background(connect()).follower.stop()
    log = BrokenLog()
    reader = Reader(connect(), log, orthanc.base_url)
    reader.look()
    log.is_broken = True
    with logged() as lines:
        load(orthanc, [instance(8)])
        reader.report([])
        reader.report([Change(DELETED, Level.STUDY, at(1, 1))])
    [line] = lines
    assert line["event"].startswith("a change of the archive cannot be logged")
    log.is_broken = False
    load(orthanc, [instance(7)])
    reader.report([])
    added = [one.change.patient_id for one in log.after(0, 1000) if one.change.level is Level.PATIENT]
    assert added == ["P008", "P007"]
