"""Callers who may see a part of the archive: to them, the rest looks as if it did not exist, whatever they ask for."""

import uuid
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import Group, User
from pydicom import dcmread

from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.uploads.models import UploadBatch
from tests.access.archive import LABEL, LABELLED, NOWHERE, Archive, Target
from tests.access.callers import Answer, Caller, make_user, with_api_token
from tests.access.cases import CASES, HERE, NEW_PATIENT, OF_STUDY, Case
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

Event, Outcome = EventKind, AuditOutcome
Kind = AccessScope.Kind
OF_ONE = {name: one for name, one in CASES.items() if (one.levels or one.uploads) and not one.is_variant}
EVERYTHING = """{
  patients { totalCount nodes { patientId studiesCount instancesCount studies { studyInstanceUID seriesCount } } }
  studies { totalCount nodes { studyInstanceUID instancesCount patient { patientId studiesCount instancesCount } } }
  seriesList(first: 1000) { totalCount nodes { study { studyInstanceUID } } }
  instances(first: 1000) { totalCount nodes { series { study { studyInstanceUID } } } }
  server { patientsCount studiesCount seriesCount instancesCount diskSize }
}"""


@pytest.fixture(params=["session", "API token", "access token"])
def way(request: pytest.FixtureRequest) -> str:
    """How somebody authenticates."""
    return str(request.param)


def visible_studies(group: str, stored: Archive) -> set[tuple[int, int]]:
    """The studies that a group may see, as patient and study."""
    if group == "Ward":
        return {(1, 1), (1, 2)}
    return set(LABELLED) if stored.has_labels else set()


def hidden_targets(group: str, case: Case, stored: Archive) -> Iterator[Target]:
    """Of each kind of what a group may not see one."""
    yield Target.at(3)
    if case.uploads:
        yield Target.at(1) if group == "Labelled" else Target.at(2)
        return
    visible = visible_studies(group, stored)
    if (1, 1) not in visible:
        yield HERE
    if (1, 2) not in visible and ("patients" not in case.levels or not visible):
        yield Target.at(1, 2)


def shape(answer: Answer) -> tuple[Any, ...]:
    """All of an answer that may tell something."""
    return answer.status, answer.anonymised, {**answer.headers, "X-Request-ID": ""}


def written(answer: Answer) -> list[tuple[Any, ...]]:
    """All that is written down of it, but for what the caller has named."""
    return [
        (row.event, row.operation, row.outcome, row.error_code, row.username, row.counts, row.subjects.count())
        for row in answer.rows
    ]


@pytest.mark.parametrize("name", OF_ONE)
def test_what_is_hidden_looks_as_if_it_did_not_exist(
    name: str, confined: dict[str, Caller], stored: Archive, proxy: RecordingProxy
) -> None:
    case = OF_ONE[name]
    before = stored.state()
    for caller in confined.values():
        group = caller.name.split(" ")[0]
        made_up = case.send(caller, NOWHERE)
        for target in hidden_targets(group, case, stored):
            hidden = case.send(caller, target)
            assert shape(hidden) == shape(made_up), caller.name
            if not case.uploads:
                assert written(hidden) == written(made_up), caller.name
            for row in hidden.rows:
                assert (row.username, row.authentication) == caller.authorship[:2]
                assert row.target == case.audited_target(target)
        assert stored.state() == before, caller.name
        assert_missing(case, made_up)
    assert not any(request.method == "DELETE" or request.path.endswith("/file") for request in proxy.requests)


def assert_missing(case: Case, answer: Answer) -> None:
    code = "FORBIDDEN" if case.uploads else "NOT_FOUND"
    [row] = answer.rows
    assert (row.event, row.counts) == (case.operation.kind, {})
    if not case.is_graphql:
        assert (answer.status, answer.json["code"]) == ({"FORBIDDEN": 403, "NOT_FOUND": 404}[code], code)
    elif case.operation.action is Action.VIEW:
        [value] = answer.data.values()
        assert value in (None, [None, None])
        assert (row.outcome, row.error_code) == (Outcome.SUCCESS, "")
        return
    else:
        assert answer.codes == [code]
    assert row.error_code == code
    assert row.outcome == (Outcome.DENIED if code == "FORBIDDEN" else Outcome.FAILED)


