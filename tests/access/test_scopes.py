"""Callers with an access scope: every operation treats resources outside of it as if they did not exist."""

import uuid
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest
from django.contrib.auth.models import Group, User
from django.utils import timezone
from pydicom import dcmread
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.jobs.models import Job, JobState
from orthancproxy.uploads.models import UploadBatch
from tests.access.archive import LABEL, LABELLED, UNKNOWN_TARGET, SmallArchive, Target
from tests.access.callers import CallerClient, GatewayResponse, make_user, with_api_token
from tests.access.cases import CASES, DEFAULT_TARGET, NEW_PATIENT, OF_STUDY, AccessCase
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

CASES_WITH_A_TARGET = {name: one for name, one in CASES.items() if (one.levels or one.uploads) and not one.is_variant}
LISTS_AND_COUNTS = """{
  patients { totalCount nodes { patientId studiesCount instancesCount studies { studyInstanceUID seriesCount } } }
  studies { totalCount nodes { studyInstanceUID instancesCount patient { patientId studiesCount instancesCount } } }
  seriesList(first: 1000) { totalCount nodes { study { studyInstanceUID } } }
  instances(first: 1000) { totalCount nodes { series { study { studyInstanceUID } } } }
  server { patientsCount studiesCount seriesCount instancesCount diskSize }
}"""


@pytest.fixture(params=["session", "API token", "access token"])
def authentication(request: pytest.FixtureRequest) -> str:
    """Return each kind of authentication."""
    return str(request.param)


def visible_studies(group: str, archive: SmallArchive) -> set[tuple[int, int]]:
    """Return the visible studies of a group, as numbers of patient and study."""
    if group == "Ward":
        return {(1, 1), (1, 2)}
    return set(LABELLED) if archive.has_labels else set()


def hidden_targets(group: str, case: AccessCase, archive: SmallArchive) -> Iterator[Target]:
    """Yield one target for each reason why a group does not see a resource."""
    yield Target.at(3)
    if case.uploads:
        yield Target.at(1) if group == "Labelled" else Target.at(2)
        return
    visible = visible_studies(group, archive)
    if (1, 1) not in visible:
        yield DEFAULT_TARGET
    if (1, 2) not in visible and ("patients" not in case.levels or not visible):
        yield Target.at(1, 2)


def observable_parts(answer: GatewayResponse) -> tuple[Any, ...]:
    """Return the parts of a response that could reveal whether a resource exists."""
    return answer.status, answer.content_without_request_id, {**answer.headers, "X-Request-ID": ""}


def audited_values(answer: GatewayResponse) -> list[tuple[Any, ...]]:
    """Return the values of its audit events, except those that the caller has sent."""
    return [
        (row.event, row.operation, row.outcome, row.error_code, row.username, row.counts, row.subjects.count())
        for row in answer.audit_events
    ]


@pytest.mark.parametrize("name", CASES_WITH_A_TARGET)
def test_hidden_resource_has_the_response_of_an_unknown_one(
    name: str, scoped_callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
) -> None:
    case = CASES_WITH_A_TARGET[name]
    before = archive.state()
    for caller in scoped_callers.values():
        group = caller.name.split(" ")[0]
        unknown = case.send(caller, UNKNOWN_TARGET)
        for target in hidden_targets(group, case, archive):
            hidden = case.send(caller, target)
            assert observable_parts(hidden) == observable_parts(unknown), caller.name
            if not case.uploads:
                assert audited_values(hidden) == audited_values(unknown), caller.name
            for row in hidden.audit_events:
                assert (row.username, row.authentication) == caller.audit_author[:2]
                assert row.target == case.named_target(target)
        assert archive.state() == before, caller.name
        assert_not_found(case, unknown)
    assert not any(request.method == "DELETE" or request.path.endswith("/file") for request in proxy.requests)


def assert_not_found(case: AccessCase, answer: GatewayResponse) -> None:
    code = "FORBIDDEN" if case.uploads else "NOT_FOUND"
    [row] = answer.audit_events
    assert (row.event, row.counts) == (case.operation.kind, {})
    if case.is_search:
        assert (answer.status, answer.json) == (200, [])
        assert (row.outcome, row.error_code) == (AuditOutcome.SUCCESS, "")
        return
    if not case.is_graphql:
        assert (answer.status, answer.json["code"]) == ({"FORBIDDEN": 403, "NOT_FOUND": 404}[code], code)
    elif case.operation.action is Action.VIEW:
        [value] = answer.data.values()
        assert value in (None, [None, None])
        assert (row.outcome, row.error_code) == (AuditOutcome.SUCCESS, "")
        return
    else:
        assert answer.codes == [code]
    assert row.error_code == code
    assert row.outcome == (AuditOutcome.DENIED if code == "FORBIDDEN" else AuditOutcome.FAILED)


