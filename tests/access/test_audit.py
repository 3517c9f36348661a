"""What is written down of what kind of request, and what happens when nothing can be written down."""

from collections.abc import Callable
from typing import Any

import pytest

from orthancproxy.audit import events
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.audit.models import AuditEvent
from tests.access.archive import Archive, Target
from tests.access.callers import Caller
from tests.access.cases import CASES, HERE
from tests.corpus import ROOT
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

Event, Outcome = EventKind, AuditOutcome
Fail = Callable[..., None]
MAIN = {name: one for name, one in CASES.items() if not one.is_variant}


class TestUnwritableAudit:
    @pytest.fixture
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> Fail:
        """Let nothing be written down, or nothing but what is intended."""
        write = events.write

        def fail(*, but_intentions: bool = False) -> None:
            def failing(author: Any, event: Any, operation: str, outcome: Any, **more: Any) -> AuditEvent | None:
                if but_intentions and outcome == Outcome.INTENDED:
                    return write(author, event, operation, outcome, **more)
                raise OSError("the disk is full")

            monkeypatch.setattr(events, "write", failing)

        return fail

    @pytest.mark.parametrize("way", ["GraphQL", "REST"])
    def test_nothing_is_done_and_nothing_is_told(
        self, way: str, failing: Fail, callers: dict[str, Caller], stored: Archive, proxy: RecordingProxy
    ) -> None:
        before = stored.state()
        rows = AuditEvent.objects.count()
        failing()
        cases = {name: one for name, one in MAIN.items() if one.is_graphql == (way == "GraphQL")}
        for name, case in cases.items():
            answer = case.send(callers["Manager (session)"])
            assert (answer.status, answer.code) == (200 if case.is_graphql else 500, "INTERNAL"), name
            assert b"P00" not in answer.content, name
            assert ROOT.encode() not in answer.content, name
            assert b"disk" not in answer.content, name
        assert stored.state() == before
        assert not any(request.method == "DELETE" or request.path == "/instances" for request in proxy.requests)
        assert AuditEvent.objects.count() == rows

    @pytest.mark.parametrize("name", [name for name, one in MAIN.items() if one.operation.changes])
    def test_what_is_done_is_told_also_when_its_end_cannot_be_written(
        self, name: str, failing: Fail, callers: dict[str, Caller], stored: Archive
    ) -> None:
        before = stored.state()
        failing(but_intentions=True)
        answer = MAIN[name].send(callers["Manager (API token)"])
        assert answer.status == 200
        assert "errors" not in answer.json
        assert stored.state() != before
        [intention] = answer.rows
        assert intention.outcome == Outcome.INTENDED
        assert not AuditEvent.objects.filter(intention=intention).exists()


