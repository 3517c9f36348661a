"""A request whose client has gone away is audited as such."""

import pytest

from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller
from orthancproxy.audit.events import Author
from orthancproxy.audit.models import AuditEvent
from orthancproxy.errors import ClientDisconnected
from orthancproxy.orthanc.deadline import Deadline, clip_to_deadline, deadline_scope
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.resolvers.hierarchy import get_server
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc


def test_abandoned_deadline_has_an_error_of_its_own() -> None:
    deadline = Deadline(60)
    deadline.abandon()
    with deadline_scope(deadline), pytest.raises(ClientDisconnected):
        clip_to_deadline(1)


@pytest.mark.live
@pytest.mark.once
@pytest.mark.django_db(transaction=True)
def test_query_of_a_client_that_left_is_audited_as_such(archive: LocalOrthanc, use_orthanc: UseOrthanc) -> None:
    use_orthanc(archive)
    caller = Caller("nurse", frozenset({Action.VIEW}))
    context = RequestContext(caller, Author("nurse"), "server")
    context.deadline.abandon()
    with pytest.raises(ClientDisconnected), context:
        get_server(context)
    [event] = AuditEvent.objects.all()
    assert (event.username, event.outcome, event.error_code) == ("nurse", "FAILED", "CLIENT_DISCONNECTED")
