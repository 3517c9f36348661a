"""Labels: adding, removing and counting them, and that nobody labels themselves into a scope or out of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connections
from pytest_django import Settings

from orthancproxy.access.actions import Action
from orthancproxy.access.models import AccessScope
from orthancproxy.archive import labels as archive_labels
from orthancproxy.archive.levels import Level
from orthancproxy.audit.kinds import AuditOutcome, EventKind
from orthancproxy.feed.log import Kind, change_log
from orthancproxy.resolvers.labels import MAX_LABELS_PER_RESOURCE
from tests.access.archive import FREE_LABEL, LABEL, SmallArchive, Target
from tests.access.callers import CallerClient, GatewayResponse, csrf_client, make_user, with_api_token
from tests.access.cases import DEFAULT_TARGET
from tests.proxy import RecordingProxy

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.0")]

LEVELS = {level.name: level.path for level in Level}
VARIANTS = (LABEL, LABEL.upper(), LABEL.title())
HOSTILE = {
    "empty": "",
    "blank": "a b",
    "blank at the end": "urgent ",
    "line feed at the end": "urgent\n",
    "null": "a\0b",
    "slash": "a/b",
    "path": "..",
    "encoded path": "..%2f..%2ftools%2freset",
    "query": "urgent?x=1",
    "fragment": "urgent#",
    "percent": "%75rgent",
    "wildcard": "ward*",
    "any character": "ward-?",
    "backslash": "ward-7\\urgent",
    "letters that are not ASCII": "긴급",
    "fullwidth letters": "\uff57ard-7",
    "a combining character": "ward-7\u0301",
    "an invisible character": "ward\u200b-7",
    "right to left": "\u202eward-7",
    "HTML": "<img src=x>",
    "SQL": "a';DROP TABLE Labels;--",
    "digits that are not ASCII": "ward-\u0667",
    "65 characters": "a" * 65,
    "a million characters": "a" * 1_000_000,
}


def change(
    caller: CallerClient,
    name: str,
    labels: list[str],
    target: Target = DEFAULT_TARGET,
    level: str = "STUDY",
    *,
    dry_run: bool = False,
) -> GatewayResponse:
    """Add or remove labels as a caller, or predict that."""
    dry = ", dryRun: true" if dry_run else ""
    query = f"""mutation($id: ID!, $labels: [String!]!) {{
        {name}(level: {level}, orthancId: $id, labels: $labels{dry}) {{ level orthancId labels }} }}"""
    return caller.graphql(query, {"id": target.ids[LEVELS[level]], "labels": labels})


def labels_in(archive: SmallArchive, target: Target = DEFAULT_TARGET, level: str = "studies") -> list[str]:
    """Return the labels that a resource has in Orthanc."""
    return archive.labels().get(f"/{level}/{target.ids[level]}", [])


def writes(proxy: RecordingProxy) -> list[str]:
    """Return the requests by which Orthanc's labels were changed."""
    return [f"{one.method} {one.path}" for one in proxy.requests if one.method in ("PUT", "DELETE")]


@pytest.fixture
def manager(callers: dict[str, CallerClient]) -> CallerClient:
    return callers["Manager (API token)"]


@pytest.fixture
def annotator(groups: None) -> Iterator[CallerClient]:
    """Yield a caller who sees everything and may change labels, but not those that scopes name."""
    group = Group.objects.create(name="annotators")
    group.permissions.set(Permission.objects.filter(codename__in=["view", "label"], content_type__model="archive"))
    user = make_user("annotator", "annotators")
    yield with_api_token("annotator", user, frozenset({Action.VIEW, Action.LABEL}))
    user.delete()
    group.delete()