class TestRows:
    def test_a_request_that_reads_has_one(self, callers: dict[str, Caller], stored: Archive) -> None:
        query = """query($id: ID!) {
            patients { nodes { id studies { id } } } studies { nodes { id } } server { version } viewer { username }
            one: study(orthancId: $id) { id }
        }"""
        answer = callers["Manager (session)"].graphql(query, {"id": HERE.ids["studies"]})
        assert answer.data
        [row] = answer.rows
        # in the order in which threads came to them
        assert set(row.operation.split(", ")) == {"patients", "studies", "server", "viewer", "study"}
        assert row.counts == {"patients": 3, "studies": 6 + 6 + 1}
        assert row.subjects.count() == 6

    def test_what_fails_beside_it_hides_nothing_of_what_was_read(
        self, callers: dict[str, Caller], stored: Archive
    ) -> None:
        answer = callers["Viewer (API token)"].graphql(
            '{ patients { nodes { patientId } } series(orthancId: "junk") { id } x: node(id: "junk") { id } }'
        )
        assert answer.codes == ["BAD_USER_INPUT"] * 2
        read, failed = answer.rows
        assert (read.operation, read.outcome, read.counts) == ("patients", Outcome.SUCCESS, {"patients": 3})
        assert (failed.operation, failed.outcome) == ("series, x", Outcome.FAILED)
        assert not failed.subjects.exists()

    def test_one_that_reads_the_audit_too_has_two(self, callers: dict[str, Caller], stored: Archive) -> None:
        query = "{ patients { nodes { id } } auditEvents { totalCount } }"
        manager, viewer = callers["Manager (access token)"], callers["Viewer (access token)"]
        assert {row.event: row.outcome for row in manager.graphql(query).rows} == {
            Event.ACCESSED: Outcome.SUCCESS,
            Event.AUDIT_LOG_USED: Outcome.SUCCESS,
        }
        answer = viewer.graphql(query)
        assert {row.event: row.outcome for row in answer.rows} == {
            Event.ACCESSED: Outcome.SUCCESS,
            Event.AUDIT_LOG_USED: Outcome.DENIED,
        }

    def test_each_of_several_deletions_has_two(self, callers: dict[str, Caller], stored: Archive) -> None:
        ids = [Target.at(1, 1, 1, number).ids["instances"] for number in (1, 2)]
        first, second = (f'deleteInstance(orthancId: "{one}") {{ deletedIds }}' for one in ids)
        answer = callers["Manager (session)"].graphql(f"mutation {{ first: {first} second: {second} again: {second} }}")
        assert answer.codes == ["NOT_FOUND"]
        assert [(row.outcome, row.target) for row in answer.rows] == [
            (Outcome.INTENDED, f"instances/{ids[0]}"),
            (Outcome.SUCCESS, f"instances/{ids[0]}"),
            (Outcome.INTENDED, f"instances/{ids[1]}"),
            (Outcome.SUCCESS, f"instances/{ids[1]}"),
            (Outcome.FAILED, f"instances/{ids[1]}"),
        ]
        one, done, other, too, failed = answer.rows
        assert (done.intention, too.intention, failed.intention) == (one, other, None)

    def test_what_is_read_after_a_change_is_written_down_too(self, callers: dict[str, Caller], stored: Archive) -> None:
        query = """mutation($id: ID!) { deleteSeries(orthancId: $id) {
            remainingAncestor { id ... on Study { studyInstanceUID } } } }"""
        answer = callers["Manager (session)"].graphql(query, {"id": HERE.ids["series"]})
        remaining = answer.data["deleteSeries"]["remainingAncestor"]
        assert remaining["studyInstanceUID"] == HERE.study_uid
        *_, read = answer.rows
        assert [row.event for row in answer.rows] == [Event.DELETION, Event.DELETION, Event.ACCESSED]
        assert list(read.subjects.values_list("study_instance_uid", flat=True)) == [HERE.study_uid]

    def test_a_request_that_is_wrong_has_one(self, callers: dict[str, Caller], proxy: RecordingProxy) -> None:
        viewer = callers["Viewer (session)"]
        for answer in (viewer.graphql("{ patient { id } }"), viewer.rest("studies/")):
            [row] = answer.rows
            assert (row.event, row.outcome, row.error_code) == (Event.ACCESSED, Outcome.FAILED, "BAD_USER_INPUT")
        assert proxy.requests == []

    def test_a_manager_reads_them(self, callers: dict[str, Caller], stored: Archive) -> None:
        done = callers["Viewer (access token)"].rest(f"instances/{HERE.ids['instances']}/file/")
        query = """query($id: String!) { auditEvents(filter: {requestId: $id}) { totalCount nodes {
            event operation outcome username authentication address requestId target counts
            subjects { patientId studyInstanceUID } } } }"""
        for way in ("session", "API token", "access token"):
            answer = callers[f"Manager ({way})"].graphql(query, {"id": done.request_id})
            assert answer.data["auditEvents"] == {
                "totalCount": 1,
                "nodes": [
                    {
                        "event": "TRANSFERRED",
                        "operation": "GET /api/orthanc/instances/{orthanc_id}/file/",
                        "outcome": "SUCCESS",
                        "username": "oidc-Viewer-(access-token)",
                        "authentication": "OPENID_CONNECT",
                        "address": "127.0.0.1",
                        "requestId": done.request_id,
                        "target": f"instances/{HERE.ids['instances']}",
                        "counts": {"instances": 1},
                        "subjects": [{"patientId": HERE.patient_id, "studyInstanceUID": HERE.study_uid}],
                    }
                ],
            }
            [row] = answer.rows
            assert (row.event, row.outcome) == (Event.AUDIT_LOG_USED, Outcome.SUCCESS)
