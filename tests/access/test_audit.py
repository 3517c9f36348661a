"""The audit events of requests, and requests that cannot be audited."""

from collections.abc import Callable
from typing import Any

import pytest

from orthancproxy.audit import events
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent, Viewing
from tests.access.archive import SmallArchive, Target
from tests.access.callers import CallerClient
from tests.access.cases import CASES, DEFAULT_TARGET
from tests.corpus import ROOT
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

Fail = Callable[..., None]
MAIN_CASES = {name: one for name, one in CASES.items() if not one.is_variant}


class TestFailingAudit:
    @pytest.fixture
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> Fail:
        """Return a function that lets all writes of audit events fail, or all but those of intents."""
        write = events.write

        def fail(*, except_intents: bool = False) -> None:
            def failing_write(author: Any, event: Any, operation: str, outcome: Any, **more: Any) -> AuditEvent | None:
                if except_intents and outcome == AuditOutcome.INTENDED:
                    return write(author, event, operation, outcome, **more)
                raise OSError("the disk is full")

            monkeypatch.setattr(events, "write", failing_write)
            # that of a viewing has been written
            Viewing.objects.all().delete()

        return fail

    @pytest.mark.parametrize("transport", ["GraphQL", "REST"])
    def test_operation_that_cannot_be_audited_is_not_carried_out(
        self,
        transport: str,
        failing: Fail,
        callers: dict[str, CallerClient],
        archive: SmallArchive,
        proxy: RecordingProxy,
    ) -> None:
        before = archive.state()
        rows = AuditEvent.objects.count()
        failing()
        cases = {name: one for name, one in MAIN_CASES.items() if one.is_graphql == (transport == "GraphQL")}
        for name, case in cases.items():
            answer = case.send(callers["Manager (session)"])
            assert (answer.status, answer.code) == (200 if case.is_graphql else 500, "INTERNAL"), name
            assert b"P00" not in answer.content, name
            assert ROOT.encode() not in answer.content, name
            assert b"disk" not in answer.content, name
        assert archive.state() == before
        # answers of another server to a search are deleted, whatever is audited
        changes = [one for one in proxy.requests if one.method == "DELETE" or one.path == "/instances"]
        assert all(one.path.startswith("/queries/") for one in changes)
        assert AuditEvent.objects.count() == rows

    @pytest.mark.parametrize("name", [name for name, one in MAIN_CASES.items() if one.operation.changes])
    def test_change_whose_outcome_cannot_be_audited_still_succeeds(
        self, name: str, failing: Fail, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        MAIN_CASES[name].prepare(archive)
        before = archive.state()
        failing(except_intents=True)
        answer = MAIN_CASES[name].send(callers["Manager (API token)"])
        if MAIN_CASES[name].needs_labels and not archive.has_labels:
            assert answer.codes
            assert archive.state() == before
            return
        assert answer.status == (200 if answer.content else 204)
        assert not answer.content or "errors" not in answer.json
        assert archive.state() != before
        [intention] = answer.audit_events
        assert intention.outcome == AuditOutcome.INTENDED
        assert not AuditEvent.objects.filter(intention=intention).exists()


class TestAuditEvents:
    def test_request_with_several_reads_has_one_event(
        self, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        query = """query($id: ID!) {
            patients { nodes { id studies { id } } } studies { nodes { id } } server { version } viewer { username }
            one: study(orthancId: $id) { id }
        }"""
        answer = callers["Manager (session)"].graphql(query, {"id": DEFAULT_TARGET.ids["studies"]})
        assert answer.data
        [row] = answer.audit_events
        # in the order in which the threads ran them
        assert set(row.operation.split(", ")) == {"patients", "studies", "server", "viewer", "study"}
        assert row.counts == {"patients": 3, "studies": 6 + 6 + 1}
        assert row.subjects.count() == 6

    def test_failed_reads_of_a_request_have_an_event_besides_that_of_the_others(
        self, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        answer = callers["Viewer (API token)"].graphql(
            '{ patients { nodes { patientId } } series(orthancId: "junk") { id } x: node(id: "junk") { id } }'
        )
        assert answer.codes == ["BAD_USER_INPUT"] * 2
        read, failed = answer.audit_events
        assert (read.operation, read.outcome, read.counts) == ("patients", AuditOutcome.SUCCESS, {"patients": 3})
        assert (failed.operation, failed.outcome) == ("series, x", AuditOutcome.FAILED)
        assert not failed.subjects.exists()

    def test_request_that_also_reads_the_audit_log_has_two_events(
        self, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        query = "{ patients { nodes { id } } auditEvents { totalCount } }"
        manager, viewer = callers["Manager (access token)"], callers["Viewer (access token)"]
        assert {row.event: row.outcome for row in manager.graphql(query).audit_events} == {
            EventKind.ACCESSED: AuditOutcome.SUCCESS,
            EventKind.AUDIT_LOG_USED: AuditOutcome.SUCCESS,
        }
        answer = viewer.graphql(query)
        assert {row.event: row.outcome for row in answer.audit_events} == {
            EventKind.ACCESSED: AuditOutcome.SUCCESS,
            EventKind.AUDIT_LOG_USED: AuditOutcome.DENIED,
        }

    def test_each_deletion_of_a_request_has_an_intent_and_an_outcome(
        self, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        ids = [Target.at(1, 1, 1, number).ids["instances"] for number in (1, 2)]
        first, second = (f'deleteInstance(orthancId: "{one}") {{ deletedIds }}' for one in ids)
        answer = callers["Manager (session)"].graphql(f"mutation {{ first: {first} second: {second} again: {second} }}")
        assert answer.codes == ["NOT_FOUND"]
        assert [(row.outcome, row.target) for row in answer.audit_events] == [
            (AuditOutcome.INTENDED, f"instances/{ids[0]}"),
            (AuditOutcome.SUCCESS, f"instances/{ids[0]}"),
            (AuditOutcome.INTENDED, f"instances/{ids[1]}"),
            (AuditOutcome.SUCCESS, f"instances/{ids[1]}"),
            (AuditOutcome.FAILED, f"instances/{ids[1]}"),
        ]
        one, done, other, too, failed = answer.audit_events
        assert (done.intention, too.intention, failed.intention) == (one, other, None)

    def test_read_of_the_remaining_ancestor_of_a_deletion_has_an_event(
        self, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        query = """mutation($id: ID!) { deleteSeries(orthancId: $id) {
            remainingAncestor { id ... on Study { studyInstanceUID } } } }"""
        answer = callers["Manager (session)"].graphql(query, {"id": DEFAULT_TARGET.ids["series"]})
        remaining = answer.data["deleteSeries"]["remainingAncestor"]
        assert remaining["studyInstanceUID"] == DEFAULT_TARGET.study_uid
        *_, read = answer.audit_events
        assert [row.event for row in answer.audit_events] == [
            EventKind.DELETION,
            EventKind.DELETION,
            EventKind.ACCESSED,
        ]
        assert list(read.subjects.values_list("study_instance_uid", flat=True)) == [DEFAULT_TARGET.study_uid]

    def test_invalid_request_has_one_event(self, callers: dict[str, CallerClient], proxy: RecordingProxy) -> None:
        viewer = callers["Viewer (session)"]
        for answer in (viewer.graphql("{ patient { id } }"), viewer.rest("studies/")):
            [row] = answer.audit_events
            assert (row.event, row.outcome, row.error_code) == (
                EventKind.ACCESSED,
                AuditOutcome.FAILED,
                "BAD_USER_INPUT",
            )
        assert proxy.requests == []

    def test_manager_reads_audit_events(self, callers: dict[str, CallerClient], archive: SmallArchive) -> None:
        Viewing.objects.all().delete()
        done = callers["Viewer (access token)"].rest(f"instances/{DEFAULT_TARGET.ids['instances']}/file/")
        query = """query($id: String!) { auditEvents(filter: {requestId: $id}) { totalCount nodes {
            event operation outcome username authentication address requestId target counts
            subjects { patientId studyInstanceUID } } } }"""
        for authentication in ("session", "API token", "access token"):
            answer = callers[f"Manager ({authentication})"].graphql(query, {"id": done.request_id})
            assert answer.data["auditEvents"] == {
                "totalCount": 1,
                "nodes": [
                    {
                        "event": "TRANSFERRED",
                        "operation": "GET /api/orthanc/instances/{orthanc_id}/file/",
                        "outcome": "INTENDED",
                        "username": "oidc-Viewer-(access-token)",
                        "authentication": "OPENID_CONNECT",
                        "address": "127.0.0.1",
                        "requestId": done.request_id,
                        "target": f"series/{DEFAULT_TARGET.ids['series']}",
                        "counts": {"instances": 1},
                        "subjects": [
                            {"patientId": DEFAULT_TARGET.patient_id, "studyInstanceUID": DEFAULT_TARGET.study_uid}
                        ],
                    }
                ],
            }
            [row] = answer.audit_events
            assert (row.event, row.outcome) == (EventKind.AUDIT_LOG_USED, AuditOutcome.SUCCESS)
