"""Strangers fill the audit no faster than it takes, and it tells how much was left out."""

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.audit import events
from orthancproxy.audit.events import Author, write
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.audit.rate_limit import RefusalRateLimit

Event, Outcome = EventKind, AuditOutcome


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test moves, and limits of 3 rows for an address and 5 in all."""
    clock = Clock()
    limit = RefusalRateLimit(max_rows_per_address=3, max_rows=5, clock=clock)
    monkeypatch.setattr(events, "refusal_rate_limit", limit)
    return clock


def refused(address: str = "192.0.2.7", username: str = "", event: EventKind = Event.ACCESSED) -> bool:
    """Be refused; return whether it was written down."""
    author = Author(username, address=address)
    return write(author, event, "patients", Outcome.DENIED, error_code="UNAUTHENTICATED") is not None


@pytest.mark.django_db(transaction=True)
class TestRefusals:
    def test_of_one_address_leave_room_for_others(self, clock: Clock) -> None:
        assert [refused() for _ in range(50)] == [True] * 3 + [False] * 47
        assert [refused("192.0.2.8") for _ in range(50)] == [True] * 2 + [False] * 48
        assert not refused("192.0.2.9")
        assert AuditEvent.objects.count() == 5

    def test_that_are_left_out_are_counted(self, clock: Clock) -> None:
        assert sum(refused() for _ in range(50)) == 3
        clock.now += 61
        assert [refused(), refused()] == [True, True]
        assert [row.counts for row in AuditEvent.objects.order_by("pk")] == [{}, {}, {}, {"refusalsLeftOut": 47}, {}]

    def test_of_logins_count_whoever_they_name(self, clock: Clock) -> None:
        assert sum(refused(username=f"user{number}", event=Event.LOGIN) for number in range(50)) == 3

    def test_of_users_and_what_is_done_are_always_written_down(self, clock: Clock) -> None:
        for _ in range(50):
            refused()
        before = AuditEvent.objects.count()
        assert refused(username="nurse")
        assert write(Author(), Event.ACCESSED, "patients", Outcome.SUCCESS)
        assert write(Author(), Event.DELETION, "delete", Outcome.FAILED, error_code="ARCHIVE_UNAVAILABLE")
        assert AuditEvent.objects.count() == before + 3

    @pytest.mark.usefixtures("clock")
    def test_are_answered_all_the_same(self, settings: Settings) -> None:
        settings.ORTHANC_ANONYMOUS_ACTIONS = []
        for _ in range(20):
            answer = Client().get("/api/orthanc/patients/")
            assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
            told = Client().post("/graphql/", {"query": "{ patients { totalCount } }"}, content_type="application/json")
            assert told.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert AuditEvent.objects.count() == 3
