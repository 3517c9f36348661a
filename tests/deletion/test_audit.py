"""A deletion has an intent in the audit log before it is done, and an outcome with what was deleted."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from django.db import connections
from pytest_django import Settings

from orthancproxy.audit import events
from orthancproxy.audit.models import AuditEvent
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.deletion.deletion_client import (
    ARCHIVE,
    DeleteProxy,
    GraphQLDeletion,
    Place,
    Transport,
    identifiers,
    resource_at,
    resources_of,
    stored_resources,
)

pytestmark = pytest.mark.live

UNKNOWN = "01234567-89abcdef-01234567-89abcdef-01234567"
LEVELS = ("patients", "studies", "series", "instances")


@dataclass(frozen=True, slots=True)
class EventValues:
    """The values of an audit event that differ between deletions."""

    outcome: str
    counts: Mapping[str, int]
    subjects: frozenset[tuple[str, str]]
    target: str
    operation: str
    error_code: str = ""
    event: str = "DELETION"


def audit_events() -> list[EventValues]:
    """Return all events in the audit log, oldest first."""
    return [
        EventValues(
            row.outcome,
            row.counts,
            frozenset(row.subjects.values_list("patient_id", "study_instance_uid")),
            row.target,
            row.operation,
            row.error_code,
            row.event,
        )
        for row in AuditEvent.objects.order_by("pk")
    ]


def subjects(*studies: Place) -> frozenset[tuple[str, str]]:
    return frozenset((identifiers(study)[0], identifiers(study)[1]) for study in studies)


def counts(*numbers: int) -> dict[str, int]:
    """Return the counts by level, without those that are 0."""
    return {level: number for level, number in zip(LEVELS, numbers, strict=True) if number}


@dataclass(frozen=True, slots=True)
class DeletionCase:
    """A deletion: the counts in its intent and in its outcome, and the studies that both name."""

    place: Place
    intended: Mapping[str, int]
    gone: Mapping[str, int]
    studies: tuple[Place, ...]


CASES = (
    DeletionCase((1,), counts(1, 2, 3, 7), counts(1, 2, 3, 7), ((1, 1), (1, 2))),
    DeletionCase((1, 1), counts(0, 1, 2, 5), counts(0, 1, 2, 5), ((1, 1),)),
    DeletionCase((1, 2, 1), counts(0, 0, 1, 2), counts(0, 1, 1, 2), ((1, 2),)),
    DeletionCase((1, 1, 2), counts(0, 0, 1, 2), counts(0, 0, 1, 2), ((1, 1),)),
    DeletionCase((1, 1, 2, 1), counts(0, 0, 0, 1), counts(0, 0, 0, 1), ((1, 1),)),
    DeletionCase((2, 1), counts(0, 1, 1, 1), counts(1, 1, 1, 1), ((2, 1),)),
    DeletionCase((2, 1, 1, 1), counts(0, 0, 0, 1), counts(1, 1, 1, 1), ((2, 1),)),
    DeletionCase((3, 2, 1, 1), counts(0, 0, 0, 1), counts(0, 1, 1, 1), ((3, 2),)),
)


def operation_name(transport: Transport, place: Place) -> str:
    name = ("Patient", "Study", "Series", "Instance")[len(place) - 1]
    if isinstance(transport, GraphQLDeletion):
        return f"delete{name}"
    return f"DELETE /api/orthanc/{LEVELS[len(place) - 1]}/{{orthanc_id}}/"


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.place))
def test_intent_is_stored_before_orthanc_deletes(proxy: DeleteProxy, transport: Transport, case: DeletionCase) -> None:
    seen: list[list[EventValues]] = []

    def look() -> None:
        try:
            seen.append(audit_events())
        finally:
            connections.close_all()

    proxy.on_delete = look
    target = "{}/{}".format(*_level_and_id(case.place))
    shared = {"subjects": subjects(*case.studies), "target": target, "operation": operation_name(transport, case.place)}

    assert transport(*_level_and_id(case.place)).code == ""

    intended = EventValues("INTENDED", case.intended, **shared)  # type: ignore[arg-type]
    assert seen == [[intended]]
    # GraphQL also reads the remaining ancestor
    deletions = [row for row in audit_events() if row.event == "DELETION"]
    assert deletions == [intended, EventValues("SUCCESS", case.gone, **shared)]  # type: ignore[arg-type]
    intention, outcome = AuditEvent.objects.filter(event="DELETION").order_by("pk")
    assert outcome.intention == intention
    assert intention.intention is None
    assert outcome.request_id == intention.request_id != ""
    assert outcome.duration_ms >= intention.duration_ms > 0


def test_deletion_of_an_unknown_or_malformed_id_is_audited(orthanc: LocalOrthanc, transport: Transport) -> None:
    transport("series", UNKNOWN)
    transport("series", "no id")
    name = operation_name(transport, (1, 1, 1))
    assert audit_events() == [
        EventValues("FAILED", {}, frozenset(), f"series/{UNKNOWN}", name, "NOT_FOUND"),
        EventValues("FAILED", {}, frozenset(), "series/no id", name, "BAD_USER_INPUT"),
    ]


def test_dry_run_is_audited_as_a_read(orthanc: LocalOrthanc) -> None:
    GraphQLDeletion()(*_level_and_id((1, 2, 1)), dryRun=True)
    [row] = audit_events()
    assert (row.outcome, row.event, row.operation) == ("SUCCESS", "ACCESSED", "deleteSeries, remainingAncestor")
    assert ("P001", identifiers((1, 2))[1]) in row.subjects
    assert {patient for patient, _ in row.subjects} == {"P001"}


def test_deletion_whose_intent_cannot_be_audited_is_not_carried_out(
    orthanc: LocalOrthanc,
    proxy: DeleteProxy,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(events, "_insert_subjects", full)
    answer = transport(*_level_and_id((1,)))
    assert answer.code == "INTERNAL"
    assert proxy.deletes == []
    assert stored_resources(orthanc) == resources_of(ARCHIVE)
    # an event without its subjects is not stored either
    assert audit_events() == []


@pytest.mark.parametrize("actions", [[], ["view", "download", "upload", "view_audit"]], ids=["none", "all others"])
def test_deletion_without_the_permission_is_denied_before_any_call_to_orthanc(
    orthanc: LocalOrthanc,
    proxy: DeleteProxy,
    settings: Settings,
    transport: Transport,
    actions: list[str],
) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = actions
    places: list[Place] = [(1,), (1, 1), (1, 1, 1), (1, 1, 1, 1)]
    for place in places:
        answer = transport(*_level_and_id(place))
        assert answer.code == "UNAUTHENTICATED"
        assert answer.status == (200 if isinstance(transport, GraphQLDeletion) else 401)
        assert transport(resource_at(place).level, UNKNOWN) == answer
        assert transport(resource_at(place).level, "no id") == answer
    assert proxy.requests == []
    assert [row.outcome for row in audit_events()] == ["DENIED"] * 12
    assert {row.event for row in audit_events()} == {"DELETION"}
    assert audit_events()[0] == EventValues(
        "DENIED",
        {},
        frozenset(),
        "{}/{}".format(*_level_and_id((1,))),
        operation_name(transport, (1,)),
        "UNAUTHENTICATED",
    )


def test_dry_run_without_the_permission_is_denied(proxy: DeleteProxy, settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ["view"]
    assert GraphQLDeletion()(*_level_and_id((1,)), dryRun=True).code == "UNAUTHENTICATED"
    assert proxy.requests == []
    [row] = audit_events()
    assert (row.outcome, row.event, row.error_code) == ("DENIED", "ACCESSED", "UNAUTHENTICATED")


def test_deletion_whose_outcome_cannot_be_audited_still_returns_what_was_deleted(
    orthanc: LocalOrthanc,
    proxy: DeleteProxy,
    transport: Transport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The audit log keeps the intent without an outcome."""

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    proxy.on_delete = lambda: monkeypatch.setattr(events, "_insert_subjects", full)
    answer = transport(*_level_and_id((2,)))
    monkeypatch.undo()
    assert answer.deleted == (resource_at((2,)),)
    assert [row.outcome for row in audit_events()] == ["INTENDED"]


def _level_and_id(place: Place) -> tuple[str, str]:
    return resource_at(place).level, resource_at(place).orthanc_id