def content_of(answer: Answer) -> Any:
    """What was answered; of an archive, which has the time in it, the files."""
    return files_in(answer) if answer.headers["Content-Type"] == "application/zip" else answer.anonymised


@pytest.mark.parametrize("name", [name for name, one in OF_ONE.items() if not one.operation.changes])
def test_what_is_visible_looks_as_to_everybody(
    name: str, callers: dict[str, Caller], confined: dict[str, Caller], stored: Archive
) -> None:
    case = OF_ONE[name]
    seen = case.send(callers["Manager (API token)"])
    for caller in confined.values():
        is_labelled = caller.name.startswith("Labelled")
        # of whose patient there is more than they see
        if is_labelled and ("patients" in case.levels or not stored.has_labels or "dry run" in name):
            continue
        answer = case.send(caller)
        assert (answer.status, content_of(answer)) == (seen.status, content_of(seen)), caller.name
        [row] = answer.rows
        assert row.outcome == Outcome.SUCCESS
        assert row.counts == case.counts


@pytest.mark.parametrize("name", [name for name, one in OF_ONE.items() if one.operation.changes])
def test_what_is_visible_can_be_changed(name: str, confined: dict[str, Caller], stored: Archive) -> None:
    case = OF_ONE[name]
    before = stored.state()
    for caller in confined.values():
        sees_part = case.uploads or not stored.has_labels or "patients" in case.levels
        if caller.name.startswith("Labelled") and sees_part:
            continue
        answer = case.send(caller)
        assert answer.status == 200
        assert not answer.codes if case.is_graphql else True
        intended, done = answer.rows
        assert (intended.outcome, done.outcome, done.intention) == (Outcome.INTENDED, Outcome.SUCCESS, intended)
        assert done.counts == case.counts
        subjects = set(done.subjects.values_list("patient_id", "study_instance_uid"))
        assert subjects == case.audited_subjects(caller)
        assert stored.state() != before
        stored.refill()


def test_lists_and_counts_have_what_is_visible(confined: dict[str, Caller], stored: Archive) -> None:
    for caller in confined.values():
        visible = visible_studies(caller.name.split(" ")[0], stored)
        uids = sorted(Target.at(*study).study_uid for study in visible)
        patients = sorted({patient for patient, _ in visible})
        studies_of = {f"P{one:03d}": sum(patient == one for patient, _ in visible) for one in patients}
        answer = caller.graphql(EVERYTHING)
        data = answer.data
        listed = data["patients"]
        assert listed["totalCount"] == len(patients)
        assert {one["patientId"]: one["studiesCount"] for one in listed["nodes"]} == studies_of
        assert all(one["instancesCount"] == 4 * one["studiesCount"] for one in listed["nodes"])
        below = [study["studyInstanceUID"] for one in listed["nodes"] for study in one["studies"]]
        assert sorted(below) == uids
        assert data["studies"]["totalCount"] == len(uids)
        assert sorted(one["studyInstanceUID"] for one in data["studies"]["nodes"]) == uids
        for one in data["studies"]["nodes"]:
            above = one["patient"]
            assert above["studiesCount"] == studies_of[above["patientId"]]
            assert above["instancesCount"] == 4 * above["studiesCount"]
        assert data["seriesList"]["totalCount"] == len(data["seriesList"]["nodes"]) == 2 * len(uids)
        assert {one["study"]["studyInstanceUID"] for one in data["seriesList"]["nodes"]} == set(uids)
        assert data["instances"]["totalCount"] == len(data["instances"]["nodes"]) == 4 * len(uids)
        assert {one["series"]["study"]["studyInstanceUID"] for one in data["instances"]["nodes"]} == set(uids)
        studies = [Target.at(*study).ids["studies"] for study in visible]
        assert data["server"] == {
            "patientsCount": len(patients),
            "studiesCount": len(uids),
            "seriesCount": 2 * len(uids),
            "instancesCount": 4 * len(uids),
            "diskSize": stored.disk_size("studies", *studies),
        }
        assert [one["patientId"] for one in caller.rest("patients/").json] == [f"P{one:03d}" for one in patients]
        # one row, however many root fields
        [row] = answer.rows
        assert set(row.operation.split(", ")) == {"patients", "studies", "seriesList", "instances", "server"}
        assert {uid for _, uid in row.subjects.values_list("patient_id", "study_instance_uid") if uid} == set(uids)


