"""Deletion by a caller with an access scope: only what the scope shows is deleted, as if there were nothing else."""

import json
from contextlib import closing
from http.client import HTTPConnection

import pytest
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.archive.levels import Level
from orthancproxy.archive.scope import Scope
from orthancproxy.audit.events import Author
from orthancproxy.audit.models import AuditEvent
from orthancproxy.errors import GatewayError
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.deletion import delete
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ask
from tests.deletion.deletion_client import (
    ARCHIVE,
    DeleteProxy,
    DeletionResult,
    Place,
    StoredResource,
    expected_result,
    identifiers,
    level_of,
    refill,
    resource_at,
    resources_of,
    stored_resources,
    without,
)
from tests.proxy import DROPPED, Fault, Request

pytestmark = pytest.mark.live

UNKNOWN = "01234567-89abcdef-01234567-89abcdef-01234567"
PATIENT_SCOPE = Scope(patient_ids=("P001",))
LABEL_SCOPE = Scope(labels=frozenset({"shown"}))
# LABEL_SCOPE does not show the second study of the first patient
LABELLED: tuple[Place, ...] = ((1, 1), (3, 1), (3, 2))


def has_labels(orthanc: LocalOrthanc) -> bool:
    return bool(json.loads(ask(orthanc, "/system")).get("HasLabels"))


@pytest.fixture
def labelled_orthanc(orthanc: LocalOrthanc) -> LocalOrthanc:
    """Label the studies in LABELLED, if this Orthanc supports labels."""
    for study in LABELLED if has_labels(orthanc) else ():
        ask(orthanc, f"/studies/{resource_at(study).orthanc_id}/labels/shown", "PUT")
    return orthanc


def delete_in_scope(place: Place, scope: Scope, *, dry_run: bool = False) -> DeletionResult:
    """Delete the resource at a place as a caller with a scope."""
    return delete_id_in_scope(level_of(place), resource_at(place).orthanc_id, scope, dry_run=dry_run)


def delete_id_in_scope(level: Level, orthanc_id: str, scope: Scope, *, dry_run: bool = False) -> DeletionResult:
    caller = Caller("kim", frozenset(Action), scope)
    try:
        with RequestContext(caller, Author("kim"), operation_name="delete") as context:
            done = delete(context, level, orthanc_id, dry_run=dry_run)
    except GatewayError as error:
        return DeletionResult(code=error.code, message=error.message)
    assert done.dry_run is dry_run
    remaining = done.remaining_ancestor
    return DeletionResult(
        tuple(StoredResource(each.level.path, each.orthanc_id) for each in done.deleted),
        StoredResource(remaining.level.path, remaining.orthanc_id) if remaining else None,
        done.instances_count,
    )


def not_found(level: Level) -> DeletionResult:
    return DeletionResult(code="NOT_FOUND", message=f"There is no such {level.value.lower()}.")


def visible_instances(scope: Scope, orthanc: LocalOrthanc) -> frozenset[Place]:
    """Return the instances that a scope shows."""
    if scope is PATIENT_SCOPE:
        return frozenset(place for place in ARCHIVE if place[0] == 1)
    return frozenset(place for place in ARCHIVE if place[:2] in LABELLED and has_labels(orthanc))


@pytest.mark.parametrize("scope", [PATIENT_SCOPE, LABEL_SCOPE], ids=["a patient", "a label"])
@pytest.mark.parametrize(
    "place",
    [
        (1,),
        (1, 1),
        (1, 1, 1),
        (1, 1, 1, 1),
        (1, 1, 2),
        (1, 2),
        (1, 2, 1, 1),
        (2,),
        (2, 1, 1, 1),
        (3,),
        (3, 1),
        (3, 2, 1),
    ],
    ids=str,
)
def test_deletion_affects_only_what_the_scope_shows(labelled_orthanc: LocalOrthanc, scope: Scope, place: Place) -> None:
    """The rest is not found and stays as it is. If Orthanc does not support labels, a label shows nothing."""
    shown = visible_instances(scope, labelled_orthanc)
    visible = resource_at(place) in resources_of(shown)
    result = expected_result(place, shown) if visible else not_found(level_of(place))
    left = ARCHIVE - (shown - without(place, shown))

    preview = delete_in_scope(place, scope, dry_run=True)
    assert stored_resources(labelled_orthanc) == resources_of(ARCHIVE)
    answer = delete_in_scope(place, scope)

    assert preview == answer == result
    assert stored_resources(labelled_orthanc) == resources_of(left)


@pytest.mark.parametrize("scope", [Scope(), PATIENT_SCOPE, LABEL_SCOPE], ids=["nothing", "a patient", "a label"])
def test_hidden_resource_has_the_same_result_as_an_unknown_one(
    proxy: DeleteProxy, labelled_orthanc: LocalOrthanc, scope: Scope
) -> None:
    for place in [(2,), (2, 1), (2, 1, 1), (2, 1, 1, 1)]:
        for dry_run in (False, True):
            unknown = delete_id_in_scope(level_of(place), UNKNOWN, scope, dry_run=dry_run)
            assert delete_in_scope(place, scope, dry_run=dry_run) == unknown == not_found(level_of(place))
    assert proxy.deletes == []
    rows = AuditEvent.objects.filter(event="DELETION")
    assert {(row.outcome, row.error_code, str(row.counts), row.subjects.count()) for row in rows} == {
        ("FAILED", "NOT_FOUND", "{}", 0)
    }


