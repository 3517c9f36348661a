"""`RequestContext`: reads need an entered context, so that no transport can bypass the audit log."""

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
    """Let storing an audit event fail."""

    def fail(**_: object) -> None:
        raise GatewayUnavailable("The disk is full.")

    monkeypatch.setattr(AuditEvent.objects, "create", fail)


def audited_events() -> list[tuple[str, str, str, str]]:
    return list(AuditEvent.objects.order_by("pk").values_list("event", "operation", "outcome", "error_code"))


def test_read_in_a_context_that_was_not_entered_is_an_error(context: RequestContext) -> None:
    with pytest.raises(RuntimeError, match="Enter the RequestContext"), audited_read(context):
        pytest.fail("the body of the context manager ran")


def test_read_in_a_context_that_was_exited_is_an_error(context: RequestContext) -> None:
    with context:
        pass
    with pytest.raises(RuntimeError, match="Enter the RequestContext"), audited_read(context):
        pytest.fail("the body of the context manager ran")
    assert audited_events() == []


def test_exit_of_a_context_audits_its_reads(context: RequestContext) -> None:
    with context, audited_read(context):
        pass
    assert audited_events() == [(EventKind.ACCESSED, "patients", AuditOutcome.SUCCESS, "")]


def test_error_of_an_operation_is_audited_once(context: RequestContext) -> None:
    with pytest.raises(NotFound), context, audited_read(context):
        raise NotFound("There is no such patient.")
    assert audited_events() == [(EventKind.ACCESSED, "patients", AuditOutcome.FAILED, "NOT_FOUND")]


def test_error_before_an_operation_is_audited(context: RequestContext) -> None:
    with pytest.raises(InvalidRequest), context:
        raise InvalidRequest("The parameter patient_id is missing.")
    assert audited_events() == [(EventKind.ACCESSED, "patients", AuditOutcome.FAILED, "BAD_USER_INPUT")]


def test_read_next_to_a_change_has_a_separate_event(context: RequestContext) -> None:
    with context:
        with pytest.raises(NotFound), audited_separately(context) as separate, audited_read(separate):
            raise NotFound("There is no such study.")
        assert audited_events() == [(EventKind.ACCESSED, "patients", AuditOutcome.FAILED, "NOT_FOUND")]
    assert len(audited_events()) == 1


@pytest.mark.usefixtures("full_disk")
def test_read_that_cannot_be_audited_is_an_error(context: RequestContext) -> None:
    with pytest.raises(GatewayUnavailable, match="disk"), context, audited_read(context):
        pass


@pytest.mark.usefixtures("full_disk")
def test_error_that_cannot_be_audited_is_still_raised(context: RequestContext) -> None:
    with pytest.raises(PermissionDenied), context:
        raise PermissionDenied("You do not have permission to do this.")