def comparable_content(case: AccessCase, answer: GatewayResponse) -> Any:
    """Return the content, or the instances in a ZIP file, whose bytes depend on the time.

    Anonymized instances have other UIDs each time, of which only the number can be compared.
    """
    if answer.headers["Content-Type"] != "application/zip":
        return answer.content_without_request_id
    return len(files_in(answer)) if case.operation.kind is EventKind.ANONYMIZED else files_in(answer)


@pytest.mark.parametrize("name", [name for name, one in CASES_WITH_A_TARGET.items() if not one.operation.changes])
def test_visible_resource_has_the_response_of_a_caller_without_a_scope(
    name: str, callers: dict[str, CallerClient], scoped_callers: dict[str, CallerClient], archive: SmallArchive
) -> None:
    case = CASES_WITH_A_TARGET[name]
    seen = case.send(callers["Manager (API token)"])
    for caller in scoped_callers.values():
        # a study is corrected by one job at a time
        Job.objects.update(ended_at=timezone.now(), state=JobState.CANCELLED)
        is_labelled = caller.name.startswith("Labelled")
        # they see only a part of the patient, and choose no patient for a copy
        concerns_patient = "patients" in case.levels or "dry run" in name or "anonymizeStudy" in name
        if is_labelled and (concerns_patient or not archive.has_labels):
            continue
        answer = case.send(caller)
        if "mergeStudies" in name and archive.has_labels:
            # its studies have different labels of scopes
            assert answer.codes == ["FORBIDDEN" if not is_labelled else "NOT_FOUND"]
            continue
        assert (answer.status, comparable_content(case, answer)) == (seen.status, comparable_content(case, seen)), (
            caller.name
        )
        [row] = answer.audit_events
        if case.needs_labels and not archive.has_labels:
            assert (answer.codes, row.outcome, row.counts) == (["BAD_USER_INPUT"], AuditOutcome.FAILED, {})
            continue
        # what is viewed of a series has its outcome when some minutes are over, a job when it ends
        is_open = case.operation.viewed or case.operation.is_job
        assert row.outcome == (AuditOutcome.INTENDED if is_open else AuditOutcome.SUCCESS)
        assert row.counts == case.counts


@pytest.mark.parametrize("name", [name for name, one in CASES_WITH_A_TARGET.items() if one.operation.changes])
def test_visible_resource_can_be_changed(
    name: str, scoped_callers: dict[str, CallerClient], archive: SmallArchive
) -> None:
    case = CASES_WITH_A_TARGET[name]
    for caller in scoped_callers.values():
        case.prepare(archive)
        before = archive.state()
        sees_part = case.uploads or not archive.has_labels or "patients" in case.levels
        if caller.name.startswith("Labelled") and sees_part:
            continue
        answer = case.send(caller)
        if case.needs_labels and not archive.has_labels:
            assert answer.codes == ["BAD_USER_INPUT"]
            continue
        assert answer.status == case.status
        assert not answer.codes if case.is_graphql else True
        intended, done = answer.audit_events
        assert (intended.outcome, done.outcome, done.intention) == (
            AuditOutcome.INTENDED,
            AuditOutcome.SUCCESS,
            intended,
        )
        assert done.counts == case.counts
        subjects = set(done.subjects.values_list("patient_id", "study_instance_uid"))
        assert subjects == case.audited_subjects(caller)
        assert archive.state() != before
        archive.refill()


def test_lists_and_counts_have_only_visible_resources(
    scoped_callers: dict[str, CallerClient], archive: SmallArchive
) -> None:
    for caller in scoped_callers.values():
        visible = visible_studies(caller.name.split(" ")[0], archive)
        uids = sorted(Target.at(*study).study_uid for study in visible)
        patients = sorted({patient for patient, _ in visible})
        studies_of = {f"P{one:03d}": sum(patient == one for patient, _ in visible) for one in patients}
        answer = caller.graphql(LISTS_AND_COUNTS)
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
            "diskSize": archive.disk_size("studies", *studies),
        }
        assert [one["patientId"] for one in caller.rest("patients/").json] == [f"P{one:03d}" for one in patients]
        # one event for all root fields
        [row] = answer.audit_events
        assert set(row.operation.split(", ")) == {"patients", "studies", "seriesList", "instances", "server"}
        assert {uid for _, uid in row.subjects.values_list("patient_id", "study_instance_uid") if uid} == set(uids)


