"""Other servers are searched, and retrieved from, by callers who see everything; nobody else learns what is there."""

from collections.abc import Mapping
from urllib.parse import quote

import pytest

from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.audit.kinds import AuditOutcome
from orthancproxy.jobs.models import Job
from tests.access.archive import SmallArchive, Target
from tests.access.callers import CallerClient
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

TARGET = Target.at(1)
FIND = """query($uid: ID!) { findOnModality(modality: "SELF", filter: {studyInstanceUIDs: [$uid]}) {
  patientId study { orthancId } } }"""
RETRIEVE = """mutation($uid: ID!, $key: String) { retrieveFromModality(input:
  {source: "SELF", studyInstanceUIDs: [$uid], clientMutationId: $key}) { job { id target { studyInstanceUIDs } } } }"""
OPERATIONS = {"sources": "{ sources { name } }", "findOnModality": FIND, "retrieveFromModality": RETRIEVE}


class TestScopes:
    @pytest.mark.parametrize("name", OPERATIONS)
    def test_callers_with_a_scope_neither_search_nor_retrieve(
        self,
        name: str,
        scoped_callers: Mapping[str, CallerClient],
        archive: SmallArchive,
        proxy: RecordingProxy,
    ) -> None:
        for caller in scoped_callers.values():
            if Action.RETRIEVE not in caller.actions:
                continue
            proxy.requests.clear()
            # what they may see, too: a server has more about the patient
            answer = caller.graphql(OPERATIONS[name], {"uid": TARGET.study_uid} if "$uid" in OPERATIONS[name] else {})
            assert answer.codes == ["FORBIDDEN"], caller.name
            assert proxy.requests == []
            [event] = answer.audit_events
            assert (event.outcome, event.error_code) == (AuditOutcome.DENIED, "FORBIDDEN")
            assert (list(event.subjects.all()), event.details) == ([], None)
        assert any(Action.RETRIEVE in caller.actions for caller in scoped_callers.values())
        assert not Job.objects.exists()

    def test_callers_without_one_learn_what_is_there_and_here(
        self, callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        caller = callers["Manager (API token)"]
        [found] = caller.graphql(FIND, {"uid": TARGET.study_uid}).data["findOnModality"]
        assert found == {"patientId": TARGET.patient_id, "study": {"orthancId": TARGET.ids["studies"]}}


class TestCallers:
    def test_anonymous_callers_cannot_be_given_the_permission(self) -> None:
        assert Action.RETRIEVE not in FOR_ANYONE

    def test_a_mutation_id_is_that_of_its_caller(
        self, callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        variables = {"uid": TARGET.study_uid, "key": "1"}
        answers = [
            callers[f"Manager ({how})"].graphql(RETRIEVE, variables) for how in ("session", "API token", "access token")
        ]
        # the first two are one user
        assert len({one.data["retrieveFromModality"]["job"]["id"] for one in answers}) == 2
        assert [len(one.audit_events) for one in answers] == [1, 0, 1]

    def test_a_job_is_hidden_from_managers_in_whose_scope_its_studies_are_not(
        self,
        callers: Mapping[str, CallerClient],
        scoped_callers: Mapping[str, CallerClient],
        archive: SmallArchive,
    ) -> None:
        jobs = "{ jobs { nodes { target { source } } } }"
        for target, expected in ((Target.at(3), []), (TARGET, [{"target": {"source": "SELF"}}])):
            callers["Manager (session)"].graphql(RETRIEVE, {"uid": target.study_uid}).data  # noqa: B018
            assert scoped_callers["Ward (API token)"].graphql(jobs).data["jobs"]["nodes"] == expected

    def test_a_forged_page_retrieves_nothing(self, callers: Mapping[str, CallerClient], archive: SmallArchive) -> None:
        caller = callers["Manager (session)"]
        mutation = f'retrieveFromModality(input: {{source: "SELF", studyInstanceUIDs: ["{TARGET.study_uid}"]}})'
        query = f"mutation {{ {mutation} {{ job {{ id }} }} }}"
        for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            body = f'{{"query": {query!r}}}'.encode()
            answer = caller.send("POST", "/graphql/", body, content_type, **{"X-CSRFToken": "forged"})
            assert answer.status in (400, 403, 415)
        assert "data" not in caller.send("GET", f"/graphql/?query={quote(query)}").json
        assert not Job.objects.exists()
