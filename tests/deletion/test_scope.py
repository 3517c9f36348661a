"""What a confined caller deletes: what the scope shows, as if there were nothing else."""

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
from tests.deletion.deleting import (
    ARCHIVE,
    Answer,
    DeleteProxy,
    One,
    Place,
    expected,
    identifiers,
    level_of,
    one,
    refill,
    resources,
    stored,
    without,
)
from tests.proxy import DROPPED, Fault, Request

pytestmark = pytest.mark.live

UNKNOWN = "01234567-89abcdef-01234567-89abcdef-01234567"
P1 = Scope(patient_ids=("P001",))
SHOWN = Scope(labels=frozenset({"shown"}))
# of the first patient, the second study is hidden from SHOWN
LABELLED: tuple[Place, ...] = ((1, 1), (3, 1), (3, 2))


def has_labels(orthanc: LocalOrthanc) -> bool:
    return bool(json.loads(ask(orthanc, "/system")).get("HasLabels"))


@pytest.fixture
def labelled(orthanc: LocalOrthanc) -> LocalOrthanc:
    """The archive with labels, where this Orthanc has them."""
    for study in LABELLED if has_labels(orthanc) else ():
        ask(orthanc, f"/studies/{one(study).orthanc_id}/labels/shown", "PUT")
    return orthanc


def confined(place: Place, scope: Scope, *, dry_run: bool = False) -> Answer:
    """Delete what is at a place, on behalf of somebody with a scope."""
    return confined_id(level_of(place), one(place).orthanc_id, scope, dry_run=dry_run)


def confined_id(level: Level, orthanc_id: str, scope: Scope, *, dry_run: bool = False) -> Answer:
    caller = Caller("kim", frozenset(Action), scope)
    try:
        with RequestContext(caller, Author("kim"), operation_name="delete") as context:
            done = delete(context, level, orthanc_id, dry_run=dry_run)
    except GatewayError as error:
        return Answer(code=error.code, message=error.message)
    assert done.dry_run is dry_run
    remaining = done.remaining_ancestor
    return Answer(
        tuple(One(each.level.path, each.orthanc_id) for each in done.deleted),
        One(remaining.level.path, remaining.orthanc_id) if remaining else None,
        done.instances_count,
    )


def not_found(level: Level) -> Answer:
    return Answer(code="NOT_FOUND", message=f"There is no such {level.value.lower()}.")


def shown_to(scope: Scope, orthanc: LocalOrthanc) -> frozenset[Place]:
    """The instances that a scope shows."""
    if scope is P1:
        return frozenset(place for place in ARCHIVE if place[0] == 1)
    return frozenset(place for place in ARCHIVE if place[:2] in LABELLED and has_labels(orthanc))


@pytest.mark.parametrize("scope", [P1, SHOWN], ids=["a patient", "a label"])
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
def test_the_archive_is_what_the_scope_shows(labelled: LocalOrthanc, scope: Scope, place: Place) -> None:
    """The rest looks as if it did not exist, and is left as it is. Without labels, a label shows nothing."""
    shown = shown_to(scope, labelled)
    visible = one(place) in resources(shown)
    said = expected(place, shown) if visible else not_found(level_of(place))
    left = ARCHIVE - (shown - without(place, shown))

    foretold = confined(place, scope, dry_run=True)
    assert stored(labelled) == resources(ARCHIVE)
    answer = confined(place, scope)

    assert foretold == answer == said
    assert stored(labelled) == resources(left)


@pytest.mark.parametrize("scope", [Scope(), P1, SHOWN], ids=["nothing", "a patient", "a label"])
def test_what_is_hidden_is_what_is_unknown(proxy: DeleteProxy, labelled: LocalOrthanc, scope: Scope) -> None:
    for place in [(2,), (2, 1), (2, 1, 1), (2, 1, 1, 1)]:
        for dry_run in (False, True):
            unknown = confined_id(level_of(place), UNKNOWN, scope, dry_run=dry_run)
            assert confined(place, scope, dry_run=dry_run) == unknown == not_found(level_of(place))
    assert proxy.deletes == []
    rows = AuditEvent.objects.filter(event="DELETION")
    assert {(row.outcome, row.error_code, str(row.counts), row.subjects.count()) for row in rows} == {
        ("FAILED", "NOT_FOUND", "{}", 0)
    }


def test_a_patient_is_never_deleted_as_a_whole(proxy: DeleteProxy, labelled: LocalOrthanc) -> None:
    """Somebody may store a hidden study of the patient just then."""
    assert confined((1,), P1) == expected((1,))
    assert sorted(proxy.deletes) == sorted(f"/studies/{one(study).orthanc_id}" for study in [(1, 1), (1, 2)])


