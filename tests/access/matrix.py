"""One operation of one caller: what they get, what is written down of it, and whether the archive is touched."""

from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from orthancproxy.uploads.models import UploadBatch
from tests.access.archive import Archive
from tests.access.callers import ADDRESS, Answer, Caller
from tests.access.cases import HERE, MOUNT, Case, Route, Subjects
from tests.corpus import ROOT
from tests.proxy import RecordingProxy
from tests.uploads.upload_client import GRAPHQL_PATH

Event, Outcome = EventKind, AuditOutcome
STATUSES = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "NOT_FOUND": 404}


def assert_cell(case: Case, caller: Caller, stored: Archive, proxy: RecordingProxy, before: object) -> None:
    """Let somebody do something, and look at all that comes of it; `before` is the state of the archive."""
    proxy.requests.clear()
    written, batches = AuditEvent.objects.count(), UploadBatch.objects.count()
    answer = case.send(caller)
    rows = answer.rows
    assert AuditEvent.objects.count() == written + len(rows), "there are rows without the id of the request"
    asked = proxy.lines()
    may = case.is_permitted(caller)
    if caller.refusal:
        assert_refused(answer, caller.refusal)
        assert_logged_failure(answer, case)
    elif not may:
        code = "UNAUTHENTICATED" if not caller.username else "FORBIDDEN"
        assert_denied(answer, case, code)
        [row] = rows
        assert_row(row, case, caller, Outcome.DENIED, error_code=code)
    else:
        assert_done(answer, case)
        assert_recorded(answer, case, caller)
    if not may:
        assert asked == []
    is_changed = stored.state() != before
    assert is_changed == (may and case.operation.changes)
    assert UploadBatch.objects.count() - batches == (may and case.uploads)


def assert_refused(answer: Answer, reason: str) -> None:
    """A token that is not accepted: HTTP 401 with the reason, in the form of the transport."""
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


def assert_logged_failure(answer: Answer, case: Case) -> None:
    """What is written down of a token that is not accepted: that somebody failed to log in, and no name."""
    [row] = answer.rows
    assert (row.event, row.outcome, row.error_code) == (Event.LOGIN, Outcome.FAILED, "UNAUTHENTICATED")
    assert (row.username, row.authentication, row.address) == ("", "NONE", ADDRESS)
    assert (row.target, row.counts, list(row.subjects.all()), row.intention) == ("", {}, [], None)
    method, path = row.operation.split(" ")
    if isinstance(case, Route):
        address = case.address.format_map(HERE.variables).partition("?")[0]
        assert (method, path) == (case.method, f"{MOUNT}{address}")
    else:
        assert (method, path) == ("POST", GRAPHQL_PATH)


def assert_denied(answer: Answer, case: Case, code: str) -> None:
    """The error in the form of the transport, and nothing of the archive."""
    assert b"P00" not in answer.content
    assert ROOT.encode() not in answer.content
    if case.is_graphql:
        # a form is refused before it is read
        assert (answer.status, answer.codes) == (STATUSES[code] if case.uploads else 200, [code])
        assert not any((answer.json.get("data") or {}).values())
        return
    assert answer.status == STATUSES[code]
    assert ("WWW-Authenticate" in answer.headers) == (code == "UNAUTHENTICATED")
    if answer.content:
        assert set(answer.json) == {"detail", "code"}
        assert answer.json["code"] == code


def assert_done(answer: Answer, case: Case) -> None:
    assert answer.status == 200, answer.content
    if case.is_graphql:
        assert all(answer.data.values())


def assert_recorded(answer: Answer, case: Case, caller: Caller) -> None:
    """One row for what was read; for what was changed, one before and one after."""
    subjects, counts = case.audited_subjects(caller), case.counts
    if not case.operation.changes:
        [row] = answer.rows
        assert_row(row, case, caller, Outcome.SUCCESS, subjects=subjects, counts=counts)
        return
    intended, done = answer.rows
    # how many files of an upload can be stored is not known before
    announced = {} if case.uploads else counts
    assert_row(intended, case, caller, Outcome.INTENDED, subjects=subjects, counts=announced)
    assert_row(done, case, caller, Outcome.SUCCESS, subjects=subjects, counts=counts, intention=intended)


def assert_row(
    row: AuditEvent,
    case: Case,
    caller: Caller,
    outcome: AuditOutcome,
    *,
    error_code: str = "",
    subjects: Subjects = frozenset(),
    counts: object = None,
    intention: AuditEvent | None = None,
) -> None:
    assert (row.username, row.authentication, row.address) == caller.authorship
    assert (row.event, row.operation) == (case.operation.kind, case.audited_name(HERE))
    assert (row.outcome, row.error_code) == (outcome, error_code)
    assert row.target == case.audited_target(HERE)
    assert row.counts == (counts or {})
    found = list(row.subjects.values_list("patient_id", "study_instance_uid"))
    assert (len(found), frozenset(found)) == (len(subjects), subjects)
    assert row.intention == intention
    assert row.duration_ms >= 0