def test_no_filter_finds_what_is_hidden(confined: dict[str, Caller], stored: Archive) -> None:
    query = """query($id: String!, $uid: ID!) {
      patients(filter: {patientId: $id}) { totalCount nodes { id } }
      studies(filter: {patientId: $id}) { totalCount nodes { id } }
      other: studies(filter: {studyInstanceUIDs: [$uid]}) { totalCount nodes { id } }
      tagged: instances(filter: {tags: [{keyword: "PatientID", value: $id}]}) { totalCount nodes { id } }
    }"""
    for caller in confined.values():
        found = caller.graphql(query, {"id": "P003", "uid": Target.at(3).study_uid})
        made_up = caller.graphql(query, {"id": NOWHERE.patient_id, "uid": NOWHERE.study_uid})
        assert found.data == made_up.data
        assert {one["totalCount"] for one in found.data.values()} == {0}


def files_in(answer: Answer) -> set[str]:
    """The SOPInstanceUIDs in a ZIP archive."""
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    with ZipFile(BytesIO(answer.content)) as files:
        names = files.namelist()
        return {str(dcmread(BytesIO(files.read(name))).SOPInstanceUID) for name in names}


def sop_uids(*studies: tuple[int, int]) -> set[str]:
    return {Target.at(*study, series, number).sop_uid for study in studies for series in (1, 2) for number in (1, 2)}


def test_the_archive_of_a_patient_has_what_is_visible(
    callers: dict[str, Caller], confined: dict[str, Caller], stored: Archive, way: str
) -> None:
    ids = HERE.ids
    whole = callers[f"Manager ({way})"].rest(f"patients/{ids['patients']}/archive/")
    assert files_in(whole) == sop_uids((1, 1), (1, 2))
    ward, labelled = confined[f"Ward ({way})"], confined[f"Labelled ({way})"]
    assert files_in(ward.rest(f"patients/{ids['patients']}/archive/")) == sop_uids((1, 1), (1, 2))
    part = labelled.rest(f"patients/{ids['patients']}/archive/")
    if not stored.has_labels:
        assert part.status == 404
        return
    assert files_in(part) == sop_uids((1, 1))
    assert files_in(labelled.rest(f"studies/{ids['studies']}/archive/")) == sop_uids((1, 1))
    listed = labelled.rest(f"studies/?patient_id={ids['patients']}").json
    assert [one["studyInstanceUID"] for one in listed] == [HERE.study_uid]


def test_a_patient_is_deleted_as_far_as_they_are_visible(
    confined: dict[str, Caller], stored: Archive, way: str
) -> None:
    caller, ids = confined[f"Labelled ({way})"], HERE.ids
    delete = "mutation($id: ID!, $dry: Boolean) { deletePatient(orthancId: $id, dryRun: $dry) { instancesCount "
    delete += "deleted { level orthancId } remainingAncestor { id } } }"
    if not stored.has_labels:
        before = stored.state()
        assert caller.graphql(delete, {"id": ids["patients"]}).codes == ["NOT_FOUND"]
        assert stored.state() == before
        return
    expected = {
        "instancesCount": 4,
        "deleted": [{"level": "PATIENT", "orthancId": ids["patients"]}],
        "remainingAncestor": None,
    }
    foretold = caller.graphql(delete, {"id": ids["patients"], "dry": True})
    assert foretold.data == {"deletePatient": expected}
    answer = caller.graphql(delete, {"id": ids["patients"], "dry": False})
    assert answer.data == {"deletePatient": expected}
    assert stored.ask("/statistics")["CountInstances"] == 20
    assert stored.ask(f"/patients/{ids['patients']}")["Studies"] == [Target.at(1, 2).ids["studies"]]
    intended, done = answer.rows
    for row in (intended, done):
        assert frozenset(row.subjects.values_list("patient_id", "study_instance_uid")) == OF_STUDY
        assert row.counts["instances"] == 4
    # and the next time, there is no such patient
    assert caller.graphql(delete, {"id": ids["patients"]}).codes == ["NOT_FOUND"]


