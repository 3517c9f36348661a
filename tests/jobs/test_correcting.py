"""Correcting patients, studies and series in an archive."""

import json
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from pytest_django import Settings

from orthancproxy.archive.levels import Level
from orthancproxy.audit.models import AuditEvent
from orthancproxy.feed.log import Change, Kind
from orthancproxy.jobs.correcting import plan_correction
from orthancproxy.jobs.following import MAX_UNSEEN, JobFollower
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.jobs.replacing import Replacing
from orthancproxy.jobs.work import Work, WorkContext
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.conftest import GraphQL
from tests.corpus import ask, instance, load
from tests.jobs.conftest import Clock
from tests.jobs.correcting import Archive, audited, correct, follow, mutation
from tests.jobs.servers import clear
from tests.jobs.test_sending import SEND
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]

Make = Callable[[], JobFollower]
ONE = Target.at(1)
STUDY = ONE.ids["studies"]


@pytest.fixture
def archive(gateway: LocalOrthanc) -> LocalOrthanc:
    """The source with one patient of two studies, of two series of two instances with different pixels."""
    clear(gateway)
    load(
        gateway,
        [
            instance(1, study, series, number, PixelData=bytes([study, series, number, 0]) * 32)
            for study in (1, 2)
            for series in (1, 2)
            for number in (1, 2)
        ],
    )
    return gateway


FOLLOWED = """query($uid: ID!) { auditEvents(filter: {studyInstanceUID: $uid, events: [MODIFIED]}) {
  nodes { id details } } }"""


@pytest.mark.parametrize("keep_uids", [False, True])
def test_a_corrected_study_takes_the_place_of_the_original(
    keep_uids: bool, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
) -> None:
    before = Archive.of(archive)
    payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌 MRI"}, keepUids=keep_uids)
    assert payload["instancesCount"] == 4
    assert payload["changes"] == [{"keyword": "StudyDescription", "before": ["Brain study 1"], "after": "뇌 MRI"}]
    ended = follow(superuser, payload["job"], make_follower())
    assert (ended["state"], ended["error"]) == ("SUCCESS", None)
    assert ended["result"]["instancesCount"] == 4
    after, uid = Archive.of(archive), ended["study"]["studyInstanceUID"]
    assert (uid == ONE.study_uid) == keep_uids
    assert after.pixels == before.pixels
    assert after.studies() == {("P001", uid): 4, ("P001", Target.at(1, 2).study_uid): 4}
    assert after.values("StudyDescription", uid) == {"뇌 MRI"}
    assert after.values("PatientName", uid) == before.values("PatientName", ONE.study_uid)
    old, new = (
        {file.SOPInstanceUID for file in one.of_study(study)} for one, study in ((before, ONE.study_uid), (after, uid))
    )
    assert (old == new) if keep_uids else old.isdisjoint(new)
    assert [one.outcome for one in AuditEvent.objects.filter(event="MODIFIED").order_by("pk")] == [
        "INTENDED",
        "SUCCESS",
    ]
    event, subjects, made = audited()
    assert {("P001", ONE.study_uid), ("P001", uid)} <= subjects
    # with kept UIDs, by way of another study
    ways = {old: new for old, new, _ in made}
    assert (ways.get(ways[ONE.study_uid]) if keep_uids else ways[ONE.study_uid]) == uid
    found = superuser(FOLLOWED, uid=uid)["auditEvents"]["nodes"]
    assert {"id": str(event.pk), "details": event.details} in found


KOREAN = {"PatientName": "Hong^Gildong=洪^吉洞=홍^길동", "InstitutionName": "서울병원"}
LATIN = {"PatientName": "Müller^Jürgen", "InstitutionName": "Universität"}
JAPANESE = {"PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう", "InstitutionName": "東京病院"}


@pytest.mark.parametrize(
    ("character_set", "values"),
    [
        ("ISO_IR 100", LATIN),
        (["", "ISO 2022 IR 149"], KOREAN),
        ("ISO 2022 IR 149", KOREAN),
        (["ISO 2022 IR 13", "ISO 2022 IR 87"], JAPANESE),
        ("ISO_IR 192", KOREAN),
        (None, {"PatientName": "Smith^John", "InstitutionName": "Hospital"}),
    ],
)
@pytest.mark.parametrize("description", ["뇌 자기공명영상", "頭部単純", "Größe µ"])
def test_text_of_every_character_set_survives_and_takes_any_value(
    character_set: object,
    values: dict[str, str],
    description: str,
    archive: LocalOrthanc,
    superuser: GraphQL,
    make_follower: Make,
) -> None:
    clear(archive)
    load(archive, [instance(1, 1, 1, number, SpecificCharacterSet=character_set, **values) for number in (1, 2)])
    payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": description, "PatientID": "가나다"})
    uid = follow(superuser, payload["job"], make_follower())["study"]["studyInstanceUID"]
    after = Archive.of(archive)
    assert after.studies() == {("가나다", uid): 2}
    assert after.values("StudyDescription", uid) == {description}
    assert {keyword: after.values(keyword, uid) for keyword in values} == {key: {one} for key, one in values.items()}