class TestChanging:
    @pytest.mark.parametrize("level", LEVELS)
    def test_labels_of_each_level_are_added_and_removed(
        self, level: str, manager: CallerClient, archive: SmallArchive
    ) -> None:
        path = LEVELS[level]
        before = labels_in(archive, level=path)
        added = change(manager, "addLabels", ["urgent", "A_b-9", "urgent"], level=level).data["addLabels"]
        orthanc_id = DEFAULT_TARGET.ids[path]
        assert added == {"level": level, "orthancId": orthanc_id, "labels": sorted([*before, "urgent", "A_b-9"])}
        assert sorted(labels_in(archive, level=path)) == added["labels"]
        removed = change(manager, "removeLabels", ["urgent", "a_b-9", "never-there"], level=level).data["removeLabels"]
        assert removed["labels"] == sorted([*before, "A_b-9"])
        assert sorted(labels_in(archive, level=path)) == removed["labels"]
        # of nothing else
        others = {one: labels for one, labels in archive.labels().items() if one != f"/{path}/{orthanc_id}"}
        assert not any("A_b-9" in labels for labels in others.values())

    @pytest.mark.parametrize("level", LEVELS)
    def test_a_dry_run_predicts_the_labels_and_changes_nothing(
        self, level: str, manager: CallerClient, archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        before = archive.state()
        proxy.requests.clear()
        for name, labels in (("addLabels", ["urgent", FREE_LABEL]), ("removeLabels", ["never-there", FREE_LABEL])):
            predicted = change(manager, name, labels, level=level, dry_run=True)
            assert writes(proxy) == []
            assert archive.state() == before
            [row] = predicted.audit_events
            assert (row.event, row.outcome) == (EventKind.ACCESSED, AuditOutcome.SUCCESS)
            assert change(manager, name, labels, level=level).data == predicted.data
            archive.refill()
            proxy.requests.clear()

    def test_a_dry_run_rejects_what_would_be_rejected(
        self, scoped_callers: dict[str, CallerClient], manager: CallerClient, archive: SmallArchive
    ) -> None:
        for caller in scoped_callers.values():
            assert change(caller, "removeLabels", [LABEL], dry_run=True).codes == ["FORBIDDEN"], caller.name
        labels = [f"l{number}" for number in range(MAX_LABELS_PER_RESOURCE)]
        assert change(manager, "addLabels", labels, dry_run=True).codes == ["LIMIT_EXCEEDED"]
        assert change(manager, "addLabels", ["a/b"], dry_run=True).codes == ["BAD_USER_INPUT"]

    def test_what_is_so_already_is_no_error_and_no_change(
        self, manager: CallerClient, archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        before = archive.state()
        for name, labels in (("addLabels", [FREE_LABEL]), ("removeLabels", ["never-there"])):
            proxy.requests.clear()
            answer = change(manager, name, labels)
            assert answer.data[name]["labels"] == [FREE_LABEL, LABEL]
            assert writes(proxy) == []
            [row] = answer.audit_events
            assert (row.event, row.outcome, row.intention) == (EventKind.LABELLED, AuditOutcome.SUCCESS, None)
        assert archive.state() == before

    @pytest.mark.parametrize(
        ("level", "fields"),
        [("PATIENT", "Patient"), ("STUDY", "Study"), ("SERIES", "Series"), ("INSTANCE", "Instance")],
    )
    def test_payload_has_the_resource_as_it_is_now(
        self, level: str, fields: str, manager: CallerClient, archive: SmallArchive
    ) -> None:
        query = f"""mutation($id: ID!) {{ addLabels(level: {level}, orthancId: $id, labels: ["urgent"]) {{
            labels resource {{ id ... on {fields} {{ labels }} }} }} }}"""
        payload = manager.graphql(query, {"id": DEFAULT_TARGET.ids[LEVELS[level]]}).data["addLabels"]
        assert "urgent" in payload["labels"]
        assert sorted(payload["resource"]["labels"]) == payload["labels"]

    def test_resource_of_another_level_is_not_found(self, manager: CallerClient, archive: SmallArchive) -> None:
        before = archive.state()
        patient = Target.at(1).ids["patients"]
        query = 'mutation($id: ID!) { addLabels(level: STUDY, orthancId: $id, labels: ["urgent"]) { labels } }'
        for orthanc_id, code in (
            (patient, "NOT_FOUND"),
            ("../tools/reset", "BAD_USER_INPUT"),
            (f"{patient}/..", "BAD_USER_INPUT"),
        ):
            assert manager.graphql(query, {"id": orthanc_id}).codes == [code]
        assert archive.state() == before

    @pytest.mark.parametrize("name", HOSTILE)
    def test_invalid_label_is_rejected_before_orthanc_is_asked(
        self, name: str, manager: CallerClient, archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        before = archive.state()
        proxy.requests.clear()
        for field in ("addLabels", "removeLabels"):
            answer = change(manager, field, ["urgent", HOSTILE[name]])
            assert answer.codes in (["BAD_USER_INPUT"], ["LIMIT_EXCEEDED"])
        assert proxy.requests == []
        assert archive.state() == before

    def test_no_labels_and_too_many_are_rejected(
        self, manager: CallerClient, archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        proxy.requests.clear()
        assert change(manager, "addLabels", []).codes == ["BAD_USER_INPUT"]
        too_many = [f"label-{number}" for number in range(MAX_LABELS_PER_RESOURCE + 1)]
        assert change(manager, "addLabels", too_many).codes == ["LIMIT_EXCEEDED"]
        assert proxy.requests == []
        # it has two already
        assert change(manager, "addLabels", too_many[:-2]).codes == ["LIMIT_EXCEEDED"]
        assert writes(proxy) == []
        assert not change(manager, "addLabels", too_many[:-3]).codes
        assert len(labels_in(archive)) == MAX_LABELS_PER_RESOURCE
        assert change(manager, "addLabels", ["one-more"]).codes == ["LIMIT_EXCEEDED"]
        assert change(manager, "addLabels", [FREE_LABEL]).codes == []

    def test_labels_that_are_added_at_the_same_time_are_all_there(
        self, manager: CallerClient, archive: SmallArchive
    ) -> None:
        names = [f"at-once-{number}" for number in range(12)]

        def add(name: str) -> list[str]:
            client = CallerClient(manager.name, headers=manager.headers)
            try:
                return change(client, "addLabels", [name]).codes
            finally:
                connections.close_all()

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(add, names)) == [[]] * len(names)
        assert set(names) < set(labels_in(archive))

    def test_resource_that_is_deleted_meanwhile_is_not_found(
        self, manager: CallerClient, archive: SmallArchive, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.ORTHANC_CHANGES_DAYS = 1
        add = archive_labels.add

        def add_too_late(*place: Any) -> None:
            deletion = "mutation($id: ID!) { deleteStudy(orthancId: $id) { instancesCount } }"
            assert not manager.graphql(deletion, {"id": DEFAULT_TARGET.ids["studies"]}).codes
            add(*place)

        monkeypatch.setattr(archive_labels, "add", add_too_late)
        answer = change(manager, "addLabels", ["urgent"])
        assert answer.codes == ["NOT_FOUND"]
        intended, failed = answer.audit_events
        assert (failed.outcome, failed.error_code, failed.intention) == (AuditOutcome.FAILED, "NOT_FOUND", intended)
        newest = change_log.newest_of([DEFAULT_TARGET.ids["studies"]])[DEFAULT_TARGET.ids["studies"]]
        assert newest.change.kind is Kind.DELETED


class TestAudit:
    def test_audit_log_has_the_labels_that_were_changed(self, manager: CallerClient, archive: SmallArchive) -> None:
        intended, done = change(manager, "addLabels", [FREE_LABEL, "urgent"]).audit_events
        assert intended.details == done.details == {"labels added": ["urgent"]}
        assert [row.details for row in change(manager, "removeLabels", ["urgent", "never-there"]).audit_events] == [
            {"labels removed": ["urgent"]}
        ] * 2
        assert intended.target == f"studies/{DEFAULT_TARGET.ids['studies']}"
        assert (done.event, done.counts) == (EventKind.LABELLED, {"studies": 1})

    def test_audit_log_has_the_labels_that_a_caller_was_not_permitted_to_change(
        self, annotator: CallerClient, archive: SmallArchive
    ) -> None:
        [row] = change(annotator, "removeLabels", [LABEL]).audit_events
        assert (row.outcome, row.error_code) == (AuditOutcome.DENIED, "FORBIDDEN")
        assert row.details == {"labels removed": [LABEL]}


class TestScopes:
    @pytest.mark.parametrize("level", LEVELS)
    @pytest.mark.parametrize("label", VARIANTS)
    @pytest.mark.parametrize("name", ["addLabels", "removeLabels"])
    def test_caller_with_a_scope_changes_no_label_that_a_scope_names(
        self,
        name: str,
        label: str,
        level: str,
        scoped_callers: dict[str, CallerClient],
        archive: SmallArchive,
        proxy: RecordingProxy,
    ) -> None:
        before = archive.state()
        proxy.requests.clear()
        for caller in scoped_callers.values():
            for target in (DEFAULT_TARGET, Target.at(1, 2), Target.at(3)):
                answer = change(caller, name, [FREE_LABEL, label, "urgent"], target, level)
                assert answer.codes == ["FORBIDDEN"], caller.name
        assert proxy.requests == []
        assert archive.state() == before

    def test_caller_sees_after_all_attempts_what_they_saw_before(
        self, scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        query = "{ studies { nodes { orthancId } } patients { nodes { orthancId } } }"
        targets = [Target.at(patient, study) for patient in (1, 2, 3) for study in (1, 2)]
        for caller in scoped_callers.values():
            seen = caller.graphql(query).data
            for target in targets:
                for level in LEVELS:
                    for name in ("addLabels", "removeLabels"):
                        for label in (*VARIANTS, "urgent", "ward-*"):
                            change(caller, name, [label], target, level)
            assert caller.graphql(query).data == seen

    def test_caller_with_a_scope_changes_other_labels_of_what_they_see(
        self, scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        for caller in scoped_callers.values():
            for level in ("STUDY", "SERIES", "INSTANCE"):
                assert change(caller, "addLabels", ["urgent"], level=level).data["addLabels"]["labels"]
                assert "urgent" in labels_in(archive, level=LEVELS[level])
                assert not change(caller, "removeLabels", ["urgent"], level=level).codes
                assert change(caller, "addLabels", ["urgent"], Target.at(3), level).codes == ["NOT_FOUND"]

    def test_labels_of_a_patient_are_changed_by_those_who_see_all_studies_whatever_there_are(
        self, scoped_callers: dict[str, CallerClient], manager: CallerClient, archive: SmallArchive
    ) -> None:
        ward, labelled = scoped_callers["Ward (API token)"], scoped_callers["Labelled (API token)"]
        assert not change(ward, "addLabels", ["urgent"], level="PATIENT").codes
        in_part = change(labelled, "addLabels", ["urgent"], Target.at(2), "PATIENT")
        assert not change(manager, "addLabels", [LABEL], Target.at(2, 2)).codes
        as_a_whole = change(labelled, "addLabels", ["urgent"], Target.at(2), "PATIENT")
        # whether a study is hidden from them does not show
        assert in_part.codes == as_a_whole.codes == ["FORBIDDEN"]
        assert in_part.content_without_request_id == as_a_whole.content_without_request_id
        assert labels_in(archive, Target.at(2), "patients") == []
        assert change(labelled, "addLabels", ["urgent"], Target.at(3), "PATIENT").codes == ["NOT_FOUND"]

    def test_manager_without_a_scope_decides_who_sees_a_study(
        self, callers: dict[str, CallerClient], scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        query, target = "query($id: ID!) { study(orthancId: $id) { labels } }", Target.at(3)
        labelled = scoped_callers["Labelled (session)"]
        for authentication in ("session", "API token", "access token"):
            manager = callers[f"Manager ({authentication})"]
            assert not change(manager, "addLabels", [LABEL], target).codes
            shown = labelled.graphql(query, {"id": target.ids["studies"]}).data["study"]
            assert shown == {"labels": [LABEL]}
            assert not change(manager, "removeLabels", [LABEL], target).codes
            assert labelled.graphql(query, {"id": target.ids["studies"]}).data == {"study": None}

    def test_permission_for_labels_alone_excludes_those_that_scopes_name(
        self, annotator: CallerClient, archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        before = archive.state()
        for name in ("addLabels", "removeLabels"):
            for label in VARIANTS:
                assert change(annotator, name, [label], Target.at(3)).codes == ["FORBIDDEN"]
        assert archive.state() == before
        assert not change(annotator, "addLabels", ["urgent"]).codes
        assert "urgent" in labels_in(archive)

    def test_permission_for_labels_of_scopes_alone_permits_nothing(self, groups: None, archive: SmallArchive) -> None:
        user = make_user("half", "Viewer")
        user.user_permissions.add(Permission.objects.get(codename="label_scopes", content_type__model="archive"))
        caller = with_api_token("half", user, frozenset())
        assert change(caller, "addLabels", [LABEL], Target.at(3)).codes == ["FORBIDDEN"]
        assert change(caller, "addLabels", ["urgent"]).codes == ["FORBIDDEN"]
        user.delete()

    def test_rule_that_is_made_or_removed_counts_at_once(
        self, annotator: CallerClient, archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        group = Group.objects.create(name="of another department")
        assert not change(annotator, "addLabels", ["Cardio"]).codes
        # a rule for patients may look like a label
        AccessScope.objects.create(group=group, kind=AccessScope.Kind.PATIENT_ID, value="urgent")
        rule = AccessScope.objects.create(group=group, kind=AccessScope.Kind.STUDY_LABEL, value="cardio")
        assert change(annotator, "removeLabels", ["Cardio"]).codes == ["FORBIDDEN"]
        assert change(annotator, "addLabels", ["cardio"]).codes == ["FORBIDDEN"]
        assert not change(annotator, "addLabels", ["urgent"]).codes
        rule.delete()
        assert not change(annotator, "removeLabels", ["Cardio"]).codes
        group.access_scopes.all().delete()
        group.delete()

    def test_manager_who_gets_a_scope_is_confined_at_once(self, groups: None, archive: SmallArchive) -> None:
        user = make_user("promoted", "Manager")
        caller = with_api_token("promoted", user, frozenset(Action))
        assert not change(caller, "addLabels", [LABEL], Target.at(1, 2)).codes
        user.groups.add(Group.objects.get(name="Ward"))
        assert change(caller, "removeLabels", [LABEL], Target.at(1, 2)).codes == ["FORBIDDEN"]
        assert labels_in(archive, Target.at(1, 2)) == [LABEL]
        user.delete()


class TestCounts:
    def test_labels_are_those_of_what_the_caller_sees(
        self, callers: dict[str, CallerClient], scoped_callers: dict[str, CallerClient], archive: SmallArchive
    ) -> None:
        for level, orthanc_id in Target.at(3).ids.items():
            archive.ask(f"/{level}/{orthanc_id}/labels/hidden", "PUT")
        archive.ask(f"/studies/{Target.at(3, 2).ids['studies']}/labels/hidden", "PUT")
        own = {FREE_LABEL: 4, LABEL: 1}
        expected = {"Manager": {"hidden": 5, **own, LABEL: 2}, "Ward": own, "Labelled": {**own, LABEL: 2}}
        everyone = {**callers, **scoped_callers}
        for authentication in ("session", "API token", "access token"):
            for group, counts in expected.items():
                data = everyone[f"{group} ({authentication})"].graphql("{ labels { label count } }").data
                assert data["labels"] == [{"label": label, "count": counts[label]} for label in sorted(counts)], group

    def test_label_is_gone_with_the_last_resource_that_has_it(
        self, manager: CallerClient, archive: SmallArchive
    ) -> None:
        query = "{ labels { label } }"
        assert not change(manager, "addLabels", ["urgent"]).codes
        assert {"label": "urgent"} in manager.graphql(query).data["labels"]
        assert not change(manager, "removeLabels", ["urgent"]).codes
        assert {"label": "urgent"} not in manager.graphql(query).data["labels"]


class TestNobodyElse:
    def test_anonymous_callers_cannot_be_permitted(self, settings: Settings, archive: SmallArchive) -> None:
        settings.ORTHANC_ANONYMOUS_ACTIONS = [action.value for action in Action]
        before = archive.state()
        caller = CallerClient("anonymous")
        assert "LABEL" not in caller.graphql("{ viewer { actions } }").data["viewer"]["actions"]
        for name in ("addLabels", "removeLabels"):
            for label in ("urgent", FREE_LABEL, LABEL):
                assert change(caller, name, [label]).codes == ["UNAUTHENTICATED"]
        assert archive.state() == before

    def test_signed_url_permits_no_change(self, manager: CallerClient, archive: SmallArchive) -> None:
        before = archive.state()
        query = "query($id: ID!) { study(orthancId: $id) { archiveUrl(signed: true) } }"
        url = manager.graphql(query, {"id": DEFAULT_TARGET.ids["studies"]}).data["study"]["archiveUrl"]
        signature = url.partition("?")[2]
        assert signature.startswith("signature=")
        body = f"""{{"query": "mutation {{ addLabels(level: STUDY, orthancId: \\"{DEFAULT_TARGET.ids["studies"]}\\",
            labels: [\\"urgent\\"]) {{ labels }} }}"}}""".replace("\n", " ")
        answer = CallerClient("holder of a URL").send("POST", f"/graphql/?{signature}", body.encode())
        assert answer.codes == ["UNAUTHENTICATED"]
        assert archive.state() == before

    @pytest.mark.parametrize("name", ["addLabels", "removeLabels"])
    def test_forged_request_with_a_session_is_rejected(
        self, name: str, callers: dict[str, CallerClient], archive: SmallArchive, proxy: RecordingProxy
    ) -> None:
        before = archive.state()
        session = callers["Manager (session)"]
        proxy.requests.clear()
        without_token = CallerClient("a foreign page", client=session.client)
        assert change(without_token, name, [FREE_LABEL]).code == "CSRF_FAILED"
        wrong = CallerClient("a foreign page", headers={"X-CSRFToken": "x" * 64}, client=session.client)
        assert change(wrong, name, [FREE_LABEL]).code == "CSRF_FAILED"
        study = DEFAULT_TARGET.ids["studies"]
        query = f'mutation{{{name}(level:STUDY,orthancId:"{study}",labels:["{FREE_LABEL}"]){{labels}}}}'
        by_get = session.client.get("/graphql/", {"query": query})
        assert by_get.status_code == 400 or by_get.json()["errors"]
        form = session.client.post("/graphql/", {"query": query})
        assert form.status_code in (400, 403, 415)
        assert proxy.requests == []
        assert archive.state() == before

    def test_browser_without_a_session_is_nobody(self, archive: SmallArchive) -> None:
        caller = CallerClient("nobody", client=csrf_client())
        assert change(caller, "addLabels", ["urgent"]).codes == ["UNAUTHENTICATED"]
