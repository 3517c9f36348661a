"""A deletion is written down before it is done, with what is to go, and after it, with what went."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from django.db import connections
from pytest_django import Settings

from orthancproxy.audit.models import AuditEvent, AuditSubject
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.deletion.deleting import (
    ARCHIVE,
    REST,
    DeleteProxy,
    GraphQL,
    Place,
    identifiers,
    one,
    resources,
    stored,
)

pytestmark = pytest.mark.live

UNKNOWN = "01234567-89abcdef-01234567-89abcdef-01234567"
LEVELS = ("patients", "studies", "series", "instances")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the audit: what changes from one deletion to another."""

    outcome: str
    counts: Mapping[str, int]
    subjects: frozenset[tuple[str, str]]
    target: str
    operation: str
    error_code: str = ""
    event: str = "DELETION"


def rows() -> list[Row]:
    """All that is in the audit, in its order."""
    return [
        Row(
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
    """Numbers of patients, studies, and so on, without those that are 0."""
    return {level: number for level, number in zip(LEVELS, numbers, strict=True) if number}


@dataclass(frozen=True, slots=True)
class Case:
    """A deletion: what is intended to go, what goes, and of which studies."""

    place: Place
    intended: Mapping[str, int]
    gone: Mapping[str, int]
    studies: tuple[Place, ...]


CASES = (
    Case((1,), counts(1, 2, 3, 7), counts(1, 2, 3, 7), ((1, 1), (1, 2))),
    Case((1, 1), counts(0, 1, 2, 5), counts(0, 1, 2, 5), ((1, 1),)),
    Case((1, 2, 1), counts(0, 0, 1, 2), counts(0, 1, 1, 2), ((1, 2),)),
    Case((1, 1, 2), counts(0, 0, 1, 2), counts(0, 0, 1, 2), ((1, 1),)),
    Case((1, 1, 2, 1), counts(0, 0, 0, 1), counts(0, 0, 0, 1), ((1, 1),)),
    Case((2, 1), counts(0, 1, 1, 1), counts(1, 1, 1, 1), ((2, 1),)),
    Case((2, 1, 1, 1), counts(0, 0, 0, 1), counts(1, 1, 1, 1), ((2, 1),)),
    Case((3, 2, 1, 1), counts(0, 0, 0, 1), counts(0, 1, 1, 1), ((3, 2),)),
)


def operation(transport: GraphQL | REST, place: Place) -> str:
    name = ("Patient", "Study", "Series", "Instance")[len(place) - 1]
    if isinstance(transport, GraphQL):
        return f"delete{name}"
    return f"DELETE /api/orthanc/{LEVELS[len(place) - 1]}/{{orthanc_id}}/"


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.place))
def test_the_intention_is_there_when_orthanc_is_told(proxy: DeleteProxy, transport: GraphQL | REST, case: Case) -> None:
    seen: list[list[Row]] = []

    def look() -> None:
        try:
            seen.append(rows())
        finally:
            connections.close_all()

    proxy.on_delete = look
    target = "{}/{}".format(*_named(case.place))
    shared = {"subjects": subjects(*case.studies), "target": target, "operation": operation(transport, case.place)}

    assert transport(*_named(case.place)).code == ""

    intended = Row("INTENDED", case.intended, **shared)  # type: ignore[arg-type]
    assert seen == [[intended]]
    # GraphQL reads after it what is left
    deletions = [row for row in rows() if row.event == "DELETION"]
    assert deletions == [intended, Row("SUCCESS", case.gone, **shared)]  # type: ignore[arg-type]
    intention, outcome = AuditEvent.objects.filter(event="DELETION").order_by("pk")
    assert outcome.intention == intention
    assert intention.intention is None
    assert outcome.request_id == intention.request_id != ""
    assert outcome.duration_ms >= intention.duration_ms > 0


def test_what_is_not_found_is_written_down(orthanc: LocalOrthanc, transport: GraphQL | REST) -> None:
    transport("series", UNKNOWN)
    transport("series", "no id")
    name = operation(transport, (1, 1, 1))
    assert rows() == [
        Row("FAILED", {}, frozenset(), f"series/{UNKNOWN}", name, "NOT_FOUND"),
        Row("FAILED", {}, frozenset(), "series/no id", name, "BAD_USER_INPUT"),
    ]


def test_a_dry_run_is_reading(orthanc: LocalOrthanc) -> None:
    GraphQL()(*_named((1, 2, 1)), dryRun=True)
    [row] = rows()
    assert (row.outcome, row.event, row.operation) == ("SUCCESS", "ACCESSED", "deleteSeries, remainingAncestor")
    assert ("P001", identifiers((1, 2))[1]) in row.subjects
    assert {patient for patient, _ in row.subjects} == {"P001"}


def test_nothing_is_deleted_that_can_not_be_written_down(
    orthanc: LocalOrthanc, proxy: DeleteProxy, transport: GraphQL | REST, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(AuditSubject.objects, "bulk_create", full)
    answer = transport(*_named((1,)))
    assert answer.code == "INTERNAL"
    assert proxy.deletes == []
    assert stored(orthanc) == resources(ARCHIVE)
    # the event without its subjects neither
    assert rows() == []


@pytest.mark.parametrize("actions", [[], ["view", "download", "upload", "view_audit"]], ids=["none", "all others"])
def test_who_may_not_is_refused_without_a_call(
    orthanc: LocalOrthanc, proxy: DeleteProxy, settings: Settings, transport: GraphQL | REST, actions: list[str]
) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = actions
    places: list[Place] = [(1,), (1, 1), (1, 1, 1), (1, 1, 1, 1)]
    for place in places:
        answer = transport(*_named(place))
        assert answer.code == "UNAUTHENTICATED"
        assert answer.status == (200 if isinstance(transport, GraphQL) else 401)
        assert transport(one(place).level, UNKNOWN) == answer
        assert transport(one(place).level, "no id") == answer
    assert proxy.requests == []
    assert [row.outcome for row in rows()] == ["DENIED"] * 12
    assert {row.event for row in rows()} == {"DELETION"}
    assert rows()[0] == Row(
        "DENIED", {}, frozenset(), "{}/{}".format(*_named((1,))), operation(transport, (1,)), "UNAUTHENTICATED"
    )


def test_who_may_not_is_refused_a_dry_run_too(proxy: DeleteProxy, settings: Settings) -> None:
    settings.ORTHANC_ANONYMOUS_ACTIONS = ["view"]
    assert GraphQL()(*_named((1,)), dryRun=True).code == "UNAUTHENTICATED"
    assert proxy.requests == []
    [row] = rows()
    assert (row.outcome, row.event, row.error_code) == ("DENIED", "ACCESSED", "UNAUTHENTICATED")


def test_what_went_is_told_though_its_outcome_can_not_be_written(
    orthanc: LocalOrthanc, proxy: DeleteProxy, transport: GraphQL | REST, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The intention stays, without an outcome."""

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    proxy.on_delete = lambda: monkeypatch.setattr(AuditSubject.objects, "bulk_create", full)
    answer = transport(*_named((2,)))
    monkeypatch.undo()
    assert answer.deleted == (one((2,)),)
    assert [row.outcome for row in rows()] == ["INTENDED"]


def _named(place: Place) -> tuple[str, str]:
    return one(place).level, one(place).orthanc_id