def test_the_audit_tells_what_really_went(labelled: LocalOrthanc) -> None:
    """The patient did not, of whom a study is hidden."""
    answer = confined((1,), SHOWN)
    rows = [
        (row.outcome, row.counts, set(row.subjects.values_list("patient_id", "study_instance_uid")))
        for row in AuditEvent.objects.filter(event="DELETION").order_by("pk")
    ]
    if not has_labels(labelled):
        assert answer == not_found(Level.PATIENT)
        assert rows == [("FAILED", {}, set())]
        return
    subjects = {("P001", identifiers((1, 1))[1])}
    assert answer.deleted == (one((1,)),)
    assert rows == [
        ("INTENDED", {"patients": 1, "studies": 1, "series": 2, "instances": 5}, subjects),
        ("SUCCESS", {"studies": 1, "series": 2, "instances": 5}, subjects),
    ]


def test_the_audit_tells_that_a_patient_went_study_by_study(labelled: LocalOrthanc) -> None:
    confined((1,), P1)
    row = AuditEvent.objects.filter(event="DELETION").latest("pk")
    assert (row.outcome, row.counts) == ("SUCCESS", {"patients": 1, "studies": 2, "series": 3, "instances": 7})


class TestStudyByStudy:
    """A patient of two visible studies."""

    def test_one_that_somebody_else_deletes_meanwhile_is_not_counted(
        self, proxy: DeleteProxy, labelled: LocalOrthanc
    ) -> None:
        def once() -> None:
            proxy.on_delete = lambda: None
            ask(labelled, proxy.deletes[-1], "DELETE")

        proxy.on_delete = once
        answer = confined((1,), P1)
        assert answer.deleted == (one((1,)),)
        assert answer.instances in (5, 2)
        assert len(proxy.deletes) == 2
        row = AuditEvent.objects.filter(event="DELETION").latest("pk")
        assert (row.outcome, row.counts["studies"], row.counts["instances"]) == ("SUCCESS", 1, answer.instances)

    def test_all_that_somebody_else_deletes_meanwhile_are_not_found(
        self, proxy: DeleteProxy, labelled: LocalOrthanc
    ) -> None:
        proxy.on_delete = lambda: ask(labelled, proxy.deletes[-1], "DELETE")
        assert confined((1,), P1) == not_found(Level.PATIENT)

    def test_a_fault_in_the_middle_tells_what_went(self, proxy: DeleteProxy, labelled: LocalOrthanc) -> None:
        def second() -> None:
            proxy.fault = DROPPED if len(proxy.deletes) == 2 else Fault()

        proxy.on_delete = second
        answer = confined((1,), P1)
        assert answer.code == "ARCHIVE_UNAVAILABLE"
        assert answer.message.endswith("The resource may have been deleted nevertheless.")
        assert len(proxy.deletes) == 2
        row = AuditEvent.objects.filter(event="DELETION").latest("pk")
        assert (row.outcome, row.error_code, row.counts["studies"]) == ("FAILED", "ARCHIVE_UNAVAILABLE", 1)
        proxy.fault, proxy.on_delete = Fault(), lambda: None
        assert confined((1,), P1).deleted == (one((1,)),)
        assert stored(labelled) == resources(without((1,), ARCHIVE))


class VisibleGoesProxy(DeleteProxy):
    """Somebody else deletes what is visible of a patient when so many requests have come."""

    after = -1

    def received(self, request: Request) -> Fault:
        if len(self.requests) == self.after:
            with closing(HTTPConnection("127.0.0.1", self.target)) as orthanc:
                orthanc.request("DELETE", f"/studies/{one((1, 1)).orthanc_id}")
                assert orthanc.getresponse().status == 200
        return super().received(request)


def test_a_hidden_study_stays_when_the_visible_one_goes_meanwhile(labelled: LocalOrthanc, settings: Settings) -> None:
    """At whichever call: the patient as a whole is not the caller's to delete."""
    for after in range(8):
        refill(labelled)
        if has_labels(labelled):
            ask(labelled, f"/studies/{one((1, 1)).orthanc_id}/labels/shown", "PUT")
        with VisibleGoesProxy(labelled.port) as proxy:
            settings.ORTHANC_BASE_URL = proxy.base_url
            # learns what this Orthanc can do
            confined_id(Level.PATIENT, UNKNOWN, SHOWN)
            proxy.requests.clear()
            proxy.after = after
            answer = confined((1,), SHOWN)
            assert one((1, 2)) in stored(labelled)
            assert not [path for path in proxy.deletes if path.startswith("/patients/")]
            assert answer.code == "NOT_FOUND" or (has_labels(labelled) and answer.deleted == (one((1,)),))
