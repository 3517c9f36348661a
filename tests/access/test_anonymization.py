"""Who may anonymize and re-identify, and that no scope is widened by a copy."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.anonymization.models import Pseudonym
from orthancproxy.jobs.following import JobFollower
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.work import WorkContext
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from tests.access.archive import FREE_LABEL, LABEL, SmallArchive, Target
from tests.access.callers import CallerClient, GatewayResponse, make_user, with_api_token
from tests.access.cases import DEFAULT_TARGET
from tests.waiting import wait_until

pytestmark = pytest.mark.live

ANONYMIZE = """mutation($input: AnonymizeStudyInput!) { anonymizeStudy(input: $input) {
  downloadUrl job { id } } }"""
JOB = "query($id: ID!) { job(id: $id) { state study { orthancId labels } error { message } } }"
REIDENTIFY = (
    'query($names: [String!]) { reidentify(project: "trial", pseudonyms: $names) { pseudonym patientId days } }'
)
Make = Callable[..., CallerClient]


@pytest.fixture
def caller_with(groups: None) -> Iterator[Make]:
    """Return a function that makes a caller with some permissions, in a group."""
    made: list[Any] = []

    def make(*actions: Action, group: str = "") -> CallerClient:
        own = Group.objects.create(name=f"own {len(made)}")
        codenames = [action.value for action in actions]
        own.permissions.set(Permission.objects.filter(codename__in=codenames, content_type__model="archive"))
        user = make_user(f"own {len(made)}", own.name, *([group] if group else []))
        made.extend([own, user])
        return with_api_token(user.username, user, frozenset(actions))

    yield make
    for one in reversed(made):
        one.delete()


def anonymize(caller: CallerClient, target: Target = DEFAULT_TARGET, **more: Any) -> GatewayResponse:
    return caller.graphql(ANONYMIZE, {"input": {"orthancId": target.ids["studies"], **more}})


def result(caller: CallerClient, answer: GatewayResponse) -> dict[str, Any]:
    """Follow the job to its end; return what the caller sees of it."""
    client = connect()
    follower = JobFollower(WorkContext(client, background(client).report), lambda: True)

    def has_ended() -> bool:
        follower.step()
        return not Job.objects.filter(ended_at__isnull=True).exists()

    wait_until(has_ended)
    job: dict[str, Any] = caller.graphql(JOB, {"id": answer.data["anonymizeStudy"]["job"]["id"]}).data["job"]
    assert job["state"] == "SUCCESS"
    return job


class TestScopes:
    def test_a_scope_by_patients_takes_a_patient_id_that_it_admits(
        self, scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        caller = scoped_callers["Ward (API token)"]
        for patient_id in (None, "P002", "someone"):
            assert anonymize(caller, patientId=patient_id).codes == ["BAD_USER_INPUT"]
        assert result(caller, anonymize(caller, patientId="W7-subject"))["study"] is not None

    @pytest.mark.since("1.12")
    def test_a_scope_by_labels_gets_a_copy_with_its_labels_only(
        self, scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        caller = scoped_callers["Labelled (API token)"]
        assert sorted(archive.labels()[f"/studies/{DEFAULT_TARGET.ids['studies']}"]) == [FREE_LABEL, LABEL]
        assert result(caller, anonymize(caller))["study"]["labels"] == [LABEL]

    @pytest.mark.since("1.12")
    def test_a_scope_by_labels_puts_no_copy_into_a_patient(
        self, scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        caller = scoped_callers["Labelled (API token)"]
        for dry_run in (False, True):
            assert anonymize(caller, patientId="P003", dryRun=dry_run).codes == ["FORBIDDEN"]

    @pytest.mark.since("1.12")
    def test_a_copy_has_no_labels_unless_that_is_asked_for(
        self, callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        manager = callers["Manager (API token)"]
        assert result(manager, anonymize(manager))["study"]["labels"] == []
        assert result(manager, anonymize(manager, keepLabels=True))["study"]["labels"] == [FREE_LABEL, LABEL]

    @pytest.mark.since("1.12")
    def test_labels_that_scopes_name_are_given_by_those_who_may(self, caller_with: Make, archive: SmallArchive) -> None:
        for actions in ([], [Action.LABEL]):
            caller = caller_with(Action.VIEW, Action.ANONYMIZE, *actions)
            assert anonymize(caller, keepLabels=True).codes == ["FORBIDDEN"]
        caller = caller_with(Action.VIEW, Action.ANONYMIZE, Action.LABEL, Action.LABEL_SCOPES)
        assert result(caller, anonymize(caller, keepLabels=True))["study"]["labels"] == [FREE_LABEL, LABEL]

    def test_what_is_hidden_cannot_be_anonymized(
        self, scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        for name, caller in scoped_callers.items():
            hidden = Target.at(1, 2) if name.startswith("Labelled") else Target.at(2)
            for more in ({}, {"dryRun": True}, {"output": "ZIP"}):
                assert anonymize(caller, hidden, patientId="W7-subject", **more).codes == ["NOT_FOUND"], name
            assert caller.send("GET", f"/api/orthanc/studies/{hidden.ids['studies']}/anonymized/").status == 404


class TestPermissions:
    def test_a_zip_takes_the_permission_to_download(self, caller_with: Make, archive: SmallArchive) -> None:
        url = f"/api/orthanc/studies/{DEFAULT_TARGET.ids['studies']}/anonymized/"
        for actions, code, status in (
            ([Action.ANONYMIZE], ["FORBIDDEN"], 403),
            ([Action.DOWNLOAD], ["FORBIDDEN"], 403),
            ([Action.ANONYMIZE, Action.DOWNLOAD], [], 200),
        ):
            caller = caller_with(Action.VIEW, *actions)
            assert anonymize(caller, output="ZIP").codes == code
            assert caller.send("GET", url).status == status

    def test_nobody_re_identifies_from_the_start(
        self, callers: dict[str, CallerClient], archive: SmallArchive, settings: Settings
    ) -> None:
        settings.ORTHANC_ANONYMOUS_ACTIONS = ["view", "anonymize"]
        for caller in callers.values():
            if not caller.rejection and Action.REIDENTIFY not in caller.actions:
                assert caller.graphql(REIDENTIFY).codes in (["FORBIDDEN"], ["UNAUTHENTICATED"])


class TestReidentification:
    @pytest.fixture(autouse=True)
    def _pseudonyms(self, archive: SmallArchive) -> Iterator[None]:
        # of the matrix
        Pseudonym.objects.all().delete()
        rows = [("trial", "P001", "A"), ("trial", "P002", "B"), ("other", "P001", "A")]
        made = [Pseudonym.objects.create(project=p, patient_id=i, pseudonym=n, days=-7) for p, i, n in rows]
        yield
        for one in made:
            one.delete()

    def test_pseudonyms_lead_to_patients_of_their_project(self, caller_with: Make) -> None:
        caller = caller_with(Action.VIEW, Action.REIDENTIFY)
        shown = caller.graphql(REIDENTIFY).data["reidentify"]
        assert shown == [
            {"pseudonym": "B", "patientId": "P002", "days": -7},
            {"pseudonym": "A", "patientId": "P001", "days": -7},
        ]
        assert caller.graphql(REIDENTIFY, {"names": ["A", "C"]}).data["reidentify"] == shown[1:]
        assert caller.graphql(REIDENTIFY, {"names": []}).data["reidentify"] == []

    def test_each_reading_is_audited_with_the_patients(self, caller_with: Make) -> None:
        answer = caller_with(Action.VIEW, Action.REIDENTIFY).graphql(REIDENTIFY, {"names": ["A"]})
        [event] = answer.audit_events
        assert (event.event, event.outcome, event.operation) == ("REIDENTIFIED", "SUCCESS", "reidentify")
        assert event.details == {"project": "trial", "pseudonyms": 1}
        assert [one.patient_id for one in event.subjects.all()] == ["P001"]

    @pytest.mark.parametrize(("group", "seen"), [("Ward", ["P001"]), ("Labelled", [])])
    def test_a_scope_hides_patients(self, caller_with: Make, group: str, seen: list[str]) -> None:
        caller = caller_with(Action.VIEW, Action.REIDENTIFY, group=group)
        shown = caller.graphql(REIDENTIFY).data["reidentify"]
        assert [one["patientId"] for one in shown] == seen

    def test_too_many_pseudonyms_are_rejected(self, caller_with: Make) -> None:
        caller = caller_with(Action.VIEW, Action.REIDENTIFY)
        assert caller.graphql(REIDENTIFY, {"names": ["A"] * 1001}).codes == ["LIMIT_EXCEEDED"]
