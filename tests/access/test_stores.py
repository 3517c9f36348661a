"""A caller with a scope stores into what the caller can see, and learns nothing about the rest (STOW-RS)."""

from itertools import product

import pytest

from orthancproxy.access.actions import Action
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from tests.access.archive import LABEL, SmallArchive, Target
from tests.access.callers import CallerClient, GatewayResponse
from tests.corpus import instance
from tests.dicomweb.store_client import FAILED, RELATED, STUDIES, StoreResponse, related

pytestmark = pytest.mark.live


def store(caller: CallerClient, *files: bytes, study: str = "") -> tuple[GatewayResponse, StoreResponse]:
    path = f"{STUDIES}/{study}" if study else STUDIES
    answer = caller.send("POST", path, related(files), RELATED)
    return answer, StoreResponse(answer.status, answer.headers["Content-Type"], answer.content)


@pytest.fixture
def ward(scoped_callers: dict[str, CallerClient]) -> CallerClient:
    """A caller who sees the patients P001 and W7-*."""
    return scoped_callers["Ward (API token)"]


@pytest.fixture
def labelled(scoped_callers: dict[str, CallerClient]) -> CallerClient:
    """A caller who sees the studies with a label: the first ones of P001 and P002, where Orthanc has labels."""
    return scoped_callers["Labelled (API token)"]


def test_patients_in_scope_are_stored_and_others_are_not(ward: CallerClient, archive: SmallArchive) -> None:
    before = archive.ask("/statistics")["CountInstances"]
    visible, new = instance(1, number=3), instance(93, PatientID="W7-93")
    answer, outcome = store(ward, visible, instance(2, number=3), new, instance(94, PatientID="NEW"))
    assert (outcome.status, len(outcome.uids()), outcome.reasons(FAILED)) == (202, 2, ["0124", "0124"])
    assert archive.ask("/statistics")["CountInstances"] == before + 2
    _intended, done = answer.audit_events
    assert (done.event, done.outcome, done.counts) == (
        EventKind.IMPORT,
        AuditOutcome.SUCCESS,
        {"instances": 2, "alreadyStored": 0, "failed": 2},
    )
    assert done.subjects.count() == 4


def test_hidden_and_absent_are_alike(ward: CallerClient, labelled: CallerClient, archive: SmallArchive) -> None:
    before = archive.state()
    hidden, absent = instance(3), instance(95)
    studies = Target.at(3).study_uid, Target.at(95).study_uid
    for caller, (of_hidden, of_absent) in product((ward, labelled), (("", ""), studies)):
        answers = [store(caller, hidden, study=of_hidden), store(caller, absent, study=of_absent)]
        for answer, outcome in answers:
            assert (outcome.status, outcome.reasons(FAILED)) == (409, ["0124"])
            [event] = answer.audit_events
            assert event.outcome == AuditOutcome.DENIED
        contents = [answer.content for answer, _ in answers]
        named = contents[0].replace(Target.at(3).sop_uid.encode(), Target.at(95).sop_uid.encode())
        assert named.replace(studies[0].encode(), studies[1].encode()) == contents[1]
        # the UIDs of the hidden and the absent study differ by a digit
        headers = [{**answer.headers, "X-Request-ID": "", "Content-Length": ""} for answer, _ in answers]
        assert headers[0] == headers[1]
    assert archive.state() == before


@pytest.mark.since("1.12.0")
def test_a_label_admits_its_study_and_no_new_one(labelled: CallerClient, archive: SmallArchive) -> None:
    _, outcome = store(labelled, instance(2, 1, number=3), instance(2, 2, number=3), instance(2, 3))
    assert (outcome.uids(), outcome.reasons(FAILED)) == ([Target.at(2, number=3).sop_uid], ["0124", "0124"])
    _, outcome = store(labelled, instance(2, 1, number=4, PatientID="W7-1"))
    assert outcome.reasons(FAILED) == ["0124"], "a study of another patient, with the UID of a visible one"
    assert archive.ask(f"/studies/{Target.at(2).ids['studies']}/labels") == [LABEL]


@pytest.mark.parametrize(
    "patient_id",
    [" P001", "P001\0X", "P001\\P002", "P001/../P002", "W7-\x1b$B!!", "W7-\n1"],
)
def test_a_patient_id_that_orthanc_may_read_otherwise_is_rejected(
    ward: CallerClient, archive: SmallArchive, patient_id: str
) -> None:
    before = archive.state()
    _, outcome = store(ward, instance(1, number=7, PatientID=patient_id))
    assert outcome.status == 409
    assert archive.state() == before


def test_orthanc_reads_the_patient_that_the_gateway_has_read(ward: CallerClient, archive: SmallArchive) -> None:
    """A private element of a strange VR has four bytes of length for the gateway, and may have two for Orthanc."""
    file = instance(1, number=8)
    hidden = file.replace(b"P001", b"P002")
    place = file.index(b"\x10\x00\x10\x00PN")
    # for a parser that reads its length in two bytes, the other identity follows
    for vr in (b"??", b"  ", b"zz", b"ZZ"):
        other = hidden[place : hidden.index(b"\x20\x00\x0d\x00UI")]
        element = b"\x09\x00\x01\x10" + vr + len(other).to_bytes(4, "little")[:2] + b"\0\0" + other
        store(ward, file[:place] + element + file[place:])
    for one in archive.ask("/instances"):
        tags = archive.ask(f"/instances/{one}/simplified-tags")
        assert (tags["PatientID"], tags["InstanceNumber"]) != ("P002", "8")


def test_what_is_stored_already_is_told_of_visible_instances_only(ward: CallerClient, archive: SmallArchive) -> None:
    _, outcome = store(ward, instance(1), instance(3))
    assert (outcome.status, outcome.reasons("00081199"), outcome.reasons(FAILED)) == (202, ["B006"], ["0124"])


def test_a_file_of_a_caller_with_a_scope_keeps_its_values(ward: CallerClient, archive: SmallArchive) -> None:
    file = instance(96, PatientID="W7-가나", StudyDescription="설명")
    _, outcome = store(ward, file)
    assert outcome.status == 200, outcome.content
    [study] = [one for one in archive.ask("/studies?expand") if one["PatientMainDicomTags"]["PatientID"] == "W7-가나"]
    assert study["MainDicomTags"]["StudyDescription"] == "설명"


def test_malformed_bodies_of_those_who_cannot_upload_are_not_parsed(callers: dict[str, CallerClient]) -> None:
    for caller in callers.values():
        if Action.UPLOAD not in caller.actions:
            answer = caller.send("POST", STUDIES, b"no body", "multipart/related")
            assert answer.status in (401, 403), caller.name
