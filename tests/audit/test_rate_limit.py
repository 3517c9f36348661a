"""The rate limit of rejections: nobody without permission can fill the audit log, which counts what was left out."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from orthancproxy.audit import events
from orthancproxy.audit.events import Author, write
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.audit.rate_limit import RefusalRateLimit
from tests.manual_clock import ManualClock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """A clock that the test advances; the limits are 3 rows for a caller, and 5 for all anonymous ones."""
    clock = ManualClock()
    limit = RefusalRateLimit(max_rows_per_caller=3, max_rows=5, clock=clock)
    monkeypatch.setattr(events, "refusal_rate_limit", limit)
    return clock


def audit_rejection(address: str = "192.0.2.7", username: str = "", event: EventKind = EventKind.ACCESSED) -> bool:
    """Audit a rejected request; return whether a row was written."""
    author = Author(username, address=address)
    return write(author, event, "patients", AuditOutcome.DENIED, error_code="UNAUTHENTICATED") is not None


@pytest.mark.django_db(transaction=True)
class TestRefusalRateLimit:
    def test_one_address_leaves_room_for_others(self, clock: ManualClock) -> None:
        assert [audit_rejection() for _ in range(50)] == [True] * 3 + [False] * 47
        assert [audit_rejection("192.0.2.8") for _ in range(50)] == [True] * 2 + [False] * 48
        assert not audit_rejection("192.0.2.9")
        assert AuditEvent.objects.count() == 5

    def test_next_row_counts_the_rejections_that_were_left_out(self, clock: ManualClock) -> None:
        assert sum(audit_rejection() for _ in range(50)) == 3
        clock.now += 61
        assert [audit_rejection(), audit_rejection()] == [True, True]
        assert [row.counts for row in AuditEvent.objects.order_by("pk")] == [{}, {}, {}, {"refusalsLeftOut": 47}, {}]

    def test_failed_logins_are_limited_whichever_username_they_claim(self, clock: ManualClock) -> None:
        assert sum(audit_rejection(username=f"user{number}", event=EventKind.LOGIN) for number in range(50)) == 3

    def test_users_have_rows_of_their_own_and_a_count_of_their_own(self, clock: ManualClock) -> None:
        for _ in range(50):
            audit_rejection()
        for address in ("192.0.2.7", "192.0.2.8"):
            written = [audit_rejection(address, username="nurse") for _ in range(10)]
            assert written == ([True] * 3 + [False] * 7 if address == "192.0.2.7" else [False] * 10)
        assert audit_rejection(username="doctor")
        clock.now += 61
        assert audit_rejection(username="nurse")
        assert audit_rejection()
        assert audit_rejection(username="doctor")
        rows = AuditEvent.objects.order_by("-pk")[:3]
        assert [(row.username, row.counts) for row in reversed(rows)] == [
            ("nurse", {"refusalsLeftOut": 17}),
            ("", {"refusalsLeftOut": 47}),
            ("doctor", {}),
        ]

    def test_other_outcomes_are_always_audited(self, clock: ManualClock) -> None:
        for _ in range(50):
            audit_rejection()
            audit_rejection(username="nurse")
        before = AuditEvent.objects.count()
        for author in (Author(), Author("nurse")):
            assert write(author, EventKind.ACCESSED, "patients", AuditOutcome.SUCCESS)
            assert write(author, EventKind.DELETION, "delete", AuditOutcome.FAILED, error_code="ARCHIVE_UNAVAILABLE")
        assert AuditEvent.objects.count() == before + 4

    def test_an_intention_has_an_outcome_whatever_it_is(self, clock: ManualClock) -> None:
        while audit_rejection(username="nurse"):
            pass
        intention = write(Author("nurse"), EventKind.ANONYMIZED, "anonymizeStudy", AuditOutcome.INTENDED)
        failed = {"error_code": "BAD_USER_INPUT", "intention": intention}
        assert write(Author("nurse"), EventKind.ANONYMIZED, "anonymizeStudy", AuditOutcome.FAILED, **failed)  # type: ignore[arg-type]

    @pytest.mark.usefixtures("clock")
    def test_rejections_over_the_limit_get_the_same_response(self, settings: Settings) -> None:
        settings.ORTHANC_ANONYMOUS_ACTIONS = []
        for _ in range(20):
            rest = Client().get("/api/orthanc/patients/")
            assert (rest.status_code, rest.json()["code"]) == (401, "UNAUTHENTICATED")
            query = {"query": "{ patients { totalCount } }"}
            graphql = Client().post("/graphql/", query, content_type="application/json")
            assert graphql.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
        assert AuditEvent.objects.count() == 3

    @pytest.mark.usefixtures("clock")
    @pytest.mark.parametrize("query", ["{ patients { totalCount } }", "{ viewer { username } }", "{ nothing }", "{"])
    def test_user_without_permission_writes_three_rows_at_most(self, query: str) -> None:
        client, user = Client(), User.objects.create_user("nobody")
        client.force_login(user, backend="orthancproxy.project.login.PasswordBackend")
        before = AuditEvent.objects.count()
        for _ in range(20):
            client.post("/graphql/", {"query": query}, content_type="application/json")
            client.get("/api/orthanc/patients/")
        assert AuditEvent.objects.count() <= before + 3