def test_a_long_comment_is_corrected(archive: LocalOrthanc, superuser: GraphQL, make_follower: Make) -> None:
    payload = correct(superuser, "modifyStudy", STUDY, {"PatientComments": "가" * 1400})
    ended = follow(superuser, payload["job"], make_follower())
    assert (ended["state"], ended["error"]) == ("SUCCESS", None)
    assert Archive.of(archive).values("PatientComments", ended["study"]["studyInstanceUID"]) == {"가" * 1400}


class TestUIDs:
    def test_references_within_the_study_are_followed(
        self, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        clear(archive)
        referenced = Target.at(1, 1, 1, 1)
        load(archive, [instance(1, 1, 1, 1), instance(1, 1, 2, 1, ReferencedImageSequence=[reference(referenced)])])
        payload = correct(superuser, "modifyStudy", STUDY, {"AccessionNumber": "7"})
        uid = follow(superuser, payload["job"], make_follower())["study"]["studyInstanceUID"]
        one, other = sorted(Archive.of(archive).of_study(uid), key=lambda file: "ReferencedImageSequence" in file)
        [item] = other.ReferencedImageSequence
        assert (item.ReferencedSOPInstanceUID, item.StudyInstanceUID) == (one.SOPInstanceUID, uid)
        assert other.file_meta.MediaStorageSOPInstanceUID == other.SOPInstanceUID

    def test_kept_uids_survive_another_patient_id(
        self, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        before = Archive.of(archive)
        payload = correct(superuser, "modifyStudy", STUDY, {"PatientID": "Q1"}, keepUids=True)
        assert follow(superuser, payload["job"], make_follower())["study"]["studyInstanceUID"] == ONE.study_uid
        after = Archive.of(archive)
        assert after.studies() == {("Q1", ONE.study_uid): 4, ("P001", Target.at(1, 2).study_uid): 4}
        assert after.pixels == before.pixels
        uids = [{file.SOPInstanceUID for file in one.files.values()} for one in (before, after)]
        assert uids[0] == uids[1]
        _, subjects, made = audited()
        assert ("Q1", ONE.study_uid) in subjects
        assert made == [(ONE.study_uid, ONE.study_uid, "Q1")]

    def test_a_study_that_is_there_already_is_not_overwritten(self, archive: LocalOrthanc, superuser: GraphQL) -> None:
        load(archive, [instance(1, 1, 9, 9, PatientID="Q1")])
        tags = [{"keyword": "PatientID", "value": "Q1"}]
        request = {"orthancId": STUDY, "replace": tags, "keepUids": True, "acceptCollisions": True}
        error = superuser.error(mutation("modifyStudy"), input=request)
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert not Job.objects.exists()


def test_what_users_have_put_beside_the_files_is_kept(
    archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
) -> None:
    places = [f"/{path}/{ONE.ids[path]}" for path in ("studies", "series", "instances")]
    for place in places:
        ask(archive, f"{place}/metadata/1024", "PUT", f"note of {place}".encode())
        ask(archive, f"{place}/attachments/1025", "PUT", b"report")
    # a cache of the DICOMweb plugin, with UIDs
    ask(archive, f"{places[1]}/attachments/4301", "PUT", b"2;of the old UIDs")
    job = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"})["job"]
    study = follow(superuser, job, make_follower())["study"]["orthancId"]
    notes = {}
    for level in ("studies", "series", "instances"):
        below = [study] if level == "studies" else json.loads(ask(archive, f"/studies/{study}/{level}?expand=false"))
        for one in (item if isinstance(item, str) else item["ID"] for item in below):
            if "1024" in json.loads(ask(archive, f"/{level}/{one}/metadata")):
                notes[level] = ask(archive, f"/{level}/{one}/metadata/1024").decode()
                assert ask(archive, f"/{level}/{one}/attachments/1025/data") == b"report"
            assert "4301" not in json.loads(ask(archive, f"/{level}/{one}/attachments"))
    assert list(notes.values()) == [f"note of {place}" for place in places]


class TestPatients:
    @pytest.mark.parametrize("keep_uids", [False, True])
    @pytest.mark.parametrize("patient_id", ["P001", "Q1"])
    def test_all_studies_of_a_patient_are_corrected(
        self, patient_id: str, keep_uids: bool, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        before = Archive.of(archive)
        ask(archive, f"/patients/{ONE.ids['patients']}/metadata/1024", "PUT", b"of the patient")
        values = {"PatientID": patient_id, "PatientName": "홍^길동", "PatientBirthDate": "19700131", "PatientSex": "O"}
        payload = correct(superuser, "modifyPatient", ONE.ids["patients"], values, keepUids=keep_uids)
        assert (payload["instancesCount"], payload["collisions"]) == (8, [])
        ended = follow(superuser, payload["job"], make_follower())
        assert (ended["state"], ended["error"]) == ("SUCCESS", None)
        uids = [one["studyInstanceUID"] for one in ended["result"]["studies"]]
        after = Archive.of(archive)
        assert after.studies() == {(patient_id, uid): 4 for uid in uids}
        assert (set(uids) == {ONE.study_uid, Target.at(1, 2).study_uid}) == keep_uids
        assert after.pixels == before.pixels
        assert {str(one.PatientName) for one in after.files.values()} == {"홍^길동"}
        [patient] = superuser("{ patients { nodes { patientName birthDate sex studiesCount } } }")["patients"]["nodes"]
        assert patient == {"patientName": "홍^길동", "birthDate": "1970-01-31", "sex": "O", "studiesCount": 2}
        [stored] = json.loads(ask(archive, "/patients"))
        assert ask(archive, f"/patients/{stored}/metadata/1024") == b"of the patient"


class TestSeries:
    @pytest.mark.parametrize("keep_uids", [False, True])
    def test_a_series_is_corrected_within_its_study(
        self, keep_uids: bool, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        before = Archive.of(archive)
        payload = correct(
            superuser,
            "modifySeries",
            ONE.ids["series"],
            {"SeriesDescription": "T1"},
            remove=["StationName"],
            keepUids=keep_uids,
        )
        assert payload["changes"] == [
            {"keyword": "SeriesDescription", "before": ["Series 1"], "after": "T1"},
            {"keyword": "StationName", "before": ["ST1"], "after": None},
        ]
        ended = follow(superuser, payload["job"], make_follower())
        assert (ended["state"], ended["study"]["studyInstanceUID"]) == ("SUCCESS", ONE.study_uid)
        after = Archive.of(archive)
        assert (after.pixels, after.studies()) == (before.pixels, before.studies())
        corrected = [one for one in after.of_study(ONE.study_uid) if one.SeriesDescription == "T1"]
        assert len(corrected) == 2
        assert not any("StationName" in one for one in corrected)
        assert ({one.SeriesInstanceUID for one in corrected} == {ONE.series_uid}) == keep_uids


class TestMoves:
    @pytest.mark.parametrize("keep_uids", [False, True])
    def test_merged_studies_are_one(
        self, keep_uids: bool, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        before, source = Archive.of(archive), Target.at(1, 2)
        request = {"orthancId": STUDY, "sources": [source.ids["studies"]], "keepUids": keep_uids}
        predicted = superuser(mutation("mergeStudies"), input={**request, "dryRun": True})["mergeStudies"]
        assert (predicted["job"], predicted["instancesCount"]) == (None, 4)
        assert {"keyword": "StudyDescription", "before": ["Brain study 2"], "after": "Brain study 1"} in predicted[
            "changes"
        ]
        assert Archive.of(archive).files == before.files
        payload = superuser(mutation("mergeStudies"), input=request)["mergeStudies"]
        ended = follow(superuser, payload["job"], make_follower())
        assert (ended["state"], ended["error"], ended["study"]["orthancId"]) == ("SUCCESS", None, STUDY)
        after = Archive.of(archive)
        assert after.studies() == {("P001", ONE.study_uid): 8}
        assert after.pixels == before.pixels
        assert after.values("StudyDescription", ONE.study_uid) == {"Brain study 1"}
        assert after.values("StudyDate", ONE.study_uid) == before.values("StudyDate", ONE.study_uid)
        assert audited()[2] == [(source.study_uid, ONE.study_uid, "P001")]

    def test_series_are_split_into_a_study_of_their_own(
        self, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        before = Archive.of(archive)
        tags = [{"keyword": "StudyDescription", "value": "무릎"}]
        request = {"orthancIds": [ONE.ids["series"]], "replace": tags}
        payload = superuser(mutation("moveSeries"), input=request)["moveSeries"]
        ended = follow(superuser, payload["job"], make_follower())
        uid = ended["study"]["studyInstanceUID"]
        after = Archive.of(archive)
        assert after.studies() == {("P001", ONE.study_uid): 2, ("P001", Target.at(1, 2).study_uid): 4, ("P001", uid): 2}
        assert after.pixels == before.pixels
        assert after.values("StudyDescription", uid) == {"무릎"}
        _, subjects, made = audited()
        assert subjects == {("P001", ONE.study_uid), ("P001", uid)}
        assert made == [(ONE.study_uid, uid, "P001")]
        assert after.values("StudyDescription", ONE.study_uid) == {"Brain study 1"}

    def test_series_are_moved_to_another_study(
        self, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        before, other = Archive.of(archive), Target.at(1, 2)
        series = [Target.at(1, 1, number).ids["series"] for number in (1, 2)]
        request = {"orthancIds": series, "studyOrthancId": other.ids["studies"]}
        payload = superuser(mutation("moveSeries"), input=request)["moveSeries"]
        assert follow(superuser, payload["job"], make_follower())["state"] == "SUCCESS"
        after = Archive.of(archive)
        assert after.studies() == {("P001", other.study_uid): 8}
        assert after.pixels == before.pixels

    def test_sources_may_have_series_with_the_same_uid_and_refer_to_each_other(
        self, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        clear(archive)
        refers: dict[str, Any] = {"ReferencedImageSequence": [reference(Target.at(1, 2))]}
        same: dict[str, Any] = {"SeriesInstanceUID": "1.2.3"}
        load(archive, [instance(1), instance(1, 2, **same), instance(1, 3, **same, **refers)])
        request = {"orthancId": STUDY, "sources": [Target.at(1, number).ids["studies"] for number in (2, 3)]}
        payload = superuser(mutation("mergeStudies"), input=request)["mergeStudies"]
        ended = follow(superuser, payload["job"], make_follower())
        assert (ended["state"], ended["error"]) == ("SUCCESS", None)
        merged = Archive.of(archive).of_study(ONE.study_uid)
        assert len({file.SeriesInstanceUID for file in merged}) == 3
        [item] = [file.ReferencedImageSequence[0] for file in merged if "ReferencedImageSequence" in file]
        assert item.StudyInstanceUID == ONE.study_uid
        assert item.ReferencedSOPInstanceUID in {file.SOPInstanceUID for file in merged}

    @pytest.mark.parametrize("of_target", [False, True])
    def test_series_with_the_same_uid_do_not_keep_it(
        self, of_target: bool, archive: LocalOrthanc, superuser: GraphQL
    ) -> None:
        clear(archive)
        same: dict[str, Any] = {"SeriesInstanceUID": "1.2.3"}
        load(archive, [instance(1, **(same if of_target else {})), instance(1, 2, **same)])
        load(archive, [instance(1, 3, **({} if of_target else same))])
        before = Archive.of(archive)
        studies = [Target.at(1, number).ids["studies"] for number in (2, 3)]
        moved = [one for study in studies for one in json.loads(ask(archive, f"/studies/{study}"))["Series"]]
        for field, request in (
            ("mergeStudies", {"orthancId": STUDY, "sources": studies}),
            ("moveSeries", {"orthancIds": moved, "studyOrthancId": STUDY}),
        ):
            for more in ({}, {"dryRun": True}):
                error = superuser.error(mutation(field), input={**request, "keepUids": True, **more})
                assert (error["extensions"]["code"], "same SeriesInstanceUID" in error["message"]) == (
                    "BAD_USER_INPUT",
                    True,
                )
            assert superuser(mutation(field), input={**request, "dryRun": True})[field]["instancesCount"] == 2
        assert not Job.objects.exists()
        assert Archive.of(archive).files == before.files

    def test_studies_of_several_patients_are_not_merged(self, archive: LocalOrthanc, superuser: GraphQL) -> None:
        load(archive, [instance(2)])
        request = {"orthancId": STUDY, "sources": [Target.at(2).ids["studies"]]}
        for more in ({}, {"dryRun": True}):
            error = superuser.error(mutation("mergeStudies"), input={**request, **more})
            assert (error["extensions"]["code"], "several patients" in error["message"]) == ("BAD_USER_INPUT", True)


class TestCollisions:
    @pytest.fixture(autouse=True)
    def _other_patient(self, archive: LocalOrthanc) -> None:
        load(archive, [instance(2)])

    def test_another_patient_is_told_and_has_to_be_accepted(
        self, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
    ) -> None:
        before = Archive.of(archive)
        predicted = correct(superuser, "modifyStudy", STUDY, {"PatientID": "P002"}, dryRun=True)
        assert [(one["kind"], one["keyword"]) for one in predicted["collisions"]] == [
            ("PATIENT_EXISTS", None),
            ("PATIENT_DIFFERS", "PatientName"),
            ("PATIENT_DIFFERS", "PatientBirthDate"),
            ("PATIENT_DIFFERS", "PatientSex"),
        ]
        tags = [{"keyword": "PatientID", "value": "P002"}]
        error = superuser.error(mutation("modifyStudy"), input={"orthancId": STUDY, "replace": tags})
        assert error["extensions"]["code"] == "COLLISION"
        assert (Archive.of(archive).files, Job.objects.exists()) == (before.files, False)
        payload = correct(superuser, "modifyStudy", STUDY, {"PatientID": "P002"}, acceptCollisions=True)
        assert follow(superuser, payload["job"], make_follower())["state"] == "SUCCESS"

    def test_the_values_of_the_other_patient_are_no_collision(self, superuser: GraphQL) -> None:
        values = {
            "PatientID": "P002",
            "PatientName": "Kim002^Minsu=金2^民洙=김2^민수",
            "PatientBirthDate": "19520315",
            "PatientSex": "M",
        }
        predicted = correct(superuser, "modifyStudy", STUDY, values, dryRun=True)
        assert [one["kind"] for one in predicted["collisions"]] == ["PATIENT_EXISTS"]

    def test_other_studies_of_the_patient_that_differ_are_told(self, superuser: GraphQL) -> None:
        predicted = correct(superuser, "modifyStudy", STUDY, {"PatientName": "Other"}, dryRun=True)
        assert [(one["kind"], one["keyword"]) for one in predicted["collisions"]] == [("STUDIES_DIFFER", "PatientName")]
        of_patient = correct(superuser, "modifyPatient", ONE.ids["patients"], {"PatientName": "Other"}, dryRun=True)
        assert of_patient["collisions"] == []
        assert correct(superuser, "modifyStudy", STUDY, {"StudyID": "9"}, dryRun=True)["collisions"] == []


@pytest.mark.parametrize(
    ("field", "values", "reason"),
    [
        ("modifyStudy", {"StudyInstanceUID": "1.2.3"}, "cannot be changed"),
        ("modifyStudy", {"SeriesDescription": "x"}, "cannot be changed"),
        ("modifySeries", {"PatientID": "x"}, "cannot be changed"),
        ("modifyPatient", {"StudyDate": "20240101"}, "cannot be changed"),
        ("modifyStudy", {"no such keyword": "x"}, "cannot be changed"),
        ("modifyStudy", {}, "at least one"),
        ("modifyStudy", {"PatientID": ""}, "must not be empty"),
        ("modifyStudy", {"PatientID": "../x"}, "looks like a path"),
        ("modifyStudy", {"PatientID": "a\\b"}, "backslash"),
        ("modifyStudy", {"PatientBirthDate": "19700230"}, "not valid"),
        ("modifyStudy", {"StudyDate": "20240101-20240102"}, "not valid"),
        ("modifyStudy", {"StudyTime": "25"}, "not valid"),
        ("modifyStudy", {"PatientSex": "X"}, "M, F, O"),
        ("modifyStudy", {"AccessionNumber": "x" * 17}, "more than 16"),
        ("modifyStudy", {"StudyDescription": "x" * 65}, "more than 64"),
        ("modifyStudy", {"PatientName": "a=b=c=d"}, "too many parts"),
        ("modifySeries", {"SeriesNumber": "1.5"}, "not valid"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value)[:20],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_dicom_does_not_allow_is_rejected(
    dry_run: bool, field: str, values: dict[str, str], reason: str, archive: LocalOrthanc, superuser: GraphQL
) -> None:
    level = {"modifyStudy": "studies", "modifySeries": "series", "modifyPatient": "patients"}[field]
    tags = [{"keyword": keyword, "value": value} for keyword, value in values.items()]
    request = {"orthancId": ONE.ids[level], "replace": tags, "dryRun": dry_run}
    error = superuser.error(mutation(field), input=request)
    assert (error["extensions"]["code"], reason in error["message"]) == ("BAD_USER_INPUT", True), error


def test_the_same_request_twice_is_carried_out_once(
    archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
) -> None:
    jobs = [
        correct(superuser, "modifyStudy", STUDY, {"StudyID": "9"}, clientMutationId="once")["job"]["id"]
        for _ in range(2)
    ]
    assert jobs[0] == jobs[1]
    follow(superuser, {"id": jobs[0]}, make_follower())
    # the study is gone, and the answer is the same
    again = correct(superuser, "modifyStudy", STUDY, {"StudyID": "9"}, clientMutationId="once")
    assert (again["job"]["id"], again["job"]["state"]) == (jobs[0], "SUCCESS")
    assert AuditEvent.objects.filter(event="MODIFIED").count() == 2


ANONYMIZE = "mutation($input: AnonymizeStudyInput!) { anonymizeStudy(input: $input) { job { id } } }"


@pytest.mark.parametrize("first", ["modifyStudy", "mergeStudies", "moveSeries"])
def test_a_study_is_in_one_correction_at_a_time(
    first: str, archive: LocalOrthanc, superuser: GraphQL, make_follower: Make
) -> None:
    other = Target.at(1, 2).ids["studies"]
    requests: dict[str, dict[str, Any]] = {
        "modifyStudy": {"orthancId": STUDY, "replace": [{"keyword": "StudyID", "value": "9"}]},
        "mergeStudies": {"orthancId": other, "sources": [STUDY]},
        "moveSeries": {"orthancIds": [ONE.ids["series"]], "studyOrthancId": other},
    }
    job = superuser(mutation(first), input=requests[first])[first]["job"]
    others: list[tuple[str, dict[str, Any]]] = [(mutation(field), requests[field]) for field in requests]
    sent = {"modality": "PACS", "level": "STUDY", "orthancIds": [STUDY]}
    for query, request in [*others, (ANONYMIZE, {"orthancId": STUDY}), (SEND, sent)]:
        error = superuser.error(query, input=request)
        assert (error["extensions"]["code"], "Another job" in error["message"]) == ("BAD_USER_INPUT", True)
    assert Job.objects.count() == 1
    follow(superuser, job, make_follower())
    superuser(ANONYMIZE, input={"orthancId": other})
    # it would be anonymized in part
    error = superuser.error(mutation("modifyStudy"), input={**requests["modifyStudy"], "orthancId": other})
    assert "Another job" in error["message"]


def test_a_study_that_is_being_made_takes_no_other_correction(
    archive: LocalOrthanc, superuser: GraphQL, clock: Clock
) -> None:
    job = correct(superuser, "modifyStudy", STUDY, {"StudyID": "9"})["job"]
    follower = slow_follower(clock)

    def made() -> set[str]:
        follower.step()
        return set(json.loads(ask(archive, "/studies"))) - {STUDY, Target.at(1, 2).ids["studies"]}

    wait_until(made)
    [study] = made()
    request = {"orthancId": study, "replace": [{"keyword": "StudyID", "value": "8"}]}
    assert "Another job" in superuser.error(mutation("modifyStudy"), input=request)["message"]
    assert follow(superuser, job, follower)["state"] == "SUCCESS"


class TestMeanwhile:
    @pytest.mark.parametrize("steps", range(1, 14, 2))
    @pytest.mark.parametrize("keep_uids", [False, True])
    def test_an_instance_that_arrives_is_corrected_too(
        self, keep_uids: bool, steps: int, archive: LocalOrthanc, superuser: GraphQL, clock: Clock
    ) -> None:
        payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"}, keepUids=keep_uids)
        follower = slow_follower(clock)
        for _ in range(steps):
            follower.step()
        late = [instance(1, 1, 1, 7, PixelData=b"late" * 32), instance(1, 1, 3, 1, PixelData=b"more" * 32)]
        load(archive, late)
        ended = follow(superuser, payload["job"], follower)
        assert (ended["state"], ended["error"]) == ("SUCCESS", None)
        after = Archive.of(archive)
        # what arrives after the last look at the original is a study of its own
        assert sum(after.studies().values()) == 10
        assert len(set(after.pixels)) == 10
        assert after.studies()["P001", ended["study"]["studyInstanceUID"]] in (6, 4)

    def test_what_is_deleted_meanwhile_does_not_come_back(
        self, archive: LocalOrthanc, superuser: GraphQL, clock: Clock
    ) -> None:
        payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"})
        follower = slow_follower(clock)
        for _ in range(4):
            follower.step()
        ask(archive, f"/instances/{ONE.ids['instances']}", "DELETE")
        before = Archive.of(archive)
        ended = follow(superuser, payload["job"], follower)
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "BAD_USER_INPUT")
        after = Archive.of(archive)
        assert after.studies() == {("P001", ONE.study_uid): 3, ("P001", Target.at(1, 2).study_uid): 4}
        assert after.files.items() <= before.files.items()

    @pytest.mark.since("1.12.0")
    @pytest.mark.parametrize("steps", [0, 4])
    def test_what_is_put_into_the_trash_meanwhile_stays_there_as_it_was(
        self, steps: int, archive: LocalOrthanc, superuser: GraphQL, clock: Clock, settings: Settings
    ) -> None:
        settings.ORTHANC_TRASH_DAYS = 30
        # a change of the settings starts another one, which would follow the job, too
        background(connect()).follower.stop()
        before = Archive.of(archive)
        payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"})
        follower = slow_follower(clock)
        for _ in range(steps):
            follower.step()
        superuser("mutation($id: ID!) { deleteStudy(orthancId: $id) { inTrash } }", id=STUDY)
        ended = follow(superuser, payload["job"], follower)
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "NOT_FOUND")
        assert Archive.of(archive).files == before.files
        superuser("mutation($id: ID!) { restoreStudy(orthancId: $id) { orthancId } }", id=STUDY)

    @pytest.mark.parametrize("keep_uids", [False, True])
    def test_an_original_whose_copy_is_gone_is_not_deleted(
        self, keep_uids: bool, archive: LocalOrthanc, superuser: GraphQL, clock: Clock
    ) -> None:
        before = Archive.of(archive)
        payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"}, keepUids=keep_uids)
        follower = slow_follower(clock)
        series = step_until(follower, lambda stage: any(one["is_begun"] for one in stage["series"]))["series"]
        [target] = [one["target"] for one in series if one["is_begun"]]
        copies = json.loads(ask(archive, f"/series/{target}"))["Instances"]
        [left] = {one for one, file in before.files.items() if one in Archive.of(archive).files} & set(
            json.loads(ask(archive, f"/series/{series[0]['series']}"))["Instances"]
        )
        # what has been deleted already has no other copy
        for copy in copies:
            pixels = Archive.of(archive).files[copy].PixelData
            if pixels == before.files[left].PixelData:
                ask(archive, f"/instances/{copy}", "DELETE")
        ended = follow(superuser, payload["job"], follower)
        assert (ended["state"], ended["error"]) == ("SUCCESS", None)
        assert Archive.of(archive).pixels == before.pixels

    @pytest.mark.parametrize("whole_study", [False, True])
    def test_a_series_that_is_deleted_after_its_comparison_does_not_come_back(
        self, whole_study: bool, archive: LocalOrthanc, superuser: GraphQL, clock: Clock
    ) -> None:
        payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"})
        follower = slow_follower(clock)
        stage = step_until(follower, lambda stage: stage["phase"] == "compare" and stage["at"] == 1)
        gone = f"/studies/{STUDY}" if whole_study else f"/series/{stage['series'][0]['series']}"
        ask(archive, gone, "DELETE")
        before = Archive.of(archive)
        ended = follow(superuser, payload["job"], follower)
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "BAD_USER_INPUT")
        assert Archive.of(archive).files.items() <= before.files.items()
        assert Archive.of(archive).studies().get(("P001", ONE.study_uid), 0) == (0 if whole_study else 2)

    @pytest.mark.parametrize("values", [{"StudyDescription": "뇌"}, {"PatientID": "Q1"}], ids=["in place", "patient"])
    def test_undoing_with_kept_uids_leaves_no_copy_of_what_was_deleted(
        self, values: dict[str, str], archive: LocalOrthanc, superuser: GraphQL, clock: Clock
    ) -> None:
        payload = correct(superuser, "modifyStudy", STUDY, values, keepUids=True)
        changes: list[Change] = []
        follower = slow_follower(clock, changes.extend)
        stage = step_until(follower, lambda stage: stage["phase"] == "compare")
        ask(archive, f"/instances/{ONE.ids['instances']}", "DELETE")
        ended = follow(superuser, payload["job"], follower)
        assert ended["state"] == "FAILED"
        assert Archive.of(archive).studies() == {("P001", ONE.study_uid): 3, ("P001", Target.at(1, 2).study_uid): 4}
        # Orthanc does not tell of it
        removed = {one.orthanc_id for one in changes if one.kind is Kind.DELETED}
        assert {one["target"] for one in stage["series"]} < removed
        levels = [one.level for one in changes]
        assert levels.count(Level.STUDY) == 1
        assert levels.count(Level.PATIENT) == ("PatientID" in values)

    def test_a_reference_of_what_arrives_late_is_followed(
        self, archive: LocalOrthanc, superuser: GraphQL, clock: Clock
    ) -> None:
        payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"})
        follower = slow_follower(clock)
        step_until(follower, lambda stage: stage["phase"] == "delete" and stage["at"] == 1)
        load(archive, [instance(1, 1, 3, 1, ReferencedImageSequence=[reference(Target.at(1, 1, 1, 1))])])
        uid = follow(superuser, payload["job"], follower)["study"]["studyInstanceUID"]
        corrected = Archive.of(archive).of_study(uid)
        [late] = [file for file in corrected if "ReferencedImageSequence" in file]
        assert late.ReferencedImageSequence[0].ReferencedSOPInstanceUID in {one.SOPInstanceUID for one in corrected}

    @pytest.mark.since("1.12.0")
    def test_a_label_that_a_study_loses_meanwhile_does_not_come_back_with_a_series(
        self, archive: LocalOrthanc, superuser: GraphQL, clock: Clock
    ) -> None:
        ask(archive, f"/studies/{STUDY}/labels/ward", "PUT", b"")
        series = {"SeriesDescription": "T1"}
        payload = correct(superuser, "modifySeries", ONE.ids["series"], series, keepUids=True)
        follower = slow_follower(clock)
        step_until(follower, lambda stage: stage["round"] == 1)
        ask(archive, f"/studies/{STUDY}/labels/ward", "DELETE")
        assert follow(superuser, payload["job"], follower)["state"] == "SUCCESS"
        assert json.loads(ask(archive, f"/studies/{STUDY}/labels")) == []

    @pytest.mark.since("1.12.0")
    def test_a_correction_of_what_is_put_into_the_trash_ends_at_once(
        self, archive: LocalOrthanc, superuser: GraphQL, clock: Clock, settings: Settings
    ) -> None:
        settings.ORTHANC_TRASH_DAYS = 30
        correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"})
        follower = slow_follower(clock)
        step_until(follower, lambda stage: bool(stage["after"]))
        superuser("mutation($id: ID!) { deleteStudy(orthancId: $id) { inTrash } }", id=STUDY)
        follower.step()
        assert Job.objects.get().stage["ending"]["state"] == "FAILED"

    def test_a_correction_that_is_given_up_says_where_the_images_are(
        self, archive: LocalOrthanc, superuser: GraphQL, clock: Clock
    ) -> None:
        correct(superuser, "modifyStudy", STUDY, {"PatientID": "Q1"})
        follower = slow_follower(clock)

        def is_committed() -> bool:
            follower.step()
            return "committed" in Job.objects.get().stage

        wait_until(is_committed)
        Job.objects.update(missing_since=clock() - 2 * MAX_UNSEEN)
        follower.step()
        event, subjects, made = audited()
        assert (event.outcome, event.error_code) == ("FAILED", "JOB_LOST")
        [uid] = {uid for patient_id, uid in Archive.of(archive).studies() if patient_id == "Q1"}
        assert ("Q1", uid) in subjects
        assert made == [(ONE.study_uid, uid, "Q1")]

    def test_a_damaged_copy_is_noticed(self, archive: LocalOrthanc, superuser: GraphQL, clock: Clock) -> None:
        before = Archive.of(archive)
        payload = correct(superuser, "modifyStudy", STUDY, {"StudyDescription": "뇌"})
        follower = slow_follower(clock)
        damaged = None
        while damaged is None:
            follower.step()
            for one, file in Archive.of(archive).files.items():
                if one not in before.files:
                    damaged = one
                    file.PixelData = b"other pixels" * 8
                    ask(archive, f"/instances/{one}", "DELETE")
                    content = BytesIO()
                    file.save_as(content)
                    load(archive, [content.getvalue()])
                    break
        ended = follow(superuser, payload["job"], follower)
        assert (ended["state"], ended["error"]["code"]) == ("FAILED", "BAD_USER_INPUT")
        assert Archive.of(archive).files == before.files


def reference(target: Target) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = CTImageStorage
    item.ReferencedSOPInstanceUID = target.sop_uid
    item.StudyInstanceUID = target.study_uid
    return item


def step_until(follower: JobFollower, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Carry the oldest job on until its progress is so; return that."""

    def stage() -> dict[str, Any]:
        found: dict[str, Any] = Job.objects.order_by("pk")[0].stage.get("replacing", {})
        return found

    def is_so() -> bool:
        follower.step()
        return bool(stage()) and is_there(stage())

    wait_until(is_so)
    return stage()


def slow_follower(clock: Clock, report: Callable[[Sequence[Change]], None] = lambda _changes: None) -> JobFollower:
    """A follower whose steps are of one instance each."""
    works: Mapping[str, Work] = {JobKind.MODIFY: Replacing(plan_correction, max_seconds=0)}
    return JobFollower(WorkContext(connect(), report), lambda: True, clock, works=works)
