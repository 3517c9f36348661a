"""Responses to uploads over both transports, and the resulting content of the archive."""

import datetime
import json
import zoneinfo
from urllib.request import urlopen

import pytest
from django.test import Client
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pytest_django import Settings

from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.models import UploadBatch
from tests.conftest import GraphQL as GraphQLClient
from tests.conftest import GraphQL as Querying
from tests.conftest import UseOrthanc
from tests.corpus import instance
from tests.dicom.encoding import part10
from tests.orthancs import StartOrthanc
from tests.uploads.upload_client import (
    CONTENT_TYPE,
    REST,
    REST_PATH,
    File,
    GraphQL,
    Part,
    Transport,
    asked,
    delete_study,
    form,
    found,
    is_stored,
    slices,
    stored_files,
    uids_of,
)

pytestmark = [pytest.mark.live, pytest.mark.once]

KOREAN_ID = "환자-2026-0001"
KOREAN_NAME = "Hong^Gildong=洪^吉洞=홍^길동"
KOREAN_DESCRIPTION = "뇌 MRI 검사"


class TestREST:
    def test_the_response_has_the_keys_of_the_contract(self, orthanc: LocalOrthanc, patient_id: str) -> None:
        files = [*slices(2, "뇌/T1"), File(b"text", "뇌/T2", "설명.txt")]
        outcome = REST()(files, patientId=patient_id, studyDescription="Brain MRI Scan")
        [study] = [one for one in asked(orthanc, "/studies?expand") if one["ID"] == outcome.study_id]
        message = outcome.body["failedFiles"][0].pop("message")
        assert outcome.status == 200
        assert outcome.body == {
            "patientId": patient_id,
            "studyUid": study["MainDicomTags"]["StudyInstanceUID"],
            "studyId": study["ID"],
            "studyDescription": "Brain MRI Scan",
            "uploaded": 2,
            "alreadyStored": 0,
            "failedFiles": [{"index": 2, "name": "설명.txt", "seriesPath": "뇌/T2", "code": "NOT_DICOM"}],
            "orthancSeriesIds": study["Series"],
            "uploadKey": outcome.key,
            "warnings": [],
        }
        assert isinstance(message, str)
        assert outcome.headers["Cache-Control"] == "private, no-store"

    def test_the_status_is_400_if_no_file_is_stored(self, orthanc: LocalOrthanc, patient_id: str) -> None:
        outcome = REST()([File(b"text"), File(b"")], patientId=patient_id)
        assert outcome.status == 400
        assert outcome.codes == ["NOT_DICOM", "EMPTY"]
        assert (outcome.body["uploaded"], outcome.body["studyId"], outcome.body["orthancSeriesIds"]) == (0, None, [])
        assert not is_stored(orthanc, patient_id)

    def test_the_status_is_200_if_all_files_were_stored_before(self, orthanc: LocalOrthanc, patient_id: str) -> None:
        for counts in ((2, 0, 0), (0, 2, 0)):
            outcome = REST()(slices(2), patientId=patient_id, uploadKey=patient_id)
            assert (outcome.status, outcome.counts) == (200, counts)


class TestGraphQL:
    def test_the_study_of_the_payload_has_all_fields(self, orthanc: LocalOrthanc, patient_id: str) -> None:
        outcome = GraphQL()(slices(3), patientId=patient_id, patientName=KOREAN_NAME, studyDescription="Scan")
        payload = outcome.body["data"]["uploadPatient"]
        assert outcome.status == 200
        assert set(payload) == {"uploadKey", "uploaded", "alreadyStored", "failed", "seriesIds", "warnings", "study"}
        assert payload["study"] == {
            "orthancId": outcome.study_id,
            "studyInstanceUID": outcome.study_uid,
            "description": "Scan",
            "instancesCount": 3,
            "patient": {"patientId": patient_id, "patientName": KOREAN_NAME},
        }

    def test_the_study_is_null_if_no_file_is_stored(self, orthanc: LocalOrthanc, patient_id: str) -> None:
        outcome = GraphQL()([File(b"text")], patientId=patient_id)
        assert outcome.body["data"]["uploadPatient"]["study"] is None
        assert outcome.status == 200
        assert outcome.codes == ["NOT_DICOM"]


