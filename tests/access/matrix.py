"""Assertions about one operation of one caller: the response, its audit events, and the state of the archive."""

from typing import Any

from django.utils import timezone

from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent, Viewing
from orthancproxy.audit.viewings import viewings
from orthancproxy.resolvers.operations import STORE, TRASH, UPLOAD
from orthancproxy.uploads.models import UploadBatch
from tests.access.archive import SmallArchive
from tests.access.callers import ADDRESS, CallerClient, GatewayResponse
from tests.access.cases import DEFAULT_TARGET, AccessCase, RouteCase, Subjects
from tests.corpus import ROOT
from tests.proxy import RecordingProxy
from tests.uploads.upload_client import GRAPHQL_PATH

STATUSES = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "NOT_FOUND": 404}


def assert_access(
    case: AccessCase, caller: CallerClient, archive: SmallArchive, proxy: RecordingProxy, before: object
) -> None:
    """Send a case as a caller, and check all of its effects; `before` is the state of the archive."""
    if case.prepare(archive):
        before = archive.state()
    proxy.requests.clear()
    # each picture is the first of its viewing
    Viewing.objects.all().delete()
    event_count, upload_count = AuditEvent.objects.count(), UploadBatch.objects.count()
    answer = case.send(caller)
    events = answer.audit_events
    assert AuditEvent.objects.count() == event_count + len(events), "there are events without the request id"
    orthanc_requests = proxy.lines()
    is_permitted = case.is_permitted(caller)
    if caller.rejection:
        assert_rejected(answer, caller.rejection)
        assert_rejection_audited(answer, case)
    elif not is_permitted:
        code = "UNAUTHENTICATED" if not caller.username else "FORBIDDEN"
        assert_denied(answer, case, code)
        [event] = events
        target = case.named_target(DEFAULT_TARGET)
        assert_event(event, case, caller, AuditOutcome.DENIED, error_code=code, target=target)
    elif case.needs_labels and not archive.has_labels:
        assert_unsupported(answer, case, caller)
        is_permitted = False
    else:
        assert_succeeded(answer, case)
        assert_success_audited(answer, case, caller)
    if not case.is_permitted(caller):
        assert orthanc_requests == []
    is_changed = archive.state() != before
    assert is_changed == (is_permitted and case.operation.changes)
    assert UploadBatch.objects.count() - upload_count == (is_permitted and case.uploads)


def assert_rejected(answer: GatewayResponse, reason: str) -> None:
    """Assert HTTP 401 with the reason, in the form of the transport."""
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="orthanc"'
    assert answer.headers["Content-Type"] == "application/json"
    if not answer.content:
        return  # HEAD
    if "errors" in answer.json:
        [error] = answer.json["errors"]
        assert error["message"] == reason
        assert error["extensions"] == {"code": "UNAUTHENTICATED", "requestId": answer.request_id}
        assert "data" not in answer.json
    else:
        assert answer.json == {"detail": reason, "code": "UNAUTHENTICATED"}


def assert_rejection_audited(answer: GatewayResponse, case: AccessCase) -> None:
    """Assert that a rejected token has one event: a failed login without a username."""
    [event] = answer.audit_events
    assert (event.event, event.outcome, event.error_code) == (EventKind.LOGIN, AuditOutcome.FAILED, "UNAUTHENTICATED")
    assert (event.username, event.authentication, event.address) == ("", "NONE", ADDRESS)
    assert (event.target, event.counts, list(event.subjects.all()), event.intention) == ("", {}, [], None)
    method, path = event.operation.split(" ")
    if isinstance(case, RouteCase):
        address = case.address.format_map(DEFAULT_TARGET.variables).partition("?")[0]
        assert (method, path) == (case.method, f"{case.mount}{address}")
    else:
        assert (method, path) == ("POST", GRAPHQL_PATH)


