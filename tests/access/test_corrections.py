"""Corrections within access scopes: nothing hidden is told of, and no study leaves a scope or enters one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from orthancproxy.access.actions import Action
from orthancproxy.jobs.correcting import plan_correction, plan_move
from orthancproxy.jobs.following import JobFollower
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.jobs.replacing import Replacing
from orthancproxy.jobs.work import Work, WorkContext
from orthancproxy.resolvers.context import connect
from tests.access.archive import FREE_LABEL, LABEL, SmallArchive, Target
from tests.access.callers import CallerClient, GatewayResponse, make_user, with_api_token
from tests.access.test_share_links import opened, share
from tests.jobs.correcting import mutation

pytestmark = pytest.mark.live

ONE, OTHER = Target.at(1), Target.at(1, 2)
WORKS: Mapping[str, Work] = {
    JobKind.MODIFY: Replacing(plan_correction, max_seconds=0),
    JobKind.MERGE: Replacing(plan_move, max_seconds=0),
}


def modify(caller: CallerClient, field: str, orthanc_id: str, values: dict[str, str], **more: Any) -> GatewayResponse:
    tags = [{"keyword": keyword, "value": value} for keyword, value in values.items()]
    return caller.graphql(mutation(field), {"input": {"orthancId": orthanc_id, "replace": tags, **more}})


def merge(caller: CallerClient, target: Target, source: Target, **more: Any) -> GatewayResponse:
    request = {"orthancId": target.ids["studies"], "sources": [source.ids["studies"]], **more}
    return caller.graphql(mutation("mergeStudies"), {"input": request})


def follow(each: Callable[[], object] = lambda: None) -> Job:
    """Follow the only job to its end, and look around after each step."""
    follower = JobFollower(WorkContext(connect(), lambda _changes: None), lambda: True, timezone.now, works=WORKS)
    for _ in range(500):
        follower.step()
        each()
        job = Job.objects.get()
        if job.ended_at:
            return job
    raise AssertionError(f"no end: {Job.objects.get().stage}")


def studies_of(caller: CallerClient) -> dict[str, int]:
    """The instances of the studies that a caller sees, by StudyInstanceUID."""
    nodes = caller.graphql("{ studies { nodes { studyInstanceUID instancesCount } } }").data["studies"]["nodes"]
    return {one["studyInstanceUID"]: one["instancesCount"] for one in nodes}


@pytest.fixture
def corrector(groups: None) -> Iterator[CallerClient]:
    """A caller who sees everything and may correct, but not change the labels that scopes name."""
    user = make_user("corrector", "Viewer")
    user.user_permissions.add(Permission.objects.get(codename=Action.MODIFY.value))
    yield with_api_token("corrector", user, frozenset({Action.VIEW, Action.DOWNLOAD, Action.MODIFY}))
    user.delete()


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("patient_id", ["P002", "P999"])
def test_nobody_gives_a_study_to_a_patient_out_of_their_scope_nor_learns_of_one(
    patient_id: str, dry_run: bool, scoped_callers: Mapping[str, CallerClient], archive: SmallArchive
) -> None:
    values = {"PatientID": patient_id}
    ward = scoped_callers["Ward (API token)"]
    for field, orthanc_id in (("modifyStudy", ONE.ids["studies"]), ("modifyPatient", ONE.ids["patients"])):
        answer = modify(ward, field, orthanc_id, values, dryRun=dry_run)
        assert (answer.codes, Job.objects.exists()) == (["FORBIDDEN"], False)
        assert answer.json["errors"][0]["message"] == "You do not have permission to do this for this patient."
    assert modify(ward, "modifyStudy", ONE.ids["studies"], {"PatientID": "W7-1"}, dryRun=True).codes == []


@pytest.mark.since("1.12.0")
class TestLabels:
    def test_a_caller_who_sees_a_part_of_a_patient_does_not_correct_it(
        self, scoped_callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        labelled = scoped_callers["Labelled (API token)"]
        for dry_run in (False, True):
            answer = modify(labelled, "modifyPatient", ONE.ids["patients"], {"PatientSex": "O"}, dryRun=dry_run)
            assert answer.codes == ["FORBIDDEN"]
            # it could enter the scope of others
            values = {"PatientID": "P999"}
            answer = modify(labelled, "modifyStudy", ONE.ids["studies"], values, dryRun=dry_run)
            assert answer.codes == ["FORBIDDEN"]
            assert merge(labelled, ONE, OTHER, dryRun=dry_run).codes == ["NOT_FOUND"]
        assert not Job.objects.exists()

    def test_a_hidden_study_is_no_collision(
        self, callers: Mapping[str, CallerClient], scoped_callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        seen = []
        for caller in (callers["Manager (API token)"], scoped_callers["Labelled (API token)"]):
            answer = modify(caller, "modifyStudy", ONE.ids["studies"], {"PatientName": "Other"}, dryRun=True)
            seen.append([one["kind"] for one in answer.data["modifyStudy"]["collisions"]])
        assert seen == [["STUDIES_DIFFER"], []]

    @pytest.mark.parametrize("keep_uids", [False, True])
    def test_a_corrected_study_stays_in_its_scopes_and_appears_in_no_other(
        self,
        keep_uids: bool,
        scoped_callers: Mapping[str, CallerClient],
        callers: Mapping[str, CallerClient],
        archive: SmallArchive,
    ) -> None:
        labelled = scoped_callers["Labelled (API token)"]
        values = {"StudyDescription": "뇌"}
        modify(callers["Manager (API token)"], "modifyStudy", OTHER.ids["studies"], values, keepUids=keep_uids).data  # noqa: B018
        before = studies_of(labelled)

        def look() -> None:
            assert studies_of(labelled) == before

        # of a study without the label, nothing is ever seen
        assert follow(look).state == "SUCCESS"
        Job.objects.all().delete()
        modify(labelled, "modifyStudy", ONE.ids["studies"], values, keepUids=keep_uids).data  # noqa: B018
        counts: list[int] = []
        job = follow(lambda: counts.append(sum(studies_of(labelled).values())))
        assert job.state == "SUCCESS"
        # never less than the images that there are
        assert min(counts) >= sum(before.values())
        assert counts[-1] == sum(before.values())
        [study] = job.result["studies"]
        assert archive.labels()[f"/studies/{study}"] == [FREE_LABEL, LABEL]

    def test_a_label_that_the_original_loses_meanwhile_is_not_kept(
        self, callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        manager = callers["Manager (API token)"]
        modify(manager, "modifyStudy", ONE.ids["studies"], {"StudyDescription": "뇌"}).data  # noqa: B018
        variables = {"id": ONE.ids["studies"], "labels": [LABEL]}
        remove = """mutation($id: ID!, $labels: [String!]!) {
            removeLabels(level: STUDY, orthancId: $id, labels: $labels) { labels } }"""
        steps: list[int] = []

        def unlabel() -> None:
            steps.append(1)
            if len(steps) == 3:
                manager.graphql(remove, variables).data  # noqa: B018

        [study] = follow(unlabel).result["studies"]
        assert archive.labels()[f"/studies/{study}"] == [FREE_LABEL]

    def test_studies_of_different_scopes_are_merged_by_those_who_may_change_their_labels(
        self, corrector: CallerClient, callers: Mapping[str, CallerClient], archive: SmallArchive
    ) -> None:
        for dry_run in (False, True):
            assert merge(corrector, OTHER, ONE, dryRun=dry_run).codes == ["FORBIDDEN"]
            assert merge(corrector, ONE, OTHER, dryRun=dry_run).codes == ["FORBIDDEN"]
        assert not Job.objects.exists()
        merge(callers["Manager (API token)"], OTHER, ONE).data  # noqa: B018
        assert follow().result == {"studies": [OTHER.ids["studies"]]}
        assert archive.labels()[f"/studies/{OTHER.ids['studies']}"] == [FREE_LABEL, LABEL]


@pytest.mark.parametrize("keep_uids", [False, True])
def test_a_share_link_ends_with_the_study_that_is_replaced(
    keep_uids: bool, callers: Mapping[str, CallerClient], archive: SmallArchive
) -> None:
    manager = callers["Manager (API token)"]
    visitor = opened(share(manager))
    assert studies_of(visitor) == {ONE.study_uid: 4}
    modify(manager, "modifyStudy", ONE.ids["studies"], {"StudyID": "7"}, keepUids=keep_uids).data  # noqa: B018
    assert follow().state == "SUCCESS"
    assert studies_of(visitor) == ({ONE.study_uid: 4} if keep_uids else {})


def test_a_forged_page_corrects_nothing(callers: Mapping[str, CallerClient], archive: SmallArchive) -> None:
    before = archive.state()
    query = f'mutation {{ modifyStudy(input: {{orthancId: "{ONE.ids["studies"]}", replace: []}}) {{ dryRun }} }}'
    caller = callers["Manager (session)"]
    for content_type in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        answer = caller.send("POST", "/graphql/", query.encode(), content_type, **{"X-CSRFToken": "forged"})
        assert "data" not in answer.json
    assert (archive.state(), Job.objects.exists()) == (before, False)
