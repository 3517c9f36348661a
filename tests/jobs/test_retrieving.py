"""Searching another server, and retrieving from it: what is found and arrives, how jobs end, and the audit log."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.archive.sources import MAX_FOUND
from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.models import AuditEvent
from orthancproxy.jobs.following import MISSING_DURATION, JobFollower
from orthancproxy.jobs.models import Job
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.resolvers.sources import MAX_STUDIES
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.access.callers import api_token
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ask, instance, load
from tests.jobs.archives import Archives, start_archives, start_remote_archive
from tests.jobs.conftest import Clock
from tests.jobs.servers import cancel_all, clear, count
from tests.jobs.test_sending import CANCEL, follow
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

Make = Callable[[], JobFollower]
FIND = """query($name: String!, $filter: SourceFilter!) { findOnModality(modality: $name, filter: $filter) {
  studyInstanceUID patientId patientName name { ideographic phonetic } birthDate sex description studyDate studyTime
  accessionNumber modalities seriesCount instancesCount study { orthancId } } }"""
RETRIEVE = """mutation($input: RetrieveInput!) { retrieveFromModality(input: $input) { job {
  id kind state target { source studyInstanceUIDs destination level orthancIds } createdBy
  study { studyInstanceUID } } } }"""
LOOK = """query($id: ID!) { job(id: $id) { id state progress endedAt isBeingCancelled study { studyInstanceUID }
  result { instancesCount studies { studyInstanceUID } } error { code message dimseStatus } } }"""
TARGET, OTHER, LARGE = Target.at(1), Target.at(2, 2), Target.at(7)
LARGE_COUNT = 1500
KOREAN, JAPANESE = "Hong^Gildong=洪^吉洞=홍^길동", "Yamada^Tarou=山田^太郎=やまだ^たろう"


@pytest.fixture(scope="module")
def archives(_without_nagle: None, start_orthanc: StartOrthanc) -> Archives:
    """A remote archive with two patients of two studies, one with names of other scripts, and a large study."""
    archives = start_archives(start_orthanc)
    files = [instance(p, st, se, n) for p in (1, 2) for st in (1, 2) for se in (1, 2) for n in (1, 2, 3)]
    files.append(instance(3, 1, SpecificCharacterSet="\\ISO 2022 IR 149", PatientName=KOREAN))
    files.append(instance(4, 1, PatientName=JAPANESE, StudyDescription="頭部"))
    load(archives.remote, files)
    load(archives.remote, [instance(7, 1, 1, number) for number in range(1, LARGE_COUNT + 1)])
    return archives


@pytest.fixture
def manager(graphql: GraphQL) -> GraphQL:
    """A client of a user with all permissions."""
    user = User.objects.create_user("kim")
    user.user_permissions.set(Permission.objects.filter(codename__in=[action.value for action in Action]))
    graphql._client.defaults["HTTP_AUTHORIZATION"] = f"Bearer {api_token(user)}"
    return graphql


@pytest.fixture
def local(archives: Archives, use_orthanc: UseOrthanc, settings: Settings) -> Iterator[LocalOrthanc]:
    """Point the gateway to the local archive, which is empty, and whose jobs nobody follows."""
    settings.ORTHANC_SOURCES = ["*"]
    cancel_all(archives.local)
    clear(archives.local)
    use_orthanc(archives.local)
    background(connect()).follower.stop()
    yield archives.local
    # each search has deleted its answers
    assert json.loads(ask(archives.local, "/queries")) == []


def find(graphql: GraphQL, name: str = "PACS", **criteria: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = graphql(FIND, name=name, filter=criteria)["findOnModality"]
    return found


def request(*targets: Target, source: str = "PACS", **more: Any) -> dict[str, Any]:
    return {"source": source, "studyInstanceUIDs": [one.study_uid for one in targets or (TARGET,)], **more}


def retrieve(graphql: GraphQL, *targets: Target, **more: Any) -> dict[str, Any]:
    job: dict[str, Any] = graphql(RETRIEVE, input=request(*targets, **more))["retrieveFromModality"]["job"]
    return job


def end(graphql: GraphQL, job: dict[str, Any], follower: JobFollower) -> dict[str, Any]:
    """Follow a job to its end."""
    follow(graphql, job, follower)
    found: dict[str, Any] = graphql(LOOK, id=job["id"])["job"]
    return found


def code(error: dict[str, Any]) -> str:
    found: str = error["extensions"]["code"]
    return found


class TestSearches:
    def test_a_study_is_found_with_its_patient_and_audited(self, local: LocalOrthanc, manager: GraphQL) -> None:
        [found] = find(manager, patientId=TARGET.patient_id, accessionNumber="A001-1")
        assert found == {
            "studyInstanceUID": TARGET.study_uid,
            "patientId": TARGET.patient_id,
            "patientName": "Kim001^Minsu=金1^民洙=김1^민수",
            "name": {"ideographic": "金1^民洙", "phonetic": "김1^민수"},
            "birthDate": "1951-03-15",
            "sex": "F",
            "description": "Brain study 1",
            "studyDate": "2021-02-11",
            "studyTime": "10:01:30.500000",
            "accessionNumber": "A001-1",
            "modalities": ["CT", "MR"],
            "seriesCount": 2,
            "instancesCount": 6,
            "study": None,
        }
        event = AuditEvent.objects.get(event="QUERIED")
        assert (event.outcome, event.operation, event.username) == ("SUCCESS", "findOnModality", "kim")
        query = {"PatientID": TARGET.patient_id, "AccessionNumber": "A001-1"}
        assert (event.details, event.counts) == ({"source": "PACS", "query": query}, {"studies": 1})
        subjects = {(row.patient_id, row.study_instance_uid) for row in event.subjects.all()}
        assert subjects == {(TARGET.patient_id, TARGET.study_uid)}
        [message] = messages(event, "gateway")
        assert 'originalText="Query"' in message
        assert 'UserID="PACS" UserIsRequestor="false"' in message

    @pytest.mark.parametrize(
        ("criteria", "expected"),
        [
            ({"patientName": "kim00*", "description": "Brain*", "modality": "MR"}, [(1, 1), (1, 2), (2, 1), (2, 2)]),
            ({"patientName": "Kim00?^Minsu*", "description": "*study 2"}, [(1, 2), (2, 2)]),
            ({"patientId": "P00*", "studyDate": {"from": "2022-01-01", "to": "2022-02-28"}}, [(1, 2)]),
            ({"patientId": "P00*", "studyDate": {"from": "2022-02-12"}}, [(2, 2)]),
            ({"patientId": "P002", "studyDate": {"to": "2021-12-31"}}, [(2, 1)]),
            ({"patientId": "P001", "modality": "MR"}, [(1, 1), (1, 2)]),
            ({"patientId": "P001", "modality": "US"}, []),
            ({"studyInstanceUIDs": [TARGET.study_uid, OTHER.study_uid, "1.2.3"]}, [(1, 1), (2, 2)]),
            ({"patientName": "*홍*"}, [(3, 1)]),
            ({"patientName": "*山田*"}, [(4, 1)]),
            ({"description": "*頭*"}, [(4, 1)]),
            ({"patientName": "*金1*"}, [(1, 1), (1, 2)]),
            ({"patientId": "none"}, []),
        ],
        ids=str,
    )
    def test_criteria_are_those_of_dicom(
        self, criteria: dict[str, Any], expected: list[tuple[int, int]], local: LocalOrthanc, manager: GraphQL
    ) -> None:
        found = find(manager, **criteria)
        assert {one["studyInstanceUID"] for one in found} == {Target.at(*place).study_uid for place in expected}
        dates = [(one["studyDate"], one["studyTime"]) for one in found]
        assert dates == sorted(dates, reverse=True)

    def test_names_in_other_scripts_are_shown(self, local: LocalOrthanc, manager: GraphQL) -> None:
        assert [one["patientName"] for one in find(manager, patientId="P003")] == [KOREAN]
        [japanese] = find(manager, patientId="P004")
        assert (japanese["patientName"], japanese["description"]) == (JAPANESE, "頭部")

    def test_a_study_that_is_here_is_shown(self, local: LocalOrthanc, manager: GraphQL) -> None:
        load(local, [instance(1, 1, 1, 1), instance(2, 1, 1, 1, PatientID="another")])
        here = {one["studyInstanceUID"]: one["study"] for one in find(manager, patientName="Kim00*")}
        assert here.pop(TARGET.study_uid) == {"orthancId": TARGET.ids["studies"]}
        # the same UID of another patient is another study
        assert set(here.values()) == {None}

    @pytest.mark.parametrize(
        "criteria",
        [
            {},
            {"patientName": ""},
            {"patientName": "**"},
            {"studyDate": {}},
            {"studyDate": {"from": "2022-01-02", "to": "2022-01-01"}},
            {"patientId": "P001\\P002"},
            {"patientId": "P001\0"},
            {"patientName": "x\n"},
            {"patientName": "\ud800"},
            {"patientName": "x" * 65},
            {"studyInstanceUIDs": []},
            {"studyInstanceUIDs": ["1.2*"]},
            {"studyInstanceUIDs": ["1.2\\1.3"]},
            {"studyInstanceUIDs": ["../tools/reset"]},
            {"studyInstanceUIDs": ["1" * 65]},
        ],
        ids=lambda criteria: json.dumps(criteria)[:40],
    )
    def test_what_would_list_everything_or_is_malformed_is_rejected_without_asking(
        self, criteria: dict[str, Any], local: LocalOrthanc, manager: GraphQL
    ) -> None:
        assert code(manager.error(FIND, name="PACS", filter=criteria)) == "BAD_USER_INPUT"
        assert manager.calls.count == 0

    def test_too_many_uids_are_rejected(self, local: LocalOrthanc, manager: GraphQL) -> None:
        uids = [f"1.2.{number}" for number in range(MAX_STUDIES + 1)]
        assert code(manager.error(FIND, name="PACS", filter={"studyInstanceUIDs": uids})) == "LIMIT_EXCEEDED"

    def test_a_server_with_too_many_such_studies_is_an_error(
        self, local: LocalOrthanc, archives: Archives, manager: GraphQL
    ) -> None:
        load(archives.remote, [instance(8, study, PatientID="MANY") for study in range(1, MAX_FOUND + 2)])
        error = manager.error(FIND, name="PACS", filter={"patientId": "MANY"})
        assert (code(error), str(MAX_FOUND + 1) in error["message"]) == ("LIMIT_EXCEEDED", True)
        assert len(find(manager, patientId="MANY", accessionNumber="A008-1*")) > 1

    @pytest.mark.once
    def test_a_server_that_does_not_answer_is_an_error_that_is_audited(
        self, local: LocalOrthanc, archives: Archives, manager: GraphQL
    ) -> None:
        error = manager.error(FIND, name="DEAD", filter={"patientId": "x", "patientName": "Hong*"})
        assert code(error) == "SOURCE_FAILED"
        assert "127.0.0.1" not in json.dumps(error)
        event = AuditEvent.objects.get(event="QUERIED")
        assert (event.outcome, event.error_code) == ("FAILED", "SOURCE_FAILED")
        # what people write about patients is not in the audit log
        assert event.details == {"source": "DEAD", "query": {"PatientID": "x", "PatientName": None}}
        assert "Hong" not in "".join(messages(event, "gateway"))


class TestSources:
    def test_only_those_of_the_setting_are_listed_and_searched(
        self, local: LocalOrthanc, manager: GraphQL, settings: Settings
    ) -> None:
        query = "{ sources { name kind aet } }"
        assert [one["name"] for one in manager(query)["sources"]] == ["DEAD", "PACS", "STRANGER"]
        settings.ORTHANC_SOURCES = ["PACS", "peer:PACS", "unknown"]
        assert manager(query)["sources"] == [{"name": "PACS", "kind": "DICOM", "aet": "REMOTE"}]
        errors = [manager.error(FIND, name=name, filter={"patientId": "x"}) for name in ("DEAD", "no", "../PACS", "*")]
        errors += [manager.error(RETRIEVE, input=request(source=name)) for name in ("DEAD", "no", "PACS/../x", "")]
        assert {(code(error), error["message"]) for error in errors} == {
            ("NOT_FOUND", "There is no such server to retrieve from.")
        }
        settings.ORTHANC_SOURCES = []
        assert manager(query)["sources"] == []
        assert manager.calls.count == 0
        assert not Job.objects.exists()

    def test_one_that_is_no_longer_allowed_sends_nothing(
        self, local: LocalOrthanc, manager: GraphQL, settings: Settings, make_follower: Make
    ) -> None:
        job = retrieve(manager)
        settings.ORTHANC_SOURCES = ["DEAD"]
        ended = end(manager, job, make_follower())
        assert (ended["state"], ended["error"]["code"], count(local)) == ("FAILED", "FORBIDDEN", 0)


class TestRetrievals:
    @pytest.mark.parametrize("method", [None, "C_MOVE", pytest.param("C_GET", marks=pytest.mark.since("1.12.7"))])
    def test_what_is_retrieved_arrives_and_is_audited_before_and_after(
        self, method: str | None, local: LocalOrthanc, manager: GraphQL, make_follower: Make
    ) -> None:
        job = retrieve(manager, TARGET, OTHER, method=method)
        uids = [TARGET.study_uid, OTHER.study_uid]
        assert (job["kind"], job["state"], job["createdBy"]) == ("RETRIEVE", "PENDING", "kim")
        target = {"source": "PACS", "studyInstanceUIDs": uids, "destination": None, "level": "STUDY", "orthancIds": []}
        assert (job["target"], job["study"]) == (target, None)
        [intended] = AuditEvent.objects.filter(event="RETRIEVED")
        assert (intended.outcome, intended.details) == ("INTENDED", {"source": "PACS"})
        ended = end(manager, job, make_follower())
        assert (ended["state"], ended["progress"], ended["error"]) == ("SUCCESS", 1.0, None)
        assert ended["result"]["instancesCount"] == count(local) == 12
        assert {one["studyInstanceUID"] for one in ended["result"]["studies"]} == set(uids)
        done = intended.conclusion
        assert (done.outcome, done.counts) == ("SUCCESS", {"studies": 2, "instances": 12})
        subjects = {(row.patient_id, row.study_instance_uid) for row in done.subjects.all()}
        assert subjects == {(one.patient_id, one.study_uid) for one in (TARGET, OTHER)}
        made = {(one["patientId"], one["studyInstanceUID"]) for one in done.details["made"]}
        assert (done.details["source"], made) == ("PACS", subjects)
        begin, transferred = ("".join(messages(one, "gateway")) for one in (intended, done))
        assert 'originalText="Begin Transferring DICOM Instances"' in begin
        assert 'originalText="DICOM Instances Transferred"' in transferred
        assert transferred.count('UserID="PACS" UserIsRequestor="false"') == 2
        assert all(one["study"] for one in find(manager, studyInstanceUIDs=uids))

    def test_retrieving_again_changes_nothing(self, local: LocalOrthanc, manager: GraphQL, make_follower: Make) -> None:
        follower = make_follower()
        for _ in range(2):
            ended = end(manager, retrieve(manager), follower)
            assert (ended["state"], ended["study"]) == ("SUCCESS", {"studyInstanceUID": TARGET.study_uid})
            assert (ended["result"]["instancesCount"], count(local)) == (6, 6)

    @pytest.mark.since("1.12.0")
    def test_a_study_in_the_trash_comes_back(
        self, local: LocalOrthanc, manager: GraphQL, make_follower: Make, settings: Settings
    ) -> None:
        settings.ORTHANC_TRASH_DAYS = 30
        follower = make_follower()
        end(manager, retrieve(manager), follower)
        manager("mutation($id: ID!) { deleteStudy(orthancId: $id) { inTrash } }", id=TARGET.ids["studies"])
        assert manager("{ studies { totalCount } }")["studies"]["totalCount"] == 0
        ended = end(manager, retrieve(manager), follower)
        assert (ended["state"], ended["study"]) == ("SUCCESS", {"studyInstanceUID": TARGET.study_uid})
        assert manager("{ trash { totalCount } }")["trash"]["totalCount"] == 0

    def test_a_request_with_the_id_of_an_earlier_one_gets_its_job(
        self, local: LocalOrthanc, manager: GraphQL, make_follower: Make
    ) -> None:
        first = retrieve(manager, clientMutationId="1")
        assert retrieve(manager, clientMutationId="1")["id"] == first["id"]
        for other in (request(OTHER, clientMutationId="1"), request(method="C_MOVE", clientMutationId="1")):
            assert code(manager.error(RETRIEVE, input=other)) == "BAD_USER_INPUT"
        assert retrieve(manager, clientMutationId="2")["id"] != first["id"]
        assert Job.objects.count() == 2
        assert AuditEvent.objects.filter(event="RETRIEVED", outcome="INTENDED").count() == 2

    def test_a_study_that_is_not_there_is_not_found(self, local: LocalOrthanc, manager: GraphQL) -> None:
        error = manager.error(RETRIEVE, input=request(TARGET, Target.at(9)))
        assert code(error) == "NOT_FOUND"
        assert not Job.objects.exists()
        event = AuditEvent.objects.get(event="RETRIEVED")
        assert (event.outcome, event.error_code) == ("FAILED", "NOT_FOUND")

    @pytest.mark.parametrize("uids", [[], ["*"], ["1.2\\1.3"], ["1.2\0"]])
    def test_malformed_uids_are_rejected(self, uids: list[str], local: LocalOrthanc, manager: GraphQL) -> None:
        given = {"source": "PACS", "studyInstanceUIDs": uids}
        assert code(manager.error(RETRIEVE, input=given)) == "BAD_USER_INPUT"
        assert manager.calls.count == 0

    def test_c_get_needs_an_orthanc_that_has_it(self, local: LocalOrthanc, manager: GraphQL) -> None:
        answer = manager.answer(RETRIEVE, input=request(method="C_GET"))
        codes = [code(error) for error in answer.get("errors", ())]
        assert codes == ([] if connect().capabilities().has_c_get else ["BAD_USER_INPUT"])


class TestFailures:
    def test_a_server_that_does_not_know_whom_to_send_to_fails_the_job_with_its_status(
        self,
        local: LocalOrthanc,
        archives: Archives,
        manager: GraphQL,
        make_follower: Make,
        start_orthanc: StartOrthanc,
    ) -> None:
        load(start_remote_archive(start_orthanc, archives.stranger_port), [instance()])
        ended = end(manager, retrieve(manager, source="STRANGER"), make_follower())
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "SOURCE_FAILED")
        assert ended["error"]["dimseStatus"] == "C000"
        assert "127.0.0.1" not in json.dumps(ended)
        failed = AuditEvent.objects.get(event="RETRIEVED", outcome="FAILED")
        assert (failed.error_code, failed.counts) == ("SOURCE_FAILED", {"studies": 1})

    def test_a_job_ends_when_its_server_is_killed_and_can_be_repeated(
        self, local: LocalOrthanc, archives: Archives, manager: GraphQL, make_follower: Make
    ) -> None:
        job, follower = retrieve(manager, LARGE), make_follower()
        follower.step()
        wait_until(lambda: count(local) > 50)
        archives.remote.kill()
        try:
            ended = end(manager, job, follower)
            assert (ended["state"], ended["error"]["code"]) == ("FAILED", "SOURCE_FAILED")
            assert ended["result"] == {"instancesCount": None, "studies": []}
            assert 50 < count(local) < LARGE_COUNT
            assert code(manager.error(RETRIEVE, input=request())) == "SOURCE_FAILED"
        finally:
            archives.remote.start()
        ended = end(manager, retrieve(manager, LARGE), follower)
        assert (ended["state"], ended["result"]["instancesCount"], count(local)) == (
            "SUCCESS",
            LARGE_COUNT,
            LARGE_COUNT,
        )

    def test_a_job_survives_that_orthanc_is_killed(
        self, local: LocalOrthanc, manager: GraphQL, make_follower: Make, clock: Clock
    ) -> None:
        job, follower = retrieve(manager, LARGE), make_follower()
        follower.step()
        wait_until(lambda: count(local) > 50)
        local.kill()
        local.start()
        assert count(local) < LARGE_COUNT
        clock.ahead += 2 * MISSING_DURATION
        ended = end(manager, job, follower)
        assert (ended["state"], ended["result"]["instancesCount"], count(local)) == (
            "SUCCESS",
            LARGE_COUNT,
            LARGE_COUNT,
        )
        assert AuditEvent.objects.filter(event="RETRIEVED").count() == 2

    def test_a_server_that_is_gone_when_the_job_begins_fails_it(
        self, local: LocalOrthanc, archives: Archives, manager: GraphQL, make_follower: Make
    ) -> None:
        job = retrieve(manager)
        archives.remote.kill()
        try:
            ended = end(manager, job, make_follower())
        finally:
            archives.remote.start()
        assert (ended["state"], ended["error"]["code"], count(local)) == ("FAILED", "SOURCE_FAILED", 0)

    def test_a_study_that_is_gone_when_the_job_begins_fails_it(
        self, local: LocalOrthanc, archives: Archives, manager: GraphQL, make_follower: Make
    ) -> None:
        target = Target.at(5)
        load(archives.remote, [instance(5)])
        job = retrieve(manager, target)
        ask(archives.remote, f"/studies/{target.ids['studies']}", "DELETE")
        ended = end(manager, job, make_follower())
        assert (ended["state"], ended["error"]["code"], count(local)) == ("FAILED", "NOT_FOUND", 0)

    def test_what_did_not_arrive_although_the_server_says_so_fails_the_job(
        self, local: LocalOrthanc, manager: GraphQL, make_follower: Make
    ) -> None:
        job, follower = retrieve(manager), make_follower()
        follower.step()
        wait_until(lambda: count(local) == 6)
        # as if it had sent nothing
        clear(local)
        ended = end(manager, job, follower)
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "SOURCE_FAILED")
        assert AuditEvent.objects.filter(event="RETRIEVED", outcome="FAILED").count() == 1

    def test_a_job_can_be_cancelled(self, local: LocalOrthanc, manager: GraphQL, make_follower: Make) -> None:
        job, follower = retrieve(manager, LARGE), make_follower()
        follower.step()
        wait_until(lambda: count(local) > 50)
        manager(CANCEL, id=job["id"])
        ended = end(manager, job, follower)
        assert (ended["state"], ended["error"]) == ("CANCELLED", None)
        # what has arrived stays
        assert count(local) > 50