def assert_denied(answer: GatewayResponse, case: AccessCase, code: str) -> None:
    """Assert an error in the form of the transport, and no data of the archive."""
    assert b"P00" not in answer.content
    assert ROOT.encode() not in answer.content
    if case.is_graphql:
        # a multipart form is rejected before it is parsed
        assert (answer.status, answer.codes) == (STATUSES[code] if case.uploads else 200, [code])
        assert not any((answer.json.get("data") or {}).values())
        return
    assert answer.status == STATUSES[code]
    assert ("WWW-Authenticate" in answer.headers) == (code == "UNAUTHENTICATED")
    if answer.content:
        assert set(answer.json) == {"detail", "code"}
        assert answer.json["code"] == code


def assert_succeeded(answer: GatewayResponse, case: AccessCase) -> None:
    assert answer.status == case.status, answer.content
    if case.is_graphql:
        assert all(answer.data.values())


def assert_unsupported(answer: GatewayResponse, case: AccessCase, caller: CallerClient) -> None:
    """Assert an invalid request, with an event of its own."""
    assert (answer.status, answer.codes) == (200, ["BAD_USER_INPUT"])
    [event] = answer.audit_events
    subjects = case.subjects if case.operation.changes and case.operation not in TRASH.values() else frozenset()
    assert_event(event, case, caller, AuditOutcome.FAILED, error_code="BAD_USER_INPUT", subjects=subjects)


def assert_success_audited(answer: GatewayResponse, case: AccessCase, caller: CallerClient) -> None:
    """Assert one event for a read, none where no permission or no user is involved; two for a change or a viewing."""
    if case.operation.action is None and not (caller.username and caller.actions):
        assert answer.audit_events == []
        return
    subjects, counts = case.audited_subjects(caller), case.counts
    if case.operation.viewed:
        [intended] = answer.audit_events
        Viewing.objects.update(closes_at=timezone.now())
        viewings.close_expired()
        target = f"series/{DEFAULT_TARGET.ids['series']}"
        about: dict[str, Any] = {"subjects": subjects, "counts": counts, "target": target}
        assert_event(intended, case, caller, AuditOutcome.INTENDED, **about)
        assert_event(intended.conclusion, case, caller, AuditOutcome.SUCCESS, **about, intention=intended)
        return
    if case.operation.is_job:
        # nobody carries it out
        [intended] = answer.audit_events
        assert_event(intended, case, caller, AuditOutcome.INTENDED, subjects=subjects, counts=counts)
        return
    if not case.operation.changes:
        [event] = answer.audit_events
        assert_event(event, case, caller, AuditOutcome.SUCCESS, subjects=subjects, counts=counts)
        return
    intended, done = answer.audit_events
    # the counts of an upload are unknown before its files are stored
    announced = {} if case.operation in (UPLOAD, STORE) else counts
    assert_event(intended, case, caller, AuditOutcome.INTENDED, subjects=subjects, counts=announced)
    assert_event(done, case, caller, AuditOutcome.SUCCESS, subjects=subjects, counts=counts, intention=intended)


def assert_event(
    event: AuditEvent,
    case: AccessCase,
    caller: CallerClient,
    outcome: AuditOutcome,
    *,
    error_code: str = "",
    subjects: Subjects = frozenset(),
    counts: object = None,
    intention: AuditEvent | None = None,
    target: str = "",
) -> None:
    assert (event.username, event.authentication, event.address) == caller.audit_author
    assert (event.event, event.operation) == (case.operation.kind, case.audited_name(DEFAULT_TARGET))
    assert (event.outcome, event.error_code) == (outcome, error_code)
    assert event.target == (target or case.audited_target(DEFAULT_TARGET))
    assert event.counts == (counts or {})
    found = list(event.subjects.values_list("patient_id", "study_instance_uid"))
    assert (len(found), frozenset(found)) == (len(subjects), subjects)
    assert event.intention == intention
    assert event.duration_ms >= 0
