"""What a modality rejects is told instance by instance, and the rest is sent."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from orthancproxy.audit.models import AuditEvent
from orthancproxy.jobs import sending
from orthancproxy.jobs.following import JobFollower
from orthancproxy.jobs.models import Job
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL
from tests.corpus import ask, load
from tests.jobs.conftest import Clock
from tests.jobs.modality import SUCCESS, Modality, modality
from tests.jobs.test_sending import TARGET, follow, send
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

Make = Callable[[], JobFollower]
RESULT = """query($id: ID!) { job(id: $id) {
  state progress result { instancesCount rejected { orthancId sopInstanceUID dimseStatus } }
  error { code message dimseStatus }
} }"""
UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"
OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0xA700, 0xC000


@pytest.fixture
def picky(gateway: LocalOrthanc, settings: Any) -> Iterator[Modality]:
    """A modality that the gateway's Orthanc knows as PICKY."""
    with modality() as served:
        known = {"AET": "PICKY", "Host": "127.0.0.1", "Port": served.port}
        ask(gateway, "/modalities/PICKY", "PUT", json.dumps(known).encode())
        settings.ORTHANC_DESTINATIONS = ["PICKY"]
        yield served
        ask(gateway, "/modalities/PICKY", "DELETE")


def by_number(dataset: Any) -> int:
    """Reject the second and the third instance of each series."""
    return {2: OUT_OF_RESOURCES, 3: CANNOT_UNDERSTAND}.get(int(dataset.InstanceNumber), SUCCESS)


@pytest.mark.parametrize(("level", "total"), [("PATIENT", 12), ("STUDY", 6), ("SERIES", 3)])
def test_each_rejected_instance_is_told_and_the_others_arrive(
    level: str, total: int, gateway: LocalOrthanc, picky: Modality, graphql: GraphQL, make_follower: Make
) -> None:
    picky.judge = by_number
    job = follow(graphql, send(graphql, level, modality="PICKY"), make_follower())
    told = graphql(RESULT, id=job["id"])["job"]
    rejected = told["result"]["rejected"]
    assert told["result"]["instancesCount"] == total
    assert len(rejected) == total * 2 // 3
    for one in rejected:
        tags = json.loads(ask(gateway, f"/instances/{one['orthancId']}/simplified-tags"))
        assert one["sopInstanceUID"] == tags["SOPInstanceUID"]
        assert one["dimseStatus"] == {"2": "A700", "3": "C000"}[tags["InstanceNumber"]]
    assert len(set(picky.taken)) == total // 3
    first = rejected[0]["dimseStatus"]
    assert told["error"] == {
        "code": "DESTINATION_FAILED",
        "message": f"The server rejected {len(rejected)} of {total} instances (status {first}).",
        "dimseStatus": first,
    }
    ended = AuditEvent.objects.get(event="SENT", outcome="FAILED")
    assert (ended.counts["instances"], ended.counts["failed"]) == (total, len(rejected))


def test_an_instance_that_is_rejected_only_once_is_no_failure(
    picky: Modality, graphql: GraphQL, make_follower: Make
) -> None:
    statuses = iter([OUT_OF_RESOURCES])
    picky.judge = lambda _dataset: next(statuses, SUCCESS)
    job = follow(graphql, send(graphql, modality="PICKY"), make_follower())
    told = graphql(RESULT, id=job["id"])["job"]
    assert (told["state"], told["result"]["rejected"], told["error"]) == ("SUCCESS", [], None)
    assert len(set(picky.taken)) == 6


def test_another_process_goes_on_after_the_last_instance(
    gateway: LocalOrthanc, picky: Modality, graphql: GraphQL, make_follower: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "STEP_SECONDS", 0)
    picky.judge = by_number
    job = send(graphql, modality="PICKY")
    progresses = []

    def has_ended() -> bool:
        make_follower().step()
        told = graphql(RESULT, id=job["id"])["job"]
        progresses.append(told["progress"])
        return told["error"] is not None

    wait_until(has_ended)
    rejected = graphql(RESULT, id=job["id"])["job"]["result"]["rejected"]
    assert len({one["orthancId"] for one in rejected}) == len(rejected) == 4
    assert progresses == sorted(progresses)


