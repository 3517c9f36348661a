"""Jobs that anonymize a study: what they make, and what is left of those that fail, are cancelled, or die."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage
from pytest_django import Settings

from orthancproxy.archive import storage
from orthancproxy.archive.levels import study_orthanc_id
from orthancproxy.audit.dicom_messages import messages
from orthancproxy.audit.models import AuditEvent
from orthancproxy.errors import ArchiveUnavailable, GatewayError, GatewayUnavailable
from orthancproxy.jobs import anonymizing
from orthancproxy.jobs.anonymizing import Anonymizing
from orthancproxy.jobs.following import JobFollower
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.work import WorkContext
from orthancproxy.jobs.works import WORKS
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import UNKNOWN_TARGET, Target
from tests.anonymization.archive import files, parsed, studies
from tests.anonymization.conftest import ANONYMIZE, follow
from tests.conftest import GraphQL
from tests.corpus import ask, instance, load

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

Make = Callable[[], JobFollower]
Anonymize = Callable[..., dict[str, Any]]
CANCEL = "mutation($id: ID!) { cancelJob(id: $id) { job { state } } }"
STUDY = Target.at(1).ids["studies"]


@pytest.fixture
def study(gateway: LocalOrthanc) -> str:
    """A study of two series of three instances, and another one of the patient."""
    load(gateway, [instance(1, 1, series, number) for series in (1, 2) for number in (1, 2, 3)])
    load(gateway, [instance(1, 2)])
    return STUDY


def results(orthanc: LocalOrthanc, job: dict[str, Any]) -> list[Dataset]:
    [made] = job["result"]["studies"]
    return [parsed(one) for one in files(orthanc, made["orthancId"])]


class TestResults:
    def test_a_study_becomes_a_new_one_of_a_new_patient(
        self, gateway: LocalOrthanc, study: str, anonymize: Anonymize
    ) -> None:
        before = {one: files(gateway, one) for one in studies(gateway)}
        job = anonymize(study)
        assert (job["state"], job["progress"], job["error"]) == ("SUCCESS", 1.0, None)
        assert (job["result"]["instancesCount"], job["result"]["leftOutCount"]) == (6, None)
        assert job["study"] == job["result"]["studies"][0]
        assert job["target"]["orthancIds"] == [study]
        made = results(gateway, job)
        assert len({one.PatientID for one in made}) == len({one.StudyInstanceUID for one in made}) == 1
        assert len({one.SeriesInstanceUID for one in made}) == 2
        assert len({one.SOPInstanceUID for one in made}) == 6
        assert all(one.SOPInstanceUID == one.file_meta.MediaStorageSOPInstanceUID for one in made)
        [first, *_] = made
        assert first.PatientName == first.PatientID != "P001"
        assert (first.PatientIdentityRemoved, first.LongitudinalTemporalInformationModified) == ("YES", "REMOVED")
        assert (first.StudyDate, first.PatientBirthDate, first.get("StudyDescription")) == ("", "", None)
        assert {one.Modality for one in made} == {"CT", "MR"}
        assert (first.Rows, first.PixelData) == (8, bytes(range(128)))
        assert {one: files(gateway, one) for one in before} == before

    def test_each_job_has_other_pseudonyms_and_uids(
        self, gateway: LocalOrthanc, study: str, anonymize: Anonymize
    ) -> None:
        first, second = (results(gateway, anonymize(study))[0] for _ in range(2))
        assert first.PatientID != second.PatientID
        assert first.StudyInstanceUID != second.StudyInstanceUID

    def test_what_is_asked_for_is_kept(self, gateway: LocalOrthanc, study: str, anonymize: Anonymize) -> None:
        options = {
            "patientId": "S-001",
            "patientName": "Subject^One",
            "keepSeriesDescriptions": True,
            "keepDevice": True,
        }
        made = results(gateway, anonymize(study, **options))
        assert {(str(one.PatientID), str(one.PatientName)) for one in made} == {("S-001", "Subject^One")}
        assert {one.SeriesDescription for one in made} == {"Series 1", "Series 2"}
        assert {one.StationName for one in made} == {"ST1"}
        assert made[0].DeidentificationMethodCodeSequence[1].CodeValue == "113109"

    def test_a_description_with_the_name_of_the_patient_is_not_kept(
        self, gateway: LocalOrthanc, anonymize: Anonymize
    ) -> None:
        load(
            gateway,
            [instance(1, SeriesDescription="T1 of KIM001", Manufacturer="Made for P001"), instance(1, number=2)],
        )
        made = results(gateway, anonymize(STUDY, keepSeriesDescriptions=True))
        assert {one.SeriesDescription for one in made} == {"ANONYMIZED", "Series 1"}
        assert {one.Manufacturer for one in made} == {"ANONYMIZED", "ACME"}

    def test_dates_are_moved_by_the_same_number_of_days(
        self, gateway: LocalOrthanc, study: str, anonymize: Anonymize
    ) -> None:
        made = results(gateway, anonymize(study, shiftDates=True))
        assert len({one.StudyDate for one in made}) == 1
        [first, *_] = made
        assert first.StudyDate == first.SeriesDate
        assert "1990" < first.StudyDate[:4] < "2022"
        assert first.StudyDate != "20210211"
        assert (first.StudyTime, first.PatientBirthDate) == ("100130.5", "")
        assert first.LongitudinalTemporalInformationModified == "MODIFIED"

    def test_references_within_the_study_stay(self, gateway: LocalOrthanc, anonymize: Anonymize) -> None:
        reference = Dataset()
        uid = parsed(instance(1, 1, 1, 1)).SOPInstanceUID
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
        load(gateway, [instance(1), instance(1, number=2, ReferencedImageSequence=[reference])])
        by_number = {one.InstanceNumber: one for one in results(gateway, anonymize(STUDY))}
        [made] = by_number[2].ReferencedImageSequence
        assert made.ReferencedSOPInstanceUID == by_number[1].SOPInstanceUID
        assert made.ReferencedSOPClassUID == "1.2.840.10008.5.1.4.1.1.2"

    def test_what_cannot_be_cleaned_is_left_out(self, gateway: LocalOrthanc, anonymize: Anonymize) -> None:
        document: dict[str, Any] = {
            "SOPClassUID": EncapsulatedPDFStorage,
            "EncapsulatedDocument": b"%PDF of Kim",
            "PixelData": None,
        }
        load(gateway, [instance(1), instance(1, number=2, BurnedInAnnotation="YES"), instance(1, number=3, **document)])
        job = anonymize(STUDY)
        assert (job["result"]["instancesCount"], job["result"]["leftOutCount"]) == (1, 2)
        assert [one.InstanceNumber for one in results(gateway, job)] == [1]
        job = anonymize(STUDY, includeBurnedIn=True)
        assert (job["result"]["instancesCount"], job["result"]["leftOutCount"]) == (2, 1)

    def test_a_study_of_documents_fails(self, gateway: LocalOrthanc, anonymize: Anonymize) -> None:
        load(gateway, [instance(1, BurnedInAnnotation="YES")])
        job = anonymize(STUDY)
        assert (job["state"], job["error"]["code"]) == ("FAILED", "BAD_USER_INPUT")
        assert studies(gateway) == [STUDY]


class TestEnds:
    def begin(self, graphql: GraphQL, study: str, **more: Any) -> str:
        job: str = graphql(ANONYMIZE, input={"orthancId": study, **more})["anonymizeStudy"]["job"]["id"]
        return job

    def test_what_a_process_that_dies_has_stored_is_the_same_the_next_time(
        self, gateway: LocalOrthanc, study: str, graphql: GraphQL, make_follower: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(anonymizing, "INSTANCES_PER_PART", 2)
        job = self.begin(graphql, study)
        stored = 0

        class _KilledError(BaseException):
            pass

        def store(*arguments: Any) -> Any:
            nonlocal stored
            stored += 1
            made = storage.store(*arguments)
            if stored == 4:
                raise _KilledError
            return made

        with monkeypatch.context() as patch:
            patch.setattr("orthancproxy.jobs.anonymizing.storage", type("_", (), {"store": staticmethod(store)}))
            with pytest.raises(_KilledError):
                follow(graphql, job, make_follower())
        row = Job.objects.get()
        assert row.stage["counts"] == {"instances": 2}
        # another process knows nothing but the row
        monkeypatch.setattr(WORKS["ANONYMIZE"], "_runs", {})
        assert follow(graphql, job, make_follower())["state"] == "SUCCESS"
        [made] = {*studies(gateway)} - {study, Target.at(1, 2).ids["studies"]}
        assert len(files(gateway, made)) == 6

    def test_a_process_that_goes_on_after_another_one_counts_nothing_twice(
        self, gateway: LocalOrthanc, study: str, graphql: GraphQL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(anonymizing, "INSTANCES_PER_PART", 2)
        monkeypatch.setattr(anonymizing, "STEP_SECONDS", 0.0001)
        context = WorkContext(connect(), background(connect()).report)
        first, other = (JobFollower(context, lambda: True, works={"ANONYMIZE": Anonymizing()}) for _ in range(2))
        job = self.begin(graphql, study)
        # the first one loses the lease after a part, and gets it back after another
        for follower, count in ((first, 2), (other, 4)):
            while Job.objects.get().stage.get("counts", {}).get("instances", 0) < count:
                follower.step()
        ended = follow(graphql, job, first)
        assert (ended["state"], ended["error"]) == ("SUCCESS", None)
        assert ended["result"]["instancesCount"] == 6

    def test_a_cancelled_job_leaves_nothing(
        self, gateway: LocalOrthanc, study: str, graphql: GraphQL, make_follower: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = studies(gateway)
        monkeypatch.setattr(anonymizing, "INSTANCES_PER_PART", 2)
        monkeypatch.setattr(anonymizing, "STEP_SECONDS", 0.0001)
        job, follower = self.begin(graphql, study), make_follower()
        while len(studies(gateway)) == len(before):
            follower.step()
        graphql(CANCEL, id=job)
        assert follow(graphql, job, follower)["state"] == "CANCELLED"
        assert studies(gateway) == before
        assert Job.objects.get().stage.keys() == {"ending"}

    def test_what_a_cancelled_job_has_stored_is_deleted_in_parts(
        self, gateway: LocalOrthanc, study: str, graphql: GraphQL, make_follower: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = len(json.loads(ask(gateway, "/instances")))
        monkeypatch.setattr(storage, "INSTANCES_PER_DELETION", 1)
        monkeypatch.setattr(anonymizing, "INSTANCES_PER_PART", 4)
        monkeypatch.setattr(anonymizing, "STEP_SECONDS", 0.0001)
        job, follower = self.begin(graphql, study), make_follower()
        while len(json.loads(ask(gateway, "/instances"))) < before + 4:
            follower.step()
        graphql(CANCEL, id=job)
        left: list[int] = []
        while not left or left[-1] > before:
            follower.step()
            left.append(len(json.loads(ask(gateway, "/instances"))))
        # others are answered, and other jobs go on, between the steps
        assert left == sorted(left, reverse=True)
        assert len(left) >= 3
        assert follow(graphql, job, follower)["state"] == "CANCELLED"

    def test_a_job_fails_whose_study_is_deleted(
        self, gateway: LocalOrthanc, study: str, graphql: GraphQL, make_follower: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(anonymizing, "INSTANCES_PER_PART", 2)
        monkeypatch.setattr(anonymizing, "STEP_SECONDS", 0.0001)
        job, follower = self.begin(graphql, study), make_follower()
        while len(studies(gateway)) == 2:
            follower.step()
        ask(gateway, f"/studies/{study}", "DELETE")
        ended = follow(graphql, job, follower)
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "NOT_FOUND")
        assert studies(gateway) == [Target.at(1, 2).ids["studies"]]

    @pytest.mark.parametrize("failure", [ArchiveUnavailable, GatewayUnavailable])
    def test_what_fails_for_a_while_is_repeated(
        self,
        gateway: LocalOrthanc,
        study: str,
        graphql: GraphQL,
        make_follower: Make,
        monkeypatch: pytest.MonkeyPatch,
        failure: type[GatewayError],
    ) -> None:
        job = self.begin(graphql, study)

        def fail(*_: Any) -> Any:
            raise failure("It is busy.")

        with monkeypatch.context() as patch:
            patch.setattr("orthancproxy.jobs.anonymizing.storage", type("_", (), {"store": staticmethod(fail)}))
            with pytest.raises(failure):
                follow(graphql, job, make_follower())
        ended = follow(graphql, job, make_follower())
        assert (ended["state"], ended["result"]["instancesCount"]) == ("SUCCESS", 6)

    def test_an_instance_that_is_missing_in_the_result_fails_the_job(
        self, gateway: LocalOrthanc, study: str, graphql: GraphQL, make_follower: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = studies(gateway)
        kept = iter([True] * 5 + [False])
        store = storage.store
        monkeypatch.setattr(storage, "store", lambda client, file: store(client, file) if next(kept) else None)
        job = follow(graphql, self.begin(graphql, study), make_follower())
        assert (job["state"], job["error"]["code"]) == ("FAILED", "ARCHIVE_ERROR")
        assert studies(gateway) == before

    def test_the_secret_of_the_uids_is_forgotten(self, gateway: LocalOrthanc, study: str, anonymize: Anonymize) -> None:
        anonymize(study)
        assert "secret" not in json.dumps(Job.objects.get().stage)


class TestRequests:
    def test_a_request_is_carried_out_once(
        self, gateway: LocalOrthanc, study: str, graphql: GraphQL, anonymize: Anonymize
    ) -> None:
        for _ in range(2):
            assert anonymize(study, clientMutationId="once")["state"] == "SUCCESS"
        assert (Job.objects.count(), len(studies(gateway))) == (1, 3)
        error = graphql.error(ANONYMIZE, input={"orthancId": study, "shiftDates": True, "clientMutationId": "once"})
        assert error["extensions"]["code"] == "BAD_USER_INPUT"

    @pytest.mark.parametrize(
        "options",
        [
            {"patientId": "P001"},
            {"patientId": "p001"},
            {"patientName": "Kim001^Minsu=金1^民洙=김1^민수"},
            {"patientId": ""},
            {"patientId": " x"},
            {"patientId": "x" * 65},
            {"patientId": "a\\b"},
            {"patientId": "환자"},
            {"patientId": "a\nb"},
            {"project": ""},
            {"project": "x" * 65},
            {"project": "a\0b"},
            {"project": "trial", "patientId": "S1"},
            {"clientMutationId": ""},
            {"output": "ZIP", "keepLabels": True},
        ],
        ids=repr,
    )
    def test_what_cannot_be_done_is_rejected(
        self, gateway: LocalOrthanc, study: str, graphql: GraphQL, options: dict[str, Any]
    ) -> None:
        error = graphql.error(ANONYMIZE, input={"orthancId": study, **options})
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert not Job.objects.exists()

    def test_an_unknown_study_is_not_found(self, gateway: LocalOrthanc, graphql: GraphQL) -> None:
        error = graphql.error(ANONYMIZE, input={"orthancId": UNKNOWN_TARGET.ids["studies"]})
        assert error["extensions"]["code"] == "NOT_FOUND"

    def test_the_audit_log_has_the_intention_and_the_outcome(
        self, gateway: LocalOrthanc, study: str, anonymize: Anonymize, settings: Settings
    ) -> None:
        anonymize(study)
        intended, done = AuditEvent.objects.filter(event="ANONYMIZED").order_by("pk")
        assert (intended.outcome, done.outcome, done.intention) == ("INTENDED", "SUCCESS", intended)
        assert done.target == f"studies/{study}"
        assert done.counts == {"studies": 1, "instances": 6}
        assert done.details == {"output": "STUDY", "project": None}
        assert [one.patient_id for one in done.subjects.all()] == ["P001"]

    def test_nothing_in_the_audit_log_tells_whom_the_patient_became(
        self, gateway: LocalOrthanc, study: str, anonymize: Anonymize
    ) -> None:
        [made, *_] = results(gateway, anonymize(study, project="trial"))
        events = list(AuditEvent.objects.filter(event="ANONYMIZED"))
        # nor is there an event about both
        events += AuditEvent.objects.filter(subjects__patient_id="P001")
        told = "".join(text for one in events for text in (*messages(one, "gateway"), str(one.details), one.target))
        assert "P001" in told
        assert not [
            one
            for one in (made.PatientID, made.StudyInstanceUID, study_orthanc_id(made.PatientID, made.StudyInstanceUID))
            if one in told
        ]