def test_filters_find_no_hidden_resources(scoped_callers: dict[str, CallerClient], archive: SmallArchive) -> None:
    query = """query($id: String!, $uid: ID!) {
      patients(filter: {patientId: $id}) { totalCount nodes { id } }
      studies(filter: {patientId: $id}) { totalCount nodes { id } }
      other: studies(filter: {studyInstanceUIDs: [$uid]}) { totalCount nodes { id } }
      tagged: instances(filter: {tags: [{keyword: "PatientID", value: $id}]}) { totalCount nodes { id } }
    }"""
    for caller in scoped_callers.values():
        found = caller.graphql(query, {"id": "P003", "uid": Target.at(3).study_uid})
        unknown = caller.graphql(query, {"id": UNKNOWN_TARGET.patient_id, "uid": UNKNOWN_TARGET.study_uid})
        assert found.data == unknown.data
        assert {one["totalCount"] for one in found.data.values()} == {0}


def files_in(answer: GatewayResponse) -> set[str]:
    """Return the SOPInstanceUIDs in a ZIP file."""
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    with ZipFile(BytesIO(answer.content)) as files:
        names = files.namelist()
        return {str(dcmread(BytesIO(files.read(name))).SOPInstanceUID) for name in names}


def sop_uids(*studies: tuple[int, int]) -> set[str]:
    return {Target.at(*study, series, number).sop_uid for study in studies for series in (1, 2) for number in (1, 2)}


def test_zip_file_of_a_patient_has_only_visible_studies(
    callers: dict[str, CallerClient],
    scoped_callers: dict[str, CallerClient],
    archive: SmallArchive,
    authentication: str,
) -> None:
    ids = DEFAULT_TARGET.ids
    whole = callers[f"Manager ({authentication})"].rest(f"patients/{ids['patients']}/archive/")
    assert files_in(whole) == sop_uids((1, 1), (1, 2))
    ward, labelled = scoped_callers[f"Ward ({authentication})"], scoped_callers[f"Labelled ({authentication})"]
    assert files_in(ward.rest(f"patients/{ids['patients']}/archive/")) == sop_uids((1, 1), (1, 2))
    part = labelled.rest(f"patients/{ids['patients']}/archive/")
    if not archive.has_labels:
        assert part.status == 404
        return
    assert files_in(part) == sop_uids((1, 1))
    assert files_in(labelled.rest(f"studies/{ids['studies']}/archive/")) == sop_uids((1, 1))
    listed = labelled.rest(f"studies/?patient_id={ids['patients']}").json
    assert [one["studyInstanceUID"] for one in listed] == [DEFAULT_TARGET.study_uid]


def test_zip_file_of_a_part_of_a_patient_is_not_left_to_nginx(
    scoped_callers: dict[str, CallerClient], archive: SmallArchive, authentication: str, settings: Settings
) -> None:
    """Orthanc's has the whole patient."""
    settings.ORTHANC_ACCEL_REDIRECT = "/orthanc-files"
    ids = DEFAULT_TARGET.ids
    path, from_nginx = f"/api/orthanc/patients/{ids['patients']}/archive/", {"x-sendfile-type": "X-Accel-Redirect"}
    ward, labelled = scoped_callers[f"Ward ({authentication})"], scoped_callers[f"Labelled ({authentication})"]
    whole = ward.send("GET", path, b"", "application/json", **from_nginx)
    assert whole.headers["X-Accel-Redirect"] == f"/orthanc-files/patients/{ids['patients']}/archive"
    assert whole.content == b""
    part = labelled.send("GET", path, b"", "application/json", **from_nginx)
    assert "X-Accel-Redirect" not in part.headers
    assert part.status == (200 if archive.has_labels else 404)
    if archive.has_labels:
        assert files_in(part) == sop_uids((1, 1))