def test_a_modality_that_rejects_everything_is_not_sent_everything(
    picky: Modality, graphql: GraphQL, make_follower: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_REJECTED", 2)
    picky.judge = lambda _dataset: OUT_OF_RESOURCES
    job = follow(graphql, send(graphql, modality="PICKY"), make_follower())
    told = graphql(RESULT, id=job["id"])["job"]
    assert len(told["result"]["rejected"]) == 2
    assert told["error"]["message"] == "The server rejected 2 of 6 instances, and was sent no more (status A700)."


def test_a_modality_that_stops_answering_keeps_what_it_told(
    gateway: LocalOrthanc, picky: Modality, graphql: GraphQL, make_follower: Make
) -> None:
    asked: list[str] = []

    def judge(dataset: Any) -> int:
        asked.append(dataset.SOPInstanceUID)
        if len(asked) == 3:
            away = {"AET": "PICKY", "Host": "127.0.0.1", "Port": 1}
            ask(gateway, "/modalities/PICKY", "PUT", json.dumps(away).encode())
        return OUT_OF_RESOURCES

    picky.judge = judge
    job = follow(graphql, send(graphql, modality="PICKY"), make_follower())
    told = graphql(RESULT, id=job["id"])["job"]
    assert len(told["result"]["rejected"]) == 2
    assert (told["error"]["code"], told["error"]["dimseStatus"]) == ("DESTINATION_FAILED", None)


def test_what_is_deleted_meanwhile_is_left_out(
    gateway: LocalOrthanc, picky: Modality, graphql: GraphQL, make_follower: Make
) -> None:
    study = f"/studies/{TARGET.ids['studies']}"
    *_, last = sorted(one["ID"] for one in json.loads(ask(gateway, f"{study}/instances")))
    file = ask(gateway, f"/instances/{last}/file")
    asked: list[str] = []

    def judge(dataset: Any) -> int:
        asked.append(dataset.SOPInstanceUID)
        # the first one of those that are sent by themselves
        if len(asked) == 2:
            ask(gateway, f"/instances/{last}", "DELETE")
        return OUT_OF_RESOURCES

    picky.judge = judge
    job = follow(graphql, send(graphql, modality="PICKY"), make_follower())
    rejected = graphql(RESULT, id=job["id"])["job"]["result"]["rejected"]
    assert len(rejected) == 5
    assert last not in {one["orthancId"] for one in rejected}
    # for other tests
    load(gateway, [file])


class TestParts:
    """Of many instances, each job of Orthanc's sends a part."""

    @pytest.fixture(autouse=True)
    def _small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sending, "INSTANCES_PER_PART", 4)

    def run(self, graphql: GraphQL, make_follower: Make) -> tuple[dict[str, Any], list[float], set[str]]:
        """Send six instances, and let another process follow in each step: what is told, progress, Orthanc's jobs."""
        job = send(graphql, modality="PICKY")
        progresses: list[float] = []
        begun: set[str] = set()

        def has_ended() -> bool:
            make_follower().step()
            row = Job.objects.get()
            progresses.append(row.progress)
            begun.add(row.orthanc_job)
            return row.ended_at is not None

        wait_until(has_ended)
        return graphql(RESULT, id=job["id"])["job"], progresses, begun - {""}

    def test_arrive_one_after_the_other(self, picky: Modality, graphql: GraphQL, make_follower: Make) -> None:
        told, progresses, begun = self.run(graphql, make_follower)
        assert (told["state"], told["progress"], told["result"]["instancesCount"]) == ("SUCCESS", 1.0, 6)
        assert progresses == sorted(progresses)
        assert len(begun) == 2
        # none twice
        assert len(set(picky.taken)) == len(picky.taken) == 6

    def test_rejected_instances_of_each_are_told(self, picky: Modality, graphql: GraphQL, make_follower: Make) -> None:
        picky.judge = by_number
        told, progresses, _ = self.run(graphql, make_follower)
        rejected = {one["sopInstanceUID"] for one in told["result"]["rejected"]}
        assert len(rejected) == len(told["result"]["rejected"]) == 4
        assert told["error"]["message"].startswith("The server rejected 4 of 6 instances (status ")
        assert len(set(picky.taken)) == 2
        assert progresses == sorted(progresses)

    def test_a_part_that_orthanc_has_lost_is_begun_again(
        self, picky: Modality, graphql: GraphQL, make_follower: Make, clock: Clock
    ) -> None:
        job = send(graphql, modality="PICKY")
        losses: list[str] = []

        def has_ended() -> bool:
            make_follower().step()
            clock.ahead += timedelta(seconds=1)
            row = Job.objects.get()
            if row.stage.get("done") and not losses:
                losses.append(row.orthanc_job)
                Job.objects.update(orthanc_job=UNKNOWN_JOB, version=F("version") + 1)
            return row.ended_at is not None

        wait_until(has_ended)
        told = graphql(RESULT, id=job["id"])["job"]
        assert (told["state"], told["result"]["instancesCount"], len(losses)) == ("SUCCESS", 6, 1)
        # the first part is not begun again
        assert len(set(picky.taken)) == len(set(picky.taken[4:])) + 4 == 6
