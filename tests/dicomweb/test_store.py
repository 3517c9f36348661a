"""STOW-RS: files are stored as they are, with one result for each."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from orthancproxy.audit.models import AuditEvent
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ROOT, ask, instance
from tests.dicom.hostile_files import built
from tests.dicomweb.store_client import (
    BOUNDARY,
    FAILED,
    OTHER_FAILURES,
    REFERENCED,
    RELATED,
    RETRIEVE_URL,
    STUDIES,
    related,
    send,
    store,
)
from tests.uploads.upload_client import found

pytestmark = pytest.mark.live

TYPES = 'type="application/dicom"'


@pytest.fixture(scope="module")
def module_orthanc(start_orthanc: Callable[..., LocalOrthanc]) -> LocalOrthanc:
    return start_orthanc()


@pytest.fixture(autouse=True)
def orthanc(module_orthanc: LocalOrthanc, use_orthanc: UseOrthanc) -> LocalOrthanc:
    return use_orthanc(module_orthanc)


def stored(orthanc: LocalOrthanc, sop_instance_uid: str) -> bytes | None:
    """Return an instance as Orthanc has it; None if there is none."""
    instances = found(orthanc, "Instance", SOPInstanceUID=sop_instance_uid)
    return ask(orthanc, f"/instances/{instances[0]['ID']}/file") if instances else None


def uid(patient: int, number: int = 1) -> str:
    return f"{ROOT}.{patient}.1.1.{number}"


def test_files_are_stored_as_they_are_but_for_the_preamble(orthanc: LocalOrthanc) -> None:
    first, second = instance(501, number=1), instance(501, number=2)
    answer = store(b"MZ executable".ljust(128, b"\x90") + first[128:], second)
    assert (answer.status, answer.media_type) == (200, "application/dicom+json")
    assert answer.uids() == [uid(501, 1), uid(501, 2)]
    assert (answer.reasons(), answer.reasons(REFERENCED)) == ([], [])
    assert stored(orthanc, uid(501, 1)) == first
    assert stored(orthanc, uid(501, 2)) == second


def test_the_response_has_the_urls_of_study_and_instances() -> None:
    study = f"http://testserver{STUDIES}/{ROOT}.502.1"
    answer = store(instance(502), study=f"{ROOT}.502.1").json
    assert answer[RETRIEVE_URL] == {"vr": "UR", "Value": [study]}
    [item] = answer[REFERENCED]["Value"]
    assert item[RETRIEVE_URL]["Value"] == [f"{study}/series/{ROOT}.502.1.1/instances/{uid(502)}"]
    assert item["00081150"] == {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]}
    assert store(instance(502, 2), instance(502, 3)).json[RETRIEVE_URL] == {"vr": "UR"}


@pytest.mark.parametrize(
    ("number", "content_type", "body"),
    [
        (511, f"multipart/related; {TYPES}; boundary={BOUNDARY}", related([instance(511)])),
        (512, f'multipart/related; {TYPES}; boundary="{BOUNDARY}"', related([instance(512)])),
        (513, f"Multipart/Related; boundary={BOUNDARY}; type=application/dicom", related([instance(513)])),
        (514, f"multipart/related; boundary={BOUNDARY}", related([instance(514)], "MIME-Version: 1.0")),
        (515, RELATED, b"\r\n" + related([instance(515)], "content-type: application/dicom;transfer-syntax=*")),
        (516, "application/dicom", instance(516)),
    ],
)
def test_each_way_to_send_a_file(number: int, content_type: str, body: bytes) -> None:
    answer = send(body, content_type)
    assert (answer.status, answer.uids()) == (200, [uid(number)]), answer.content


def test_what_is_stored_already_stays_and_has_a_warning(orthanc: LocalOrthanc) -> None:
    first = instance(521)
    assert store(first).status == 200
    answer = store(instance(521, Manufacturer="Other"), instance(521, number=2))
    assert (answer.status, answer.reasons(REFERENCED)) == (202, ["B006"])
    assert answer.uids() == [uid(521), uid(521, 2)]
    assert stored(orthanc, uid(521)) == first


def test_a_caller_who_cannot_view_does_not_learn_what_is_stored(settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ["upload"]
    answers = [store(instance(522)) for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0].status == 200


def test_files_of_another_study_than_that_of_the_url_fail(orthanc: LocalOrthanc) -> None:
    answer = store(instance(531), instance(531, study=2), study=f"{ROOT}.531.2")
    assert (answer.status, answer.uids(), answer.uids(FAILED)) == (202, [f"{ROOT}.531.2.1.1"], [uid(531)])
    assert answer.reasons() == ["A900"]
    answer = store(instance(532), study=f"{ROOT}.531.2")
    assert (answer.status, answer.uids(FAILED), answer.reasons()) == (409, [uid(532)], ["A900"])
    assert stored(orthanc, uid(532)) is None


BROKEN = {
    "not DICOM": b"no DICOM at all",
    "empty": b"",
    "without a preamble": instance(541)[132:],
    "truncated": instance(541)[:-50],
    "of another transfer syntax": instance(541).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0", 1),
    "without a study": instance(541, StudyInstanceUID=None),
    "with a study that is no UID": instance(541, StudyInstanceUID="A STUDY"),
    "with a blank before a UID": instance(541, SeriesInstanceUID="91.2.3").replace(b"91.2.3", b" 1.2.3"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_parsed_fails_alone(orthanc: LocalOrthanc, name: str) -> None:
    good = instance(542, number=sorted(BROKEN).index(name) + 1)
    answer = store(BROKEN[name], good)
    assert (answer.status, answer.reasons(OTHER_FAILURES), len(answer.uids())) == (202, ["C000"], 1)
    answer = store(BROKEN[name])
    assert (answer.status, answer.reasons(OTHER_FAILURES)) == (409, ["C000"])
    assert stored(orthanc, uid(541)) is None


def test_files_that_are_built_to_harm_fail(orthanc: LocalOrthanc) -> None:
    pid, files = orthanc.pid, [file.content for file in built()]
    answer = store(*files)
    assert answer.status == 202
    assert sum(map(len, (answer.uids(), answer.uids(FAILED), answer.reasons(OTHER_FAILURES)))) == len(files)
    assert orthanc.pid == pid


BAD_BODIES: dict[str, tuple[int, bytes, str]] = {
    "no parts": (400, f"--{BOUNDARY}--\r\n".encode(), RELATED),
    "no boundary in the header": (400, related([instance(551)]), f"multipart/related; {TYPES}"),
    "an endless boundary": (400, related([instance(551)]), f"{RELATED}{'x' * 1000}"),
    "another boundary": (400, related([instance(551)]), f"multipart/related; {TYPES}; boundary=other"),
    "no final boundary": (400, related([instance(551)]).removesuffix(b"--\r\n"), RELATED),
    "interrupted": (400, related([instance(551), instance(551, number=2)])[:-200], RELATED),
    "text before the first boundary": (400, b"preamble\r\n" + related([instance(551)]), RELATED),
    "a header of a megabyte": (400, related([instance(551)], f"X: {'x' * 2**20}"), RELATED),
    "a thousand headers": (400, related([instance(551)], "\r\n".join(["X: x"] * 1000)), RELATED),
    "a header that is none": (400, related([instance(551)], "no header"), RELATED),
    "Base64": (400, related([instance(551)], "Content-Transfer-Encoding: base64"), RELATED),
    "parts of JSON": (415, related([b"[]"], "Content-Type: application/dicom+json"), RELATED),
    "one part of JSON": (
        415,
        related([instance(551)]).replace(b"--\r\n", b"\r\nContent-Type: text/plain\r\n\r\n\r\n") + related([]),
        RELATED,
    ),
    "metadata": (415, related([b"[]"]), RELATED.replace("application/dicom", "application/dicom+json")),
    "a form": (415, related([instance(551)]), f"multipart/form-data; boundary={BOUNDARY}"),
    "JSON": (415, b"{}", "application/json"),
    "no media type": (415, instance(551), ""),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_malformed_body_stores_nothing(orthanc: LocalOrthanc, name: str) -> None:
    status, body, content_type = BAD_BODIES[name]
    answer = send(body, content_type)
    assert (answer.status, answer.media_type) == (status, "application/json"), answer.content
    assert answer.json["code"] == {400: "BAD_USER_INPUT", 415: "UNSUPPORTED_MEDIA_TYPE"}[status]
    assert stored(orthanc, uid(551)) is None


def test_the_number_of_files_and_bytes_is_limited(orthanc: LocalOrthanc, settings: Settings) -> None:
    file = instance(561)
    settings.ORTHANC_MAX_UPLOAD_FILES, settings.ORTHANC_MAX_UPLOAD_BYTES = 2, 2 * len(file)
    for body, content_type in (
        (related([b"1", b"2", b"3"]), RELATED),
        (related([file, file + b"x"]), RELATED),
        (2 * file + b"x", "application/dicom"),
    ):
        answer = send(body, content_type)
        assert (answer.status, answer.json["code"]) == (413, "LIMIT_EXCEEDED")
    assert stored(orthanc, uid(561)) is None


def test_ten_thousand_parts_have_as_many_results(settings: Settings) -> None:
    settings.ORTHANC_MAX_UPLOAD_FILES = 10_000
    answer = store(*([b"x"] * 10_000))
    assert (answer.status, len(answer.reasons(OTHER_FAILURES))) == (409, 10_000)
    settings.ORTHANC_MAX_UPLOAD_FILES = 9_999
    assert store(*([b"x"] * 10_000)).status == 413


def test_what_the_client_does_not_accept_is_rejected_before_anything_is_stored(orthanc: LocalOrthanc) -> None:
    answer = store(instance(571), accept="application/dicom+xml")
    assert (answer.status, answer.json["code"]) == (406, "NOT_ACCEPTABLE")
    assert stored(orthanc, uid(571)) is None


def test_without_the_permission_the_body_is_not_parsed(settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ["view", "download", "delete"]
    for answer in (store(instance(572)), send(b"no body", "multipart/related"), send(b"", "text/plain")):
        assert (answer.status, answer.json["code"]) == (401, "UNAUTHENTICATED")


def test_an_archive_that_does_not_answer_is_an_outage(settings: Settings) -> None:
    settings.ORTHANC_BASE_URL = "http://127.0.0.1:1"
    answer = store(instance(573), instance(573, number=2))
    assert (answer.status, answer.json["code"]) == (503, "ARCHIVE_UNAVAILABLE")


def test_the_audit_has_each_study(transactional_db: None) -> None:
    store(instance(581), instance(581, number=2), instance(582), b"no DICOM", study="")
    store(instance(583), study="1.2.3")
    intended, done, failed = AuditEvent.objects.order_by("pk")
    about: dict[str, Any] = {"event": "IMPORT", "operation": "POST /dicom-web/studies"}
    assert {name: getattr(done, name) for name in about} == about
    assert (intended.outcome, done.outcome, done.intention) == ("INTENDED", "SUCCESS", intended)
    assert done.counts == {"instances": 3, "alreadyStored": 0, "failed": 1}
    for event in (intended, done):
        assert list(event.subjects.values_list("patient_id", "study_instance_uid")) == [
            ("P581", f"{ROOT}.581.1"),
            ("P582", f"{ROOT}.582.1"),
        ]
    assert (failed.outcome, failed.counts["failed"]) == ("FAILED", 1)
    assert failed.operation == "POST /dicom-web/studies/{study_uid}"