def test_folders_become_the_series_of_one_study(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    """Whatever studies, series and patients the files were of."""
    files = slices(2, "a", patient=1) + slices(2, "a/b", patient=2, study=2) + slices(2, "A", patient=1)
    outcome = transport(files, patientId=patient_id)
    assert outcome.counts == (6, 0, 0)
    stored = stored_files(orthanc, outcome.study_id)
    assert {(str(file.PatientID), str(file.PatientName)) for file in stored} == {(patient_id, patient_id)}
    uids = uids_of(orthanc, outcome.study_id)
    assert (len({uid[0] for uid in uids}), len({uid[1] for uid in uids}), len({uid[2] for uid in uids})) == (1, 3, 6)
    assert {uid[0] for uid in uids} == {outcome.study_uid}
    assert all(file.file_meta.MediaStorageSOPInstanceUID == file.SOPInstanceUID for file in stored)
    [study] = [one for one in asked(orthanc, "/studies?expand") if one["ID"] == outcome.study_id]
    assert sorted(outcome.series_ids) == sorted(study["Series"])


def test_korean_text_is_stored_unchanged(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    korean_id = f"{KOREAN_ID}-{transport.name}"
    files = [*slices(1, "복부/조영제 후"), File(b"", "폴더", "빈 파일.dcm")]
    outcome = transport(files, patientId=korean_id, patientName=KOREAN_NAME, studyDescription=KOREAN_DESCRIPTION)
    [file] = stored_files(orthanc, outcome.study_id)
    assert (file.PatientID, file.PatientName, file.StudyDescription) == (korean_id, KOREAN_NAME, KOREAN_DESCRIPTION)
    assert file.SpecificCharacterSet == "ISO_IR 192"
    assert file.InstitutionName == "서울병원"
    [failure] = outcome.failed
    assert (failure.name, failure.folder, failure.code) == ("빈 파일.dcm", "폴더", "EMPTY")


def test_decomposed_hangul_names_the_same_patient(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    """As the file systems of macOS write it."""
    outcomes = [
        transport(slices(1), patientId=f"{patient_id}{name}", uploadKey=patient_id)
        for name in ("\ud55c", "\u1112\u1161\u11ab")
    ]
    assert [outcome.counts for outcome in outcomes] == [(1, 0, 0), (0, 1, 0)]


@pytest.mark.parametrize(
    ("given", "own", "expected"),
    [
        ("Asked for", ["Own", "Own"], "Asked for"),
        (None, ["Own", "Own"], "Own"),
        (None, ["뇌", "뇌"], "뇌"),
        (None, ["Own", "Other"], "By default"),
        (None, ["Own", None], "By default"),
        (None, [None, None], "By default"),
        ("", ["Own", "Own"], "Own"),
        ("  ", ["Own", "Own"], "Own"),
    ],
)
def test_the_study_description_is_the_given_one_or_the_files_own_or_the_default(
    orthanc: LocalOrthanc,
    settings: Settings,
    transport: Transport,
    patient_id: str,
    given: str | None,
    own: list[str | None],
    expected: str,
) -> None:
    settings.ORTHANC_DEFAULT_STUDY_DESCRIPTION = "By default"
    files = [File(instance(number=number, StudyDescription=text)) for number, text in enumerate(own)]
    # a file that is not stored has no say
    outcome = transport([*files, File(b"text")], patientId=patient_id, studyDescription=given)
    assert {file.StudyDescription for file in stored_files(orthanc, outcome.study_id)} == {expected}


def test_files_without_date_and_time_get_the_time_of_the_upload(
    orthanc: LocalOrthanc, settings: Settings, transport: Transport, patient_id: str
) -> None:
    settings.TIME_ZONE = "Pacific/Kiritimati"
    files = [
        File(instance(number=1, StudyDate=None, StudyTime=None)),
        File(instance(number=2, StudyDate="", StudyTime="")),
        File(instance(number=3, StudyDate="20200102", StudyTime="010203")),
        File(instance(number=4, StudyDate="20200103", StudyTime="030405")),
    ]
    before = datetime.datetime.now(datetime.UTC)
    outcome = transport(files, patientId=patient_id)
    now = UploadBatch.objects.get(upload_key=outcome.key).created_at.astimezone(zoneinfo.ZoneInfo(settings.TIME_ZONE))
    assert before <= now <= datetime.datetime.now(datetime.UTC)
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    assert [(file.StudyDate, file.StudyTime) for file in stored_files(orthanc, outcome.study_id)] == [
        (date, time),
        (date, time),
        ("20200102", "010203"),
        ("20200103", "030405"),
    ]
    [warning] = outcome.warnings
    assert "2 study dates, 2 study times" in warning


@pytest.mark.parametrize(
    ("dates", "times", "expected"),
    [
        (["20200102"] * 2, ["030405"] * 2, ("20200102", "030405")),
        (["2020.01.02", "20200102"], ["03:04:05", "030405.00"], ("20200102", "030405")),
    ],
)
def test_files_without_date_and_time_get_those_of_the_others(
    orthanc: LocalOrthanc,
    transport: Transport,
    patient_id: str,
    dates: list[str],
    times: list[str],
    expected: tuple[str, str],
) -> None:
    dated = [
        File(instance(number=number, StudyDate=date, StudyTime=time))
        for number, (date, time) in enumerate(zip(dates, times, strict=True), start=2)
    ]
    outcome = transport(
        [File(instance(StudyDate=None, StudyTime="")), *dated], patientId=patient_id, uploadKey=patient_id
    )
    [later] = [File(instance(number=9, StudyDate=None, StudyTime=None))]
    transport([later], patientId=patient_id, uploadKey=patient_id)
    stored = stored_files(orthanc, outcome.study_id)
    assert [(str(file.StudyDate), str(file.StudyTime)) for file in (stored[0], stored[-1])] == [expected] * 2
    assert outcome.warnings == ()


def test_files_without_preamble_or_with_two_meta_informations_are_stored_and_displayed(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    content = instance(number=1)
    data_set = content[content.index(b"\x08\0\x05\0CS") :]
    implicit = part10(b"", ImplicitVRLittleEndian)[132:]
    two = instance(number=2).replace(data_set[:8], implicit + data_set[:8])
    outcome = transport([File(data_set), File(two)], patientId=patient_id)
    assert outcome.counts == (2, 0, 0)
    for one in asked(orthanc, f"/studies/{outcome.study_id}/instances"):
        assert asked(orthanc, f"/instances/{one['ID']}/header?simplify")["TransferSyntaxUID"] == ExplicitVRLittleEndian
        with urlopen(f"{orthanc.base_url}/instances/{one['ID']}/preview") as preview:  # noqa: S310  over http
            assert preview.read(4) == b"\x89PNG"


def test_a_folder_becomes_a_series_for_each_modality(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    files = [*slices(2, "mixed", series=1, Modality="CT"), *slices(2, "mixed", series=2, Modality="PT")]
    outcome = transport(files, patientId=patient_id)
    series = found(orthanc, "Series", PatientID=patient_id)
    assert sorted((one["MainDicomTags"]["Modality"], len(one["Instances"])) for one in series) == [("CT", 2), ("PT", 2)]
    assert set(outcome.series_ids) == {one["ID"] for one in series}
    assert outcome.warnings == ()


def test_files_without_folders_become_one_series(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    outcome = transport(slices(3), with_folders=False, patientId=patient_id)
    assert outcome.counts == (3, 0, 0)
    assert len(outcome.series_ids) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_folders_for_some_files_only_are_rejected(orthanc: LocalOrthanc, patient_id: str, count: int) -> None:
    parts = [Part("patient_id", patient_id.encode()), *(Part("series_path", b"a") for _ in range(count))]
    parts += [Part("files", file.content, file.name) for file in slices(2)]
    answer = Client().post(REST_PATH, form(parts), content_type=CONTENT_TYPE)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_USER_INPUT")
    body = GraphQL().body(slices(2), patientId=patient_id)
    assert b'"seriesPaths": ["ct", "ct"]' in body
    body = body.replace(b'"seriesPaths": ["ct", "ct"]', b'"seriesPaths": ' + json.dumps(["ct"] * count).encode())
    answer = Client().post("/graphql/", body, content_type=CONTENT_TYPE)
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert not is_stored(orthanc, patient_id)


def test_folders_and_files_are_matched_by_order(orthanc: LocalOrthanc, patient_id: str) -> None:
    """Whether a client sends them in turn or one after the other."""
    files = [*slices(2, "a"), *slices(2, "b", series=2)]
    parts = [Part("files", file.content, file.name) for file in files]
    parts += [Part("series_path", file.folder.encode()) for file in files]
    parts += [Part("patient_id", patient_id.encode()), Part("upload_key", patient_id.encode())]
    answer = Client().post(REST_PATH, form(parts), content_type=CONTENT_TYPE)
    assert answer.json()["uploaded"] == 4
    assert REST()(files, patientId=patient_id, uploadKey=patient_id).counts == (0, 4, 0)


def test_an_upload_without_a_patient_id_is_rejected(orthanc: LocalOrthanc, transport: Transport) -> None:
    outcome = transport(slices(1))
    assert outcome.code == "BAD_USER_INPUT"
    assert outcome.status == (400 if transport.name == "REST" else 200)


def test_an_upload_without_files_is_rejected(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    assert transport([], patientId=patient_id).code == "BAD_USER_INPUT"


def test_one_request_can_have_more_than_a_hundred_files(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    outcome = transport(slices(150), patientId=patient_id)
    assert outcome.counts == (150, 0, 0)
    assert [file.InstanceNumber for file in stored_files(orthanc, outcome.study_id)] == list(range(1, 151))


def test_uploads_without_a_key_create_separate_studies(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    outcomes = [transport(slices(2), patientId=patient_id) for _ in range(2)]
    assert [outcome.counts for outcome in outcomes] == [(2, 0, 0)] * 2
    assert len({outcome.study_id for outcome in outcomes}) == 2
    assert len({outcome.key for outcome in outcomes}) == 2


def test_the_upload_key_of_a_response_continues_the_upload(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    files = slices(3)
    first = transport(files[:1], patientId=patient_id)
    second = transport(files, patientId=patient_id, uploadKey=first.key)
    assert (second.counts, second.study_id, second.key) == ((2, 1, 0), first.study_id, first.key)


def test_an_upload_can_continue_over_the_other_transport(orthanc: LocalOrthanc, patient_id: str) -> None:
    first = REST()(slices(2), patientId=patient_id, uploadKey=patient_id)
    second = GraphQL()(slices(3), patientId=patient_id, uploadKey=patient_id)
    assert (first.counts, second.counts, second.study_id) == ((2, 0, 0), (1, 2, 0), first.study_id)


def test_the_same_file_twice_in_one_upload_is_stored_once(
    orthanc: LocalOrthanc, transport: Transport, patient_id: str
) -> None:
    [file] = slices(1)
    outcome = transport([file, file, File(file.content, "other folder")], patientId=patient_id)
    assert outcome.counts == (2, 1, 0)
    assert len(stored_files(orthanc, outcome.study_id)) == 2


def test_uploads_are_listed_the_newest_first(orthanc: LocalOrthanc, transport: Transport, patient_id: str) -> None:
    sent = [
        transport([*slices(2), File(b"text")], patientId=f"{patient_id}a", patientName="Kim^A", studyDescription="A"),
        transport([File(b"text")], patientId=f"{patient_id}b"),
    ]
    query = """{ uploads { totalCount nodes {
        uploadKey uploadedBy patientId patientName studyInstanceUID studyDescription studyOrthancId
        state uploaded failed
    } } }"""
    uploads = Querying()(query)["uploads"]
    assert uploads["totalCount"] == 2
    newest, oldest = uploads["nodes"]
    assert oldest == {
        "uploadKey": sent[0].key,
        "uploadedBy": "",
        "patientId": f"{patient_id}a",
        "patientName": "Kim^A",
        "studyInstanceUID": sent[0].study_uid,
        "studyDescription": "A",
        "studyOrthancId": sent[0].study_id,
        "state": "COMPLETE",
        "uploaded": 2,
        "failed": 1,
    }
    assert newest.items() >= {"uploadKey": sent[1].key, "studyOrthancId": None, "uploaded": 0, "failed": 1}.items()


def test_uploads_come_in_pages(orthanc: LocalOrthanc, patient_id: str) -> None:
    keys = [REST()([File(b"text")], patientId=patient_id, uploadKey=f"{patient_id}{index}").key for index in range(3)]
    query = """query($after: String) { uploads(first: 1, after: $after) {
        totalCount nodes { uploadKey } pageInfo { hasNextPage endCursor } } }"""
    after, seen = None, []
    for _ in keys:
        page = Querying()(query, after=after)["uploads"]
        assert page["totalCount"] == 3
        seen += [one["uploadKey"] for one in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert seen == keys[::-1]
    assert not page["pageInfo"]["hasNextPage"]


def test_uploads_are_filtered_and_ordered(orthanc: LocalOrthanc, patient_id: str) -> None:
    keys = [
        REST()([File(b"text")], patientId=f"{patient_id}{name}", uploadKey=f"{patient_id}{name}").key for name in "ba"
    ]
    query = """query($filter: UploadBatchFilter, $orderBy: [UploadBatchOrder!]) {
        uploads(filter: $filter, orderBy: $orderBy) { nodes { uploadKey createdAt } } }"""

    def found(criteria: dict[str, str] | None = None, *order: dict[str, str]) -> list[str]:
        nodes = Querying()(query, filter=criteria, orderBy=list(order))["uploads"]["nodes"]
        return [node["uploadKey"] for node in nodes]

    by_patient = {"field": "PATIENT_ID"}
    assert found(None, by_patient) == sorted(keys)
    assert found(None, {**by_patient, "direction": "DESC"}) == sorted(keys, reverse=True)
    assert found({"patientId": f"{patient_id}a"}) == [f"{patient_id}a"]
    assert found({"uploadKey": keys[0]}) == [keys[0]]
    assert found({"state": "COMPLETE"}) == keys[::-1]
    assert found({"state": "UPLOADING"}) == []
    [newest, oldest] = Querying()(query)["uploads"]["nodes"]
    assert found({"since": newest["createdAt"]}) == [newest["uploadKey"]]
    assert found({"until": newest["createdAt"]}) == [oldest["uploadKey"]]


def test_a_page_of_uploads_cannot_have_a_negative_size(graphql: GraphQLClient) -> None:
    error = graphql.error("{ uploads(first: -1) { totalCount } }")
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_a_file_that_orthanc_overwrites_counts_as_already_stored(
    start_session_orthanc: StartOrthanc, use_orthanc: UseOrthanc, transactional_db: None, patient_id: str
) -> None:
    overwriting = use_orthanc(start_session_orthanc(configuration={"OverwriteInstances": True}))
    for transport in (REST(), GraphQL()):
        key = f"{patient_id}{transport.name}"
        first = transport(slices(3), patientId=key, uploadKey=key)
        again = transport([*slices(4), *slices(1)], patientId=key, uploadKey=key)
        assert (first.counts, again.counts) == ((3, 0, 0), (1, 4, 0))
        delete_study(overwriting, first.study_id)
        assert transport(slices(2), patientId=key, uploadKey=key).counts == (2, 0, 0)
