"""Jobs are seen and cancelled by whoever began them, and by those who manage jobs, within their scope."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission, User

from orthancproxy.access.actions import Action
from orthancproxy.audit.kinds import Authentication
from orthancproxy.jobs.models import Job
from tests.access.archive import SmallArchive, Target
from tests.access.callers import ROLES, CallerClient, bearer, make_user, with_api_token
from tests.access.cases import job_id, make_job
from tests.identity.provider import IdentityProvider
from tests.proxy import RecordingProxy

pytestmark = pytest.mark.live

JOBS = "{ jobs { totalCount nodes { id createdBy study { studyInstanceUID } } } }"
JOB = "query($id: ID!) { job(id: $id) { state } node(id: $id) { id } }"
CANCEL = "mutation($id: ID!) { cancelJob(id: $id) { job { state } } }"
SEND = """mutation($level: Level!, $ids: [ID!]!, $key: String) { sendToModality(input:
  {modality: "PACS", level: $level, orthancIds: $ids, clientMutationId: $key}) { job { id } } }"""


def seen(caller: CallerClient) -> set[str]:
    """The ids of the jobs that a caller sees, in lists and one by one; only these can be cancelled."""
    data = caller.graphql(JOBS).data["jobs"]
    found = {node["id"] for node in data["nodes"]}
    assert data["totalCount"] == len(found)
    for job in Job.objects.all():
        variables = {"id": job_id(job)}
        one = caller.graphql(JOB, variables).data
        assert (one["job"] is not None) == (one["node"] is not None) == (job_id(job) in found)
        answer = caller.graphql(CANCEL, variables)
        assert answer.codes == ([] if job_id(job) in found else ["NOT_FOUND"])
    return found


def sending_user(name: str) -> User:
    user = make_user(name, "Viewer")
    user.user_permissions.add(Permission.objects.get(codename=Action.SEND.value))
    return user


class TestOwners:
    def test_a_caller_sees_their_own_jobs_and_a_manager_all(
        self, callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        viewer, uploader = callers["Viewer (session)"], callers["Uploader (API token)"]
        jobs = [job_id(make_job(one, Target.at(1))) for one in (viewer, uploader)]
        assert seen(viewer) == {jobs[0]}
        assert seen(callers["Viewer (API token)"]) == {jobs[0]}
        assert seen(uploader) == {jobs[1]}
        assert seen(callers["Manager (session)"]) == set(jobs)
        assert seen(callers["Manager (access token)"]) == set(jobs)

    def test_an_identity_of_a_provider_is_not_the_user_of_the_same_name(
        self, home_provider: IdentityProvider, proxy: RecordingProxy, archive: SmallArchive
    ) -> None:
        user = sending_user("namesake")
        local = with_api_token("namesake", user, frozenset())
        token = home_provider.token("namesake", [ROLES["Viewer"]])
        foreign = replace(local, headers=bearer(token), authentication=Authentication.OPENID_CONNECT)
        own, others = job_id(make_job(local, Target.at(1))), job_id(make_job(foreign, Target.at(1)))
        assert (seen(local), seen(foreign)) == ({own}, {others})
        user.delete()

    def test_a_mutation_id_is_that_of_its_caller(
        self, callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        variables = {"level": "STUDY", "ids": [Target.at(1).ids["studies"]], "key": "1"}
        made = {
            callers[f"Manager ({how})"].graphql(SEND, variables).data["sendToModality"]["job"]["id"]
            for how in ("session", "API token", "access token")
        }
        # the first two are one user
        assert len(made) == 2


class TestScopes:
    @pytest.mark.parametrize("group", ["Ward", pytest.param("Labelled", marks=pytest.mark.since("1.12.0"))])
    def test_a_manager_with_a_scope_sees_jobs_of_which_all_studies_are_in_it(
        self, group: str, callers: Mapping[str, CallerClient], scoped_callers: Mapping[str, CallerClient],
        archive: SmallArchive,
    ) -> None:  # fmt: skip
        viewer, scoped = callers["Viewer (session)"], scoped_callers[f"{group} (API token)"]
        first, second, third = (Target.at(*place) for place in ((1, 1), (1, 2), (3, 1)))
        visible = job_id(make_job(viewer, first))
        make_job(viewer, third)
        both = job_id(
            make_job(
                viewer,
                first,
                level="Patient",
                orthanc_ids=[first.ids["patients"]],
                studies=[first.ids["studies"], second.ids["studies"]],
            )
        )
        make_job(viewer, first, studies=[])
        # the ward has the whole patient, the label is on one of the studies
        expected = {visible, both} if group == "Ward" else {visible}
        assert seen(scoped) == expected
        own = job_id(make_job(scoped, third))
        assert seen(scoped) == expected | {own}
        [node] = [one for one in scoped.graphql(JOBS).data["jobs"]["nodes"] if one["id"] == own]
        # it left the scope
        assert node["study"] is None

    @pytest.mark.since("1.12.0")
    def test_of_a_patient_only_visible_studies_are_sent(
        self, scoped_callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        caller = scoped_callers["Labelled (session)"]
        variables = {"level": "PATIENT", "ids": [Target.at(1).ids["patients"]]}
        caller.graphql(SEND, variables).data  # noqa: B018
        assert Job.objects.get().studies == [Target.at(1, 1).ids["studies"]]
        for level, path in (("STUDY", "studies"), ("SERIES", "series"), ("INSTANCE", "instances")):
            visible, hidden = Target.at(1, 1).ids[path], Target.at(1, 2).ids[path]
            assert caller.graphql(SEND, {"level": level, "ids": [visible, hidden]}).codes == ["NOT_FOUND"]
        assert Job.objects.count() == 1

    def test_a_forged_page_sends_nothing(self, callers: Mapping[str, CallerClient], archive: SmallArchive) -> None:
        caller = callers["Manager (session)"]
        body = b'{"query": "mutation { cancelJob(id: \\"Sm9iOjE=\\") { job { state } } }"}'
        for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = caller.send("POST", "/graphql/", body, content_type, **{"X-CSRFToken": "forged"})
            assert answer.status in (400, 403, 415)
        query = quote('mutation { cancelJob(id: "Sm9iOjE=") { job { state } } }')
        assert "data" not in caller.send("GET", f"/graphql/?query={query}").json