def test_uploads_are_those_for_visible_patients(
    callers: dict[str, Caller], confined: dict[str, Caller], stored: Archive
) -> None:
    for patient_id in ("P001", "W7-9", "P0011", "W8-1"):
        UploadBatch.objects.create(upload_key=str(uuid.uuid4()), patient_id=patient_id, patient_name="x")
    query = "{ uploads { totalCount nodes { patientId } } }"
    for caller in (callers["Manager (session)"], *confined.values()):
        found = caller.graphql(query).data["uploads"]
        visible = {"Manager": ["W8-1", "P0011", "W7-9", "P001"], "Ward": ["W7-9", "P001"], "Labelled": []}
        expected = visible[caller.name.split(" ")[0]]
        assert [one["patientId"] for one in found["nodes"]] == expected
        assert found["totalCount"] == len(expected)


@pytest.fixture
def several() -> Iterator[tuple[User, Caller]]:
    """Somebody in two groups with scopes, and in one without."""
    user = make_user("several", "Viewer", "Ward", "Labelled")
    yield user, with_api_token("several", user, frozenset())
    user.delete()


def studies_seen(caller: Caller) -> set[str]:
    nodes = caller.graphql("{ studies { nodes { studyInstanceUID } } }").data["studies"]["nodes"]
    return {one["studyInstanceUID"] for one in nodes}


def uids(*studies: tuple[int, int]) -> set[str]:
    return {Target.at(*study).study_uid for study in studies}


def test_the_scopes_of_several_groups_add_up(several: tuple[User, Caller], stored: Archive) -> None:
    _, caller = several
    assert studies_seen(caller) == uids((1, 1), (1, 2), *visible_studies("Labelled", stored))
    scopes = caller.graphql("{ viewer { scopes { kind value } } }").data["viewer"]["scopes"]
    assert scopes == [
        {"kind": "PATIENT_ID", "value": "P001"},
        {"kind": "PATIENT_ID", "value": "W7-*"},
        {"kind": "STUDY_LABEL", "value": LABEL},
    ]


def test_changes_take_effect_with_the_next_request(several: tuple[User, Caller], stored: Archive) -> None:
    user, caller = several
    group = Group.objects.create(name="changing")
    try:
        user.groups.set([group, Group.objects.get(name="Viewer")])
        every = uids(*((patient, study) for patient in (1, 2, 3) for study in (1, 2)))
        assert studies_seen(caller) == every
        rule = AccessScope.objects.create(group=group, kind=Kind.PATIENT_ID, value="P002")
        assert studies_seen(caller) == uids((2, 1), (2, 2))
        rule.value = "P00?"
        rule.save()
        assert studies_seen(caller) == every
        rule.value = "p002"  # to the letter, case included
        rule.save()
        assert studies_seen(caller) == set()
        rule.delete()
        assert studies_seen(caller) == every
        user.groups.remove(Group.objects.get(name="Viewer"))
        assert caller.graphql("{ studies { nodes { id } } }").codes == ["FORBIDDEN"]
        user.is_active = False
        user.save()
        assert caller.graphql("{ viewer { username } }").status == 401
    finally:
        group.delete()


def test_nothing_is_uploaded_for_a_patient_out_of_scope_by_any_name(
    confined: dict[str, Caller], stored: Archive, proxy: RecordingProxy
) -> None:
    """Orthanc takes some PatientIDs for the same; the gateway stores none that the scope does not have."""
    before = stored.state()
    for patient_id in ("P002", "p001", "P001x", f"x{NEW_PATIENT}", "P001\\P002", "*", "P00?"):
        for name in ("Mutation.uploadPatient", "POST upload-patient/"):
            answer = CASES[name].send(confined["Ward (session)"], Target(patient_id, "1", "1", "1"))
            assert answer.code in ("FORBIDDEN", "BAD_USER_INPUT"), patient_id
    assert stored.state() == before
    assert not any(request.path == "/instances" for request in proxy.requests)