def test_patient_is_deleted_study_by_study(proxy: DeleteProxy, labelled_orthanc: LocalOrthanc) -> None:
    """Another client may store a hidden study of the patient at the same time."""
    assert delete_in_scope((1,), PATIENT_SCOPE) == expected_result((1,))
    assert sorted(proxy.deletes) == sorted(f"/studies/{resource_at(study).orthanc_id}" for study in [(1, 1), (1, 2)])


def test_audit_event_counts_what_was_deleted(labelled_orthanc: LocalOrthanc) -> None:
    """The patient remains: one of the studies is hidden."""
    answer = delete_in_scope((1,), LABEL_SCOPE)
    rows = [
        (row.outcome, row.counts, set(row.subjects.values_list("patient_id", "study_instance_uid")))
        for row in AuditEvent.objects.filter(event="DELETION").order_by("pk")
    ]
    if not has_labels(labelled_orthanc):
        assert answer == not_found(Level.PATIENT)
        assert rows == [("FAILED", {}, set())]
        return
    subjects = {("P001", identifiers((1, 1))[1])}
    assert answer.deleted == (resource_at((1,)),)
    assert rows == [
        ("INTENDED", {"patients": 1, "studies": 1, "series": 2, "instances": 5}, subjects),
        ("SUCCESS", {"studies": 1, "series": 2, "instances": 5}, subjects),
    ]


def test_audit_event_counts_a_patient_who_was_deleted_study_by_study(labelled_orthanc: LocalOrthanc) -> None:
    delete_in_scope((1,), PATIENT_SCOPE)
    row = AuditEvent.objects.filter(event="DELETION").latest("pk")
    assert (row.outcome, row.counts) == ("SUCCESS", {"patients": 1, "studies": 2, "series": 3, "instances": 7})


class TestStudyByStudy:
    """The deletion of a patient with two visible studies."""

    def test_study_that_another_client_deletes_first_is_not_counted(
        self, proxy: DeleteProxy, labelled_orthanc: LocalOrthanc
    ) -> None:
        def once() -> None:
            proxy.on_delete = lambda: None
            ask(labelled_orthanc, proxy.deletes[-1], "DELETE")

        proxy.on_delete = once
        answer = delete_in_scope((1,), PATIENT_SCOPE)
        assert answer.deleted == (resource_at((1,)),)
        assert answer.instances in (5, 2)
        assert len(proxy.deletes) == 2
        row = AuditEvent.objects.filter(event="DELETION").latest("pk")
        assert (row.outcome, row.counts["studies"], row.counts["instances"]) == ("SUCCESS", 1, answer.instances)

    def test_patient_whose_studies_another_client_deletes_first_is_not_found(
        self, proxy: DeleteProxy, labelled_orthanc: LocalOrthanc
    ) -> None:
        proxy.on_delete = lambda: ask(labelled_orthanc, proxy.deletes[-1], "DELETE")
        assert delete_in_scope((1,), PATIENT_SCOPE) == not_found(Level.PATIENT)

    def test_fault_after_the_first_study_is_an_error_whose_event_counts_that_study(
        self, proxy: DeleteProxy, labelled_orthanc: LocalOrthanc
    ) -> None:
        def second() -> None:
            proxy.fault = DROPPED if len(proxy.deletes) == 2 else Fault()

        proxy.on_delete = second
        answer = delete_in_scope((1,), PATIENT_SCOPE)
        assert answer.code == "ARCHIVE_UNAVAILABLE"
        assert answer.message.endswith("The resource may have been deleted nevertheless.")
        assert len(proxy.deletes) == 2
        row = AuditEvent.objects.filter(event="DELETION").latest("pk")
        assert (row.outcome, row.error_code, row.counts["studies"]) == ("FAILED", "ARCHIVE_UNAVAILABLE", 1)
        proxy.fault, proxy.on_delete = Fault(), lambda: None
        assert delete_in_scope((1,), PATIENT_SCOPE).deleted == (resource_at((1,)),)
        assert stored_resources(labelled_orthanc) == resources_of(without((1,), ARCHIVE))


class VisibleStudyDeletedProxy(DeleteProxy):
    """A proxy that deletes the visible study of a patient after a number of requests, as another client."""

    after = -1

    def received(self, request: Request) -> Fault:
        if len(self.requests) == self.after:
            with closing(HTTPConnection("127.0.0.1", self.target)) as orthanc:
                orthanc.request("DELETE", f"/studies/{resource_at((1, 1)).orthanc_id}")
                assert orthanc.getresponse().status == 200
        return super().received(request)


def test_hidden_study_remains_when_another_client_deletes_the_visible_one(
    labelled_orthanc: LocalOrthanc, settings: Settings
) -> None:
    """At whichever call that happens, the caller must not delete the patient as a whole."""
    for after in range(8):
        refill(labelled_orthanc)
        if has_labels(labelled_orthanc):
            ask(labelled_orthanc, f"/studies/{resource_at((1, 1)).orthanc_id}/labels/shown", "PUT")
        with VisibleStudyDeletedProxy(labelled_orthanc.port) as proxy:
            settings.ORTHANC_BASE_URL = proxy.base_url
            # detects the capabilities of this Orthanc
            delete_id_in_scope(Level.PATIENT, UNKNOWN, LABEL_SCOPE)
            proxy.requests.clear()
            proxy.after = after
            answer = delete_in_scope((1,), LABEL_SCOPE)
            assert resource_at((1, 2)) in stored_resources(labelled_orthanc)
            assert not [path for path in proxy.deletes if path.startswith("/patients/")]
            assert answer.code == "NOT_FOUND" or (
                has_labels(labelled_orthanc) and answer.deleted == (resource_at((1,)),)
            )