def test_deletion_of_a_patient_deletes_only_visible_studies(
    scoped_callers: dict[str, CallerClient], archive: SmallArchive, authentication: str
) -> None:
    caller, ids = scoped_callers[f"Labelled ({authentication})"], DEFAULT_TARGET.ids
    delete = "mutation($id: ID!, $dry: Boolean) { deletePatient(orthancId: $id, dryRun: $dry) { instancesCount "
    delete += "deleted { level orthancId } remainingAncestor { id } } }"
    if not archive.has_labels:
        before = archive.state()
        assert caller.graphql(delete, {"id": ids["patients"]}).codes == ["NOT_FOUND"]
        assert archive.state() == before
        return
    expected = {
        "instancesCount": 4,
        "deleted": [{"level": "PATIENT", "orthancId": ids["patients"]}],
        "remainingAncestor": None,
    }
    preview = caller.graphql(delete, {"id": ids["patients"], "dry": True})
    assert preview.data == {"deletePatient": expected}
    answer = caller.graphql(delete, {"id": ids["patients"], "dry": False})
    assert answer.data == {"deletePatient": expected}
    assert archive.ask("/statistics")["CountInstances"] == 20
    assert archive.ask(f"/patients/{ids['patients']}")["Studies"] == [Target.at(1, 2).ids["studies"]]
    intended, done = answer.audit_events
    for row in (intended, done):
        assert frozenset(row.subjects.values_list("patient_id", "study_instance_uid")) == OF_STUDY
        assert row.counts["instances"] == 4
    # the patient is not visible any more
    assert caller.graphql(delete, {"id": ids["patients"]}).codes == ["NOT_FOUND"]


def test_uploads_field_has_only_uploads_for_visible_patients(
    callers: dict[str, CallerClient], scoped_callers: dict[str, CallerClient], archive: SmallArchive
) -> None:
    for patient_id in ("P001", "W7-9", "P0011", "W8-1"):
        UploadBatch.objects.create(upload_key=str(uuid.uuid4()), patient_id=patient_id, patient_name="x")
    query = "{ uploads { totalCount nodes { patientId } } }"
    for caller in (callers["Manager (session)"], *scoped_callers.values()):
        found = caller.graphql(query).data["uploads"]
        visible = {"Manager": ["W8-1", "P0011", "W7-9", "P001"], "Ward": ["W7-9", "P001"], "Labelled": []}
        expected = visible[caller.name.split(" ")[0]]
        assert [one["patientId"] for one in found["nodes"]] == expected
        assert found["totalCount"] == len(expected)


@pytest.fixture
def caller_in_several_groups() -> Iterator[tuple[User, CallerClient]]:
    """Yield a user in two groups with scopes and one without, and their caller."""
    user = make_user("several", "Viewer", "Ward", "Labelled")
    yield user, with_api_token("several", user, frozenset())
    user.delete()


def studies_seen(caller: CallerClient) -> set[str]:
    nodes = caller.graphql("{ studies { nodes { studyInstanceUID } } }").data["studies"]["nodes"]
    return {one["studyInstanceUID"] for one in nodes}


def uids(*studies: tuple[int, int]) -> set[str]:
    return {Target.at(*study).study_uid for study in studies}


def test_scopes_of_several_groups_are_combined(
    caller_in_several_groups: tuple[User, CallerClient], archive: SmallArchive
) -> None:
    _, caller = caller_in_several_groups
    assert studies_seen(caller) == uids((1, 1), (1, 2), *visible_studies("Labelled", archive))
    scopes = caller.graphql("{ viewer { scopes { kind value } } }").data["viewer"]["scopes"]
    assert scopes == [
        {"kind": "PATIENT_ID", "value": "P001"},
        {"kind": "PATIENT_ID", "value": "W7-*"},
        {"kind": "STUDY_LABEL", "value": LABEL},
    ]


def test_changes_of_groups_and_scopes_take_effect_with_the_next_request(
    caller_in_several_groups: tuple[User, CallerClient], archive: SmallArchive
) -> None:
    user, caller = caller_in_several_groups
    group = Group.objects.create(name="changing")
    try:
        user.groups.set([group, Group.objects.get(name="Viewer")])
        every = uids(*((patient, study) for patient in (1, 2, 3) for study in (1, 2)))
        assert studies_seen(caller) == every
        rule = AccessScope.objects.create(group=group, kind=AccessScope.Kind.PATIENT_ID, value="P002")
        assert studies_seen(caller) == uids((2, 1), (2, 2))
        rule.value = "P00?"
        rule.save()
        assert studies_seen(caller) == every
        rule.value = "p002"  # case-sensitive
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


def test_upload_for_a_patient_outside_the_scope_is_rejected(
    scoped_callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
) -> None:
    """Orthanc treats some PatientIDs as equal; the gateway requires an exact match with the scope."""
    before = archive.state()
    for patient_id in ("P002", "p001", "P001x", f"x{NEW_PATIENT}", "P001\\P002", "*", "P00?"):
        for name in ("Mutation.uploadPatient", "POST upload-patient/"):
            answer = CASES[name].send(scoped_callers["Ward (session)"], Target(patient_id, "1", "1", "1"))
            assert answer.code in ("FORBIDDEN", "BAD_USER_INPUT"), patient_id
    assert archive.state() == before
    assert not any(request.path == "/instances" for request in proxy.requests)
