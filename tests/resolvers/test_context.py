"""A request's context: reading needs one that is entered, so that no transport can forget the audit log."""

import pytest

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.audit.events import Author
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.errors import GatewayUnavailable, InvalidRequest, NotFound, PermissionDenied
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.guard import audited_read, audited_separately

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def context() -> RequestContext:
    return RequestContext(Caller(actions=frozenset({Action.VIEW})), Author(), "patients")


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that stores no event."""

    def fail(**_: object) -> None:
        raise GatewayUnavailable("The disk is full.")

    monkeypatch.setattr(AuditEvent.objects, "create", fail)


def written() -> list[tuple[str, str, str, str]]:
    return list(AuditEvent.objects.order_by("pk").values_list("event", "operation", "outcome", "error_code"))


def test_a_context_that_is_not_entered_reads_nothing(context: RequestContext) -> None:
    with pytest.raises(RuntimeError, match="Enter the RequestContext"), audited_read(context):
        pytest.fail("it reads")


def test_a_context_that_was_left_reads_nothing(context: RequestContext) -> None:
    with context:
        pass
    with pytest.raises(RuntimeError, match="Enter the RequestContext"), audited_read(context):
        pytest.fail("it reads")
    assert written() == []


def test_leaving_a_context_writes_what_it_has_read(context: RequestContext) -> None:
    with context, audited_read(context):
        pass
    assert written() == [(EventKind.ACCESSED, "patients", AuditOutcome.SUCCESS, "")]


def test_an_error_of_an_operation_is_written_once(context: RequestContext) -> None:
    with pytest.raises(NotFound), context, audited_read(context):
        raise NotFound("There is no such patient.")
    assert written() == [(EventKind.ACCESSED, "patients", AuditOutcome.FAILED, "NOT_FOUND")]


def test_an_error_before_an_operation_is_written(context: RequestContext) -> None:
    with pytest.raises(InvalidRequest), context:
        raise InvalidRequest("The parameter patient_id is missing.")
    assert written() == [(EventKind.ACCESSED, "patients", AuditOutcome.FAILED, "BAD_USER_INPUT")]


def test_what_is_read_beside_a_change_has_an_event_of_its_own(context: RequestContext) -> None:
    with context:
        with pytest.raises(NotFound), audited_separately(context) as separate, audited_read(separate):
            raise NotFound("There is no such study.")
        assert written() == [(EventKind.ACCESSED, "patients", AuditOutcome.FAILED, "NOT_FOUND")]
    assert len(written()) == 1


@pytest.mark.usefixtures("full_disk")
def test_what_cannot_be_audited_is_not_answered(context: RequestContext) -> None:
    with pytest.raises(GatewayUnavailable, match="disk"), context, audited_read(context):
        pass


@pytest.mark.usefixtures("full_disk")
def test_an_error_that_cannot_be_audited_is_answered_all_the_same(context: RequestContext) -> None:
    with pytest.raises(PermissionDenied), context:
        raise PermissionDenied("You do not have permission to do this.")
