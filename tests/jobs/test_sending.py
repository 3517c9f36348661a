"""Sending to a modality or a peer: jobs, their ends, and what the audit log has of them."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from pytest_django import Settings

from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.models import AuditEvent
from orthancproxy.jobs.following import MAX_BEGUN_BY_CALLER, JobFollower
from orthancproxy.jobs.models import Job
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import UNKNOWN_TARGET, Target
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ask, instance, load
from tests.jobs.gate import gate_to
from tests.jobs.servers import DICOMWEB_PLUGIN, clear, count, start_remote, start_source
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

Make = Callable[[], JobFollower]
SEND = """mutation($input: SendInput!) { sendToModality(input: $input) { job {
  id kind state progress createdBy createdAt endedAt target { level orthancIds destination } isBeingCancelled
  study { studyInstanceUID } result { instancesCount } error { code message dimseStatus } } } }"""
JOB = """query($id: ID!) { job(id: $id) { id state progress endedAt isBeingCancelled study { studyInstanceUID }
  result { instancesCount } error { code message dimseStatus } } }"""
CANCEL = "mutation($id: ID!) { cancelJob(id: $id) { job { state isBeingCancelled } } }"
TARGET = Target.at(1)


def request(level: str = "STUDY", *ids: str, modality: str = "PACS", **more: Any) -> dict[str, Any]:
    path = {"PATIENT": "patients", "STUDY": "studies", "SERIES": "series", "INSTANCE": "instances"}[level]
    return {"modality": modality, "level": level, "orthancIds": list(ids or [TARGET.ids[path]]), **more}


def send(graphql: GraphQL, *arguments: str, **more: Any) -> dict[str, Any]:
    job: dict[str, Any] = graphql(SEND, input=request(*arguments, **more))["sendToModality"]["job"]
    return job


def look(graphql: GraphQL, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = graphql(JOB, id=job["id"])["job"]
    return found


def follow(graphql: GraphQL, job: dict[str, Any], follower: JobFollower) -> dict[str, Any]:
    """Follow a job to its end."""

    def has_ended() -> bool:
        follower.step()
        return look(graphql, job)["endedAt"] is not None

    wait_until(has_ended)
    return look(graphql, job)


@pytest.mark.parametrize(("level", "instances"), [("PATIENT", 12), ("STUDY", 6), ("SERIES", 3), ("INSTANCE", 1)])
@pytest.mark.parametrize(("kind", "modality"), [("DICOM", "PACS"), ("PEER", "ARCHIVE")])
def test_what_is_sent_arrives_and_is_audited_before_and_after(
    kind: str,
    modality: str,
    level: str,
    instances: int,
    gateway: LocalOrthanc,
    remote: LocalOrthanc,
    graphql: GraphQL,
    make_follower: Make,
) -> None:
    job = send(graphql, level, modality=modality, kind=kind)
    assert (job["kind"], job["state"], job["progress"], job["createdBy"]) == ("SEND", "PENDING", 0.0, None)
    assert (job["endedAt"], job["result"], job["error"]) == (None, None, None)
    key = modality if kind == "DICOM" else f"peer:{modality}"
    assert job["target"]["destination"] == key
    [intended] = AuditEvent.objects.filter(event="SENT")
    assert (intended.outcome, intended.operation, intended.details) == (
        "INTENDED",
        "sendToModality",
        {"destination": key},
    )
    ended = follow(graphql, job, make_follower())
    assert (ended["state"], ended["progress"], ended["error"]) == ("SUCCESS", 1.0, None)
    assert ended["result"] == {"instancesCount": instances}
    assert (ended["study"] is None) == (level == "PATIENT")
    assert count(remote) == instances
    done = intended.conclusion
    path = intended.target.partition("/")[0]
    assert (done.outcome, done.counts, done.target) == ("SUCCESS", {path: 1, "instances": instances}, intended.target)
    studies = {(row.patient_id, row.study_instance_uid) for row in done.subjects.all()}
    assert len(studies) == (2 if level == "PATIENT" else 1)
    assert (TARGET.patient_id, TARGET.study_uid) in studies
    begin, transferred = ("".join(messages(one, "gateway")) for one in (intended, done))
    assert 'originalText="Begin Transferring DICOM Instances"' in begin
    assert 'originalText="DICOM Instances Transferred"' in transferred
    for message in (begin, transferred):
        assert f'UserID="{key}" UserIsRequestor="false"' in message
        assert message.count('originalText="Destination Role ID"') == 1


@pytest.mark.since("1.12.7")
def test_a_dicomweb_server_gets_what_is_sent(
    start_orthanc: StartOrthanc, use_orthanc: UseOrthanc, settings: Settings, graphql: GraphQL, make_follower: Make
) -> None:
    plugins = (DICOMWEB_PLUGIN,)
    remote = start_remote(start_orthanc, plugins=plugins)
    source = start_source(start_orthanc, remote, plugins=plugins)
    load(source, [instance(1, 1, 1, number) for number in range(1, 6)])
    settings.ORTHANC_DESTINATIONS = ["dicomweb:CLOUD"]
    use_orthanc(source)
    assert graphql("{ modalities { name kind aet } }") == {
        "modalities": [{"name": "CLOUD", "kind": "DICOMWEB", "aet": None}]
    }
    echo = 'mutation { echoModality(name: "CLOUD", kind: DICOMWEB) { isReachable } }'
    assert graphql(echo) == {"echoModality": {"isReachable": True}}
    ended = follow(graphql, send(graphql, modality="CLOUD", kind="DICOMWEB"), make_follower())
    assert (ended["state"], ended["result"], count(remote)) == ("SUCCESS", {"instancesCount": 5}, 5)
    remote.kill()
    assert graphql(echo) == {"echoModality": {"isReachable": False}}
    ended = follow(graphql, send(graphql, modality="CLOUD", kind="DICOMWEB"), make_follower())
    assert (ended["state"], ended["error"]["code"]) == ("FAILED", "DESTINATION_FAILED")


class TestDestinations:
    def test_only_those_of_the_setting_are_listed_and_nobody_learns_their_addresses(
        self, gateway: LocalOrthanc, graphql: GraphQL, settings: Settings
    ) -> None:
        query = "{ modalities { name kind aet } }"
        every = [
            {"name": "DEAD", "kind": "DICOM", "aet": "DEAD"},
            {"name": "PACS", "kind": "DICOM", "aet": "REMOTE"},
            {"name": "ARCHIVE", "kind": "PEER", "aet": None},
            {"name": "GONE", "kind": "PEER", "aet": None},
        ]
        assert graphql(query)["modalities"] == every
        settings.ORTHANC_DESTINATIONS = ["PACS", "peer:GONE", "ARCHIVE", "peer:PACS", "unknown"]
        assert graphql(query)["modalities"] == [every[1], every[3]]
        settings.ORTHANC_DESTINATIONS = []
        assert graphql(query)["modalities"] == []
        assert graphql.calls.count == 0

    def test_others_look_as_if_they_did_not_exist(
        self, gateway: LocalOrthanc, graphql: GraphQL, settings: Settings
    ) -> None:
        settings.ORTHANC_DESTINATIONS = ["PACS"]
        errors = [
            graphql.error(SEND, input=request(modality=name, kind=kind))
            for name, kind in (
                ("DEAD", "DICOM"),
                ("nope", "DICOM"),
                ("PACS", "PEER"),
                ("../PACS", "DICOM"),
                ("*", "PEER"),
            )
        ]
        assert {error["extensions"]["code"] for error in errors} == {"NOT_FOUND"}
        assert len({error["message"] for error in errors}) == 1
        assert not Job.objects.exists()

    def test_one_that_is_no_longer_allowed_gets_nothing(
        self, gateway: LocalOrthanc, remote: LocalOrthanc, graphql: GraphQL, settings: Settings, make_follower: Make
    ) -> None:
        job = send(graphql)
        settings.ORTHANC_DESTINATIONS = ["DEAD"]
        ended = follow(graphql, job, make_follower())
        assert (ended["state"], ended["error"]["code"], count(remote)) == ("FAILED", "FORBIDDEN", 0)

    @pytest.mark.parametrize(
        ("name", "kind", "is_reachable"),
        [("PACS", "DICOM", True), ("DEAD", "DICOM", False), ("ARCHIVE", "PEER", True), ("GONE", "PEER", False)],
    )
    def test_an_echo_tells_whether_a_server_answers(
        self, name: str, kind: str, is_reachable: bool, gateway: LocalOrthanc, graphql: GraphQL
    ) -> None:
        query = "mutation($name: String!, $kind: ModalityKind!) { echoModality(name: $name, kind: $kind) "
        answer = graphql(query + "{ isReachable modality { name } } }", name=name, kind=kind)
        assert answer == {"echoModality": {"isReachable": is_reachable, "modality": {"name": name}}}


class TestFailures:
    @pytest.mark.parametrize(("kind", "name"), [("DICOM", "DEAD"), ("PEER", "GONE")])
    def test_a_server_that_does_not_answer_fails_the_job(
        self, kind: str, name: str, gateway: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        ended = follow(graphql, send(graphql, modality=name, kind=kind), make_follower())
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "DESTINATION_FAILED")
        assert "127.0.0.1" not in json.dumps(ended)
        failed = AuditEvent.objects.get(event="SENT", outcome="FAILED")
        assert failed.error_code == "DESTINATION_FAILED"
        assert failed.intention is not None

    @pytest.mark.since("1.12.10")
    def test_the_status_of_a_rejected_instance_is_told(
        self,
        start_orthanc: StartOrthanc,
        use_orthanc: UseOrthanc,
        settings: Settings,
        graphql: GraphQL,
        make_follower: Make,
    ) -> None:
        remote = start_remote(start_orthanc, MaximumPatientCount=1, MaximumStorageMode="Reject")
        load(remote, [instance(2)])
        source = start_source(start_orthanc, remote)
        load(source, [instance(1)])
        settings.ORTHANC_DESTINATIONS = ["PACS"]
        use_orthanc(source)
        ended = follow(graphql, send(graphql), make_follower())
        assert ended["error"] == {
            "code": "DESTINATION_FAILED",
            "message": "The server rejected 1 of 1 instances (status A700).",
            "dimseStatus": "A700",
        }

    def test_what_is_deleted_before_it_is_sent_fails_the_job(
        self, gateway: LocalOrthanc, remote: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        load(gateway, [instance(9)])
        job = send(graphql, "STUDY", Target.at(9).ids["studies"])
        graphql("mutation($id: ID!) { deleteStudy(orthancId: $id) { deletedIds } }", id=Target.at(9).ids["studies"])
        ended = follow(graphql, job, make_follower())
        assert (ended["state"], ended["error"]["code"], ended["study"]) == ("FAILED", "NOT_FOUND", None)

    def test_unknown_resources_and_invalid_requests_make_no_job(self, gateway: LocalOrthanc, graphql: GraphQL) -> None:
        study, series = TARGET.ids["studies"], TARGET.ids["series"]
        for given, code in (
            (request("STUDY", UNKNOWN_TARGET.ids["studies"]), "NOT_FOUND"),
            (request("STUDY", study, UNKNOWN_TARGET.ids["studies"]), "NOT_FOUND"),
            (request("STUDY", series), "NOT_FOUND"),
            (request("STUDY", "../tools/reset"), "BAD_USER_INPUT"),
            ({**request(), "orthancIds": []}, "BAD_USER_INPUT"),
            (request(clientMutationId=""), "BAD_USER_INPUT"),
            (request(clientMutationId="x" * 129), "BAD_USER_INPUT"),
            (request(clientMutationId="\0"), "BAD_USER_INPUT"),
            (request("STUDY", *(f"{number}" for number in range(1001))), "LIMIT_EXCEEDED"),
        ):
            assert graphql.error(SEND, input=given)["extensions"]["code"] == code, given
        assert not Job.objects.exists()
        assert not AuditEvent.objects.filter(outcome="INTENDED").exists()


class TestIdempotence:
    def test_the_same_request_is_carried_out_once(
        self, gateway: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        first = send(graphql, clientMutationId="one")
        assert send(graphql, clientMutationId="one")["id"] == first["id"]
        follow(graphql, first, make_follower())
        assert send(graphql, clientMutationId="one")["state"] == "SUCCESS"
        assert send(graphql, clientMutationId="two")["id"] != first["id"]
        assert send(graphql)["id"] != send(graphql)["id"]
        other = graphql.error(SEND, input=request("SERIES", clientMutationId="one"))
        assert other["extensions"]["code"] == "BAD_USER_INPUT"

    def test_the_same_request_at_the_same_time_makes_one_job(self, gateway: LocalOrthanc) -> None:
        def ask(_: int) -> str:
            try:
                return str(send(GraphQL(), clientMutationId="at once")["id"])
            finally:
                connections.close_all()

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(ask, range(8)))) == 1
        assert Job.objects.count() == AuditEvent.objects.filter(outcome="INTENDED").count() == 1


class TestCancelling:
    def test_a_job_that_has_not_begun_sends_nothing(
        self, gateway: LocalOrthanc, remote: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        job = send(graphql)
        assert graphql(CANCEL, id=job["id"])["cancelJob"]["job"] == {"state": "PENDING", "isBeingCancelled": True}
        ended = follow(graphql, job, make_follower())
        assert (ended["state"], ended["isBeingCancelled"], count(remote)) == ("CANCELLED", False, 0)
        failed = AuditEvent.objects.get(event="SENT", outcome="FAILED")
        assert failed.error_code == "CANCELLED"
        # once more changes nothing
        assert graphql(CANCEL, id=job["id"])["cancelJob"]["job"]["state"] == "CANCELLED"

    def test_a_job_that_goes_on_ends_early(
        self, gateway: LocalOrthanc, remote: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        load(gateway, [instance(8, 1, 1, number) for number in range(1, 1001)])
        follower = make_follower()
        job = send(graphql, "STUDY", Target.at(8).ids["studies"])

        def is_sending() -> bool:
            follower.step()
            return count(remote) > 0

        wait_until(is_sending)
        assert graphql(CANCEL, id=job["id"])["cancelJob"]["job"]["isBeingCancelled"]
        assert follow(graphql, job, follower)["state"] == "CANCELLED"
        assert 0 < count(remote) < 1000

    def test_unknown_jobs_cannot_be_cancelled(self, gateway: LocalOrthanc, graphql: GraphQL) -> None:
        for given in ("", "7", "Sm9iOjc=", "Sm9iOi0x", "U3R1ZHk6MQ==", "Sm9iOjF4", "\0"):
            assert graphql.error(CANCEL, id=given)["extensions"]["code"] == "NOT_FOUND"
            assert graphql(JOB, id=given) == {"job": None}


class TestLimits:
    def test_one_caller_does_not_keep_others_waiting(
        self, gateway: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        for _ in range(MAX_BEGUN_BY_CALLER + 2):
            send(graphql, modality="DEAD")
        other = Job.objects.get(pk=Job.objects.order_by("pk").last().pk)  # type: ignore[union-attr]
        Job.objects.filter(pk=other.pk).update(created_by="somebody else")
        make_follower().step()
        assert Job.objects.exclude(attempt="").count() == MAX_BEGUN_BY_CALLER + 1
        other.refresh_from_db()
        assert other.attempt

    def test_a_caller_has_a_hundred_jobs_at_once(
        self, gateway: LocalOrthanc, graphql: GraphQL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orthancproxy.resolvers.job_requests.MAX_UNFINISHED_JOBS", 2)
        for _ in range(2):
            send(graphql)
        assert graphql.error(SEND, input=request())["extensions"]["code"] == "LIMIT_EXCEEDED"

    def test_the_answer_does_not_wait_for_thousands_of_instances(
        self, gateway: LocalOrthanc, remote: LocalOrthanc, graphql: GraphQL, make_follower: Make
    ) -> None:
        load(gateway, [instance(7, 1, 1, number) for number in range(1, 1201)])
        clear(remote)
        modality = json.loads(ask(gateway, "/modalities/PACS/configuration"))
        with gate_to(modality["Port"]) as gate:
            waiting = {**modality, "Port": gate.port, "Timeout": 300}
            ask(gateway, "/modalities/SLOW", "PUT", json.dumps(waiting).encode())
            job = send(graphql, "STUDY", Target.at(7).ids["studies"], modality="SLOW")
            make_follower().step()
            # it has begun, and nothing can have arrived
            assert Job.objects.get().orthanc_job
            assert look(graphql, job)["endedAt"] is None
            gate.open()
            assert follow(graphql, job, make_follower())["result"] == {"instancesCount": 1200}
        ask(gateway, "/modalities/SLOW", "DELETE")
        assert count(remote) == 1200
