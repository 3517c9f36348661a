"""Deleting into the trash, restoring, arriving again, and emptying."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from orthancproxy.archive import storage
from orthancproxy.archive.scope import Scope
from orthancproxy.archive.trash import Trash, note_of, studies_in_trash
from orthancproxy.archive.trash_note import TrashNote
from orthancproxy.audit.events import Author
from orthancproxy.audit.models import AuditEvent
from orthancproxy.feed.log import Change, Kind, change_log
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.changes import ChangeBatch
from orthancproxy.resolvers.context import connect
from orthancproxy.resolvers.trash import TrashKeeper, bring_back, trash_of
from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.uploads.identified_files import IdentifiedFile
from tests.access.archive import Target
from tests.archive.callers import make_tokens
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ask, instance, load
from tests.deletion.deletion_client import ARCHIVE, instance_file, refill, resource_at, resources_of, stored_resources
from tests.dicomweb.store_client import RELATED, related
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.0")]

STUDY, PATIENT = resource_at((1, 1)).orthanc_id, resource_at((1,)).orthanc_id
OTHER = resource_at((1, 2)).orthanc_id
DELETE = """mutation($id: ID!, $purge: Boolean, $dryRun: Boolean) {
  deletion: delete%s(orthancId: $id, purge: $purge, dryRun: $dryRun) {
    inTrash deleted { level orthancId } instancesCount remainingAncestor { id }
  }
}"""
RESTORE = "mutation($id: ID!) { restoreStudy(orthancId: $id) { orthancId study { description trashedAt labels } } }"
TRASH = """{ trash(first: 10) {
  totalCount nodes { orthancId trashedAt trashedBy labels patient { patientId } series { modality } }
} }"""
VISIBLE = "{ studies { nodes { orthancId } } patients { nodes { orthancId } } }"


@pytest.fixture
def visible(graphql: GraphQL) -> Callable[[], set[str]]:
    """Return the Orthanc ids of the patients and studies that are shown."""

    def ids() -> set[str]:
        return {one["orthancId"] for found in graphql(VISIBLE).values() for one in found["nodes"]}

    return ids


def _events(*kinds: str) -> list[tuple[str, str]]:
    events = AuditEvent.objects.filter(event__in=kinds).order_by("pk")
    return [(event.event, event.outcome) for event in events]


def test_a_deleted_study_is_hidden_and_restored_as_it_was(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]]
) -> None:
    before = visible()
    dry = graphql(DELETE % "Study", id=STUDY, dryRun=True)["deletion"]
    found = graphql(DELETE % "Study", id=STUDY)["deletion"]
    assert dry == found
    assert found["inTrash"] is True
    assert found["deleted"] == [{"level": "STUDY", "orthancId": STUDY}]
    assert found["instancesCount"] == 5
    assert found["remainingAncestor"]
    assert visible() == before - {STUDY}
    assert stored_resources(orthanc) == resources_of(ARCHIVE)
    assert graphql.error(DELETE % "Study", id=STUDY)["extensions"]["code"] == "NOT_FOUND"
    [node] = graphql(TRASH)["trash"]["nodes"]
    assert (node["orthancId"], node["labels"], node["patient"]) == (STUDY, [], {"patientId": "P001"})
    assert len(node["series"]) == 2
    assert timezone.datetime.fromisoformat(node["trashedAt"]) > timezone.now() - timedelta(minutes=1)  # type: ignore[attr-defined]
    for _ in range(2):
        restored = graphql(RESTORE, id=STUDY)["restoreStudy"]
        study: dict[str, Any] = {"description": "Brain study 1", "trashedAt": None, "labels": []}
        assert restored == {"orthancId": STUDY, "study": study}
    assert visible() == before
    assert graphql(TRASH)["trash"]["nodes"] == []
    assert json.loads(ask(orthanc, f"/studies/{STUDY}/metadata")) == json.loads(
        ask(orthanc, f"/studies/{OTHER}/metadata")
    )
    assert _events("TRASHED", "RESTORED", "DELETION") == [
        ("TRASHED", "INTENDED"), ("TRASHED", "SUCCESS"), ("TRASHED", "FAILED"),
        ("RESTORED", "INTENDED"), ("RESTORED", "SUCCESS"), ("RESTORED", "SUCCESS"),
    ]  # fmt: skip


def test_a_patient_without_visible_studies_is_hidden(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]]
) -> None:
    before = visible()
    found = graphql(DELETE % "Patient", id=PATIENT)["deletion"]
    assert found["inTrash"] is True
    assert found["instancesCount"] == 7
    assert found["deleted"] == [{"level": "PATIENT", "orthancId": PATIENT}]
    assert visible() == before - {PATIENT, STUDY, OTHER}
    assert graphql(TRASH)["trash"]["totalCount"] == 2
    graphql(RESTORE, id=OTHER)
    assert visible() == before - {STUDY}
    patient = graphql("query($id: ID!) { patient(orthancId: $id) { studiesCount instancesCount } }", id=PATIENT)
    assert patient["patient"] == {"studiesCount": 1, "instancesCount": 2}


def test_purging_deletes_for_good_also_what_is_in_the_trash(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]]
) -> None:
    graphql(DELETE % "Study", id=STUDY)
    # the only other study of the patient: they are hidden, and not deleted
    found = graphql(DELETE % "Study", id=OTHER, purge=True)["deletion"]
    assert (found["inTrash"], found["remainingAncestor"]) == (False, None)
    assert PATIENT not in visible()
    assert resource_at((1, 1)) in stored_resources(orthanc)
    found = graphql(DELETE % "Patient", id=PATIENT, purge=True, dryRun=True)["deletion"]
    assert found["instancesCount"] == 5
    graphql(DELETE % "Patient", id=PATIENT, purge=True)
    assert resource_at((1,)) not in stored_resources(orthanc)
    assert _events("TRASHED", "DELETION") == [
        (kind, outcome) for kind in ("TRASHED", "DELETION", "DELETION") for outcome in ("INTENDED", "SUCCESS")
    ]


def test_series_and_instances_are_deleted_for_good(orthanc: LocalOrthanc, graphql: GraphQL) -> None:
    place = (1, 1, 2)
    mutation = "mutation($id: ID!) { deletion: deleteSeries(orthancId: $id) { inTrash } }"
    assert graphql(mutation, id=resource_at(place).orthanc_id)["deletion"] == {"inTrash": False}
    assert resource_at(place) not in stored_resources(orthanc)


def test_nobody_changes_the_label(orthanc: LocalOrthanc, graphql: GraphQL) -> None:
    # changing labels needs a name
    token = make_tokens([None])[None]
    client = Client(HTTP_AUTHORIZATION=f"Bearer {token}")
    for mutation in ("addLabels", "removeLabels"):
        for label in ("orthancproxy-trash", "Orthancproxy-TRASH"):
            query = f'mutation {{ {mutation}(level: STUDY, orthancId: "{STUDY}", labels: ["{label}"]) {{ labels }} }}'
            answer = client.post("/graphql/", {"query": query}, content_type="application/json").json()
            assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert studies_in_trash(connect()) == []


def test_what_is_left_in_a_trash_that_was_turned_off_stays_hidden(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]], settings: Settings
) -> None:
    before = visible()
    graphql(DELETE % "Study", id=STUDY)
    settings.ORTHANC_TRASH_DAYS = 0
    assert visible() == before - {STUDY}
    # what is deleted for good now is not what is in the trash
    found = graphql(DELETE % "Patient", id=PATIENT)["deletion"]
    assert (found["inTrash"], found["instancesCount"]) == (False, 2)
    assert resource_at((1, 1)) in stored_resources(orthanc)
    with pytest.raises(CommandError, match="say how long"):
        call_command("empty_trash")
    graphql(RESTORE, id=STUDY)
    assert STUDY in visible()


def test_without_a_trash_the_only_call_for_it_is_the_first(
    orthanc: LocalOrthanc, graphql: GraphQL, settings: Settings
) -> None:
    settings.ORTHANC_TRASH_DAYS = 0
    graphql(VISIBLE)
    graphql(VISIBLE)
    off = graphql.calls.count
    settings.ORTHANC_TRASH_DAYS = 1
    graphql(VISIBLE)
    graphql(VISIBLE)
    # one for each root field
    assert graphql.calls.count == off + 2


def test_an_upload_to_a_study_in_the_trash_restores_it_and_says_so(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]]
) -> None:
    client = Client()

    def upload(*numbers: int) -> dict[str, Any]:
        files = [SimpleUploadedFile(f"{one}.dcm", instance(7, 1, 1, one)) for one in numbers]
        form = {"patient_id": "P007", "upload_key": "key", "files": files}
        response = client.post("/api/orthanc/upload-patient/", form)
        assert response.status_code in (200, 201)
        found: dict[str, Any] = response.json()
        return found

    study = graphql("query($u: ID!) { study(studyInstanceUID: $u) { orthancId } }", u=upload(1)["studyUid"])
    graphql(DELETE % "Study", id=study["study"]["orthancId"])
    assert study["study"]["orthancId"] not in visible()
    # what Orthanc has already, too
    again = upload(1, 2)
    assert any("was in the trash" in warning for warning in again["warnings"])
    assert study["study"]["orthancId"] in visible()
    count = graphql("query($id: ID!) { study(orthancId: $id) { instancesCount } }", id=study["study"]["orthancId"])
    assert count["study"]["instancesCount"] == 2
    assert _events("RESTORED") == [("RESTORED", "INTENDED"), ("RESTORED", "SUCCESS")]
    assert not any("was in the trash" in warning for warning in upload(1, 2)["warnings"])
    graphql(DELETE % "Study", id=study["study"]["orthancId"], purge=True)


def test_a_stored_instance_restores_its_study_and_a_header_says_so(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]]
) -> None:
    graphql(DELETE % "Patient", id=PATIENT)
    # Orthanc has it already
    response = Client().post("/dicom-web/studies", related([instance_file((1, 1, 1, 1))]), content_type=RELATED)
    assert response.status_code == 202
    assert "was in the trash" in response["Warning"]
    assert {STUDY, OTHER, PATIENT} & visible() == {STUDY, PATIENT}
    response = Client().post("/dicom-web/studies", related([instance_file((1, 1, 1, 1))]), content_type=RELATED)
    assert "Warning" not in response


def test_what_is_put_into_the_trash_during_an_upload_is_restored(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = IdentifiedFile.store

    def store_and_delete(file: IdentifiedFile, *args: Any, **options: Any) -> Any:
        stored = store(file, *args, **options)
        graphql(DELETE % "Study", id=STUDY)
        return stored

    monkeypatch.setattr(IdentifiedFile, "store", store_and_delete)
    response = Client().post("/dicom-web/studies", related([instance(1, 1, 7, 1)]), content_type=RELATED)
    assert "was in the trash" in response["Warning"]
    assert STUDY in visible()


def test_instances_that_arrive_past_the_gateway_restore_a_study(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]]
) -> None:
    reported: list[Change] = []
    keeper = TrashKeeper(connect(), reported.extend)
    graphql(DELETE % "Patient", id=PATIENT)
    keeper.look()
    assert not {STUDY, OTHER, PATIENT} & visible()
    # at once, within the second of LastUpdate
    load(orthanc, [instance(1, 1, 9, 1)])
    keeper.look()
    assert {STUDY, OTHER, PATIENT} & visible() == {STUDY, PATIENT}
    assert [(one.kind, one.orthanc_id) for one in reported] == [(Kind.ADDED, PATIENT), (Kind.ADDED, STUDY)]
    assert _events("RESTORED") == [("RESTORED", "INTENDED"), ("RESTORED", "SUCCESS")]


@pytest.mark.parametrize("is_known", [False, True])
def test_a_study_of_a_hidden_patient_adds_the_patient_to_the_changes(
    is_known: bool,
    start_orthanc: StartOrthanc,
    use_orthanc: UseOrthanc,
    graphql: GraphQL,
    settings: Settings,
    transactional_db: None,
) -> None:
    """`is_known`: the log had the patient before they were hidden."""
    settings.ORTHANC_TRASH_DAYS, settings.ORTHANC_CHANGES_DAYS = 30, 7
    orthanc = start_orthanc(configuration={"StableAge": 2})
    use_orthanc(orthanc)
    changes = background(connect()).changes
    assert changes
    # nobody else looks between what arrives and what is put into the trash
    background(connect()).follower.stop()
    changes.look()
    load(orthanc, [instance(1, 1), instance(1, 2), instance(2)])
    ask(orthanc, f"/studies/{STUDY}/labels/ward-7", "PUT", b"")

    def logged(after: int = 0) -> list[tuple[Kind, str]]:
        changes.look()
        return [(one.change.kind, one.change.orthanc_id) for one in change_log.after(after, 1000)]

    if is_known:
        assert (Kind.ADDED, PATIENT) in logged()
    known = change_log.newest()
    graphql(DELETE % "Patient", id=PATIENT)
    stable = Kind.STABLE, Target.at(2).ids["patients"]
    wait_until(lambda: stable in logged())
    # it would tell of a patient whom nobody sees
    assert {kind for kind, one in logged(known) if one == PATIENT} == {Kind.DELETED}
    deleted = change_log.newest()
    appeared = [(Kind.ADDED, PATIENT)]
    for number in (8, 9):
        before = logged()
        load(orthanc, [instance(1, number)])
        new = Target.at(1, number).ids
        appeared += [(Kind.ADDED, new["studies"]), (Kind.ADDED, new["series"])]
        # others become stable meanwhile
        added = [one for one in logged()[len(before) :] if one[0] is Kind.ADDED]
        assert added[: len(appeared)] == appeared
        # they are there when the next one arrives
        appeared = []
    # what is in the trash shows its patient to nobody
    of_ward = ChangeBatch(change_log.after(deleted, 1000), connect()).visible(Scope(labels=frozenset({"ward-7"})))
    assert of_ward == []


def test_the_process_looks_after_the_trash(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]], followed: None
) -> None:
    graphql(DELETE % "Study", id=STUDY)
    load(orthanc, [instance(1, 1, 9, 2)])
    wait_until(lambda: STUDY in visible())


def test_what_is_stored_again_after_it_was_deleted_for_good_is_shown_at_once(
    orthanc: LocalOrthanc, graphql: GraphQL, visible: Callable[[], set[str]]
) -> None:
    graphql(DELETE % "Study", id=STUDY)
    assert STUDY not in visible()
    ask(orthanc, f"/studies/{STUDY}", "DELETE")
    load(orthanc, [instance_file((1, 1, 1, 1))])
    assert STUDY in visible()


def test_another_gateway_hides_and_shows_at_once(orthanc: LocalOrthanc, graphql: GraphQL) -> None:
    client = OrthancClient(ConnectionOptions(orthanc.base_url))
    others = Trash(client, lambda _: nullcontext(), is_on=True)
    assert others.studies() == []
    graphql(DELETE % "Study", id=STUDY)
    assert [one.orthanc_id for one in others.studies()] == [STUDY]
    with recording() as log:
        others.studies()
    assert [(one.method, one.template) for one in log.calls] == [("GET", "/changes")]
    graphql(RESTORE, id=STUDY)
    assert others.studies() == []


def test_the_trash_is_emptied_of_what_is_old_enough(orthanc: LocalOrthanc, graphql: GraphQL, capsys: Any) -> None:
    for one in (STUDY, OTHER):
        graphql(DELETE % "Study", id=one)
    trash = trash_of(connect())
    notes = {study.orthanc_id: note_of(study) for study in trash.studies()}
    old = timezone.now() - timedelta(days=31)
    trash.note(OTHER, TrashNote(old, "", notes[OTHER].last_update, notes[OTHER].instances))
    call_command("empty_trash")
    assert "1 studies were deleted" in capsys.readouterr().out
    left = stored_resources(orthanc)
    assert (resource_at((1, 1)) in left, resource_at((1, 2)) in left) == (True, False)
    assert _events("DELETION") == [("DELETION", "INTENDED"), ("DELETION", "SUCCESS")]
    call_command("empty_trash", "--days", "0")
    assert resource_at((1,)) not in stored_resources(orthanc)


def test_many_instances_are_deleted_for_good_in_parts(
    orthanc: LocalOrthanc, graphql: GraphQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "INSTANCES_PER_DELETION", 2)
    graphql(DELETE % "Study", id=STUDY)
    with recording() as log:
        assert TrashKeeper(connect(), lambda _: None).empty(0) == 1
    # of five instances
    assert [one.template for one in log.calls].count("/tools/bulk-delete") == 2
    assert resource_at((1, 1)) not in stored_resources(orthanc)


def test_days_of_a_label_that_somebody_else_set_begin_when_it_is_seen(orthanc: LocalOrthanc) -> None:
    ask(orthanc, f"/studies/{STUDY}/labels/orthancproxy-trash", "PUT", b"")
    keeper = TrashKeeper(connect(), lambda _: None)
    assert keeper.empty(0) == 0
    keeper.look()
    [study] = studies_in_trash(connect())
    assert (timezone.now() - (note_of(study).at or timezone.now())).total_seconds() < 60
    assert keeper.empty(1) == 0
    assert keeper.empty(0) == 1


def test_what_is_restored_or_arrives_while_the_trash_is_emptied_stays(orthanc: LocalOrthanc, graphql: GraphQL) -> None:
    graphql(DELETE % "Study", id=STUDY)
    trash = trash_of(connect())
    [study] = trash.studies()
    trash.restore(STUDY)
    assert trash.delete(study) is False
    graphql(DELETE % "Study", id=STUDY)
    [study] = trash.studies()
    Event().wait(1.1)
    load(orthanc, [instance(1, 1, 1, 9)])
    assert trash.delete(study) is False
    assert resource_at((1, 1)) in stored_resources(orthanc)


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(("change", "code"), [("restored", "CANCELLED"), ("deleted", "NOT_FOUND")])
def test_the_audit_tells_what_was_left_alone(
    change: str,
    code: str,
    is_late: bool,
    orthanc: LocalOrthanc,
    graphql: GraphQL,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`is_late`: between the last look and the deletion; no event was intended before that."""
    graphql(DELETE % "Study", id=STUDY)
    delete, is_unchanged = Trash.delete, Trash.is_unchanged

    def change_it() -> None:
        if change == "restored":
            graphql(RESTORE, id=STUDY)
        else:
            ask(orthanc, f"/studies/{STUDY}", "DELETE")

    def after_the_look(trash: Trash, study: Any) -> bool:
        change_it()
        return delete(trash, study)

    def before_the_look(trash: Trash, study: Any) -> bool:
        change_it()
        return is_unchanged(trash, study)

    name, late = ("delete", after_the_look) if is_late else ("is_unchanged", before_the_look)
    monkeypatch.setattr(Trash, name, late)
    changes: list[Change] = []
    assert TrashKeeper(connect(), changes.extend).empty(0) == 0
    assert changes == []
    events = AuditEvent.objects.filter(event="DELETION").order_by("pk").values_list("outcome", "error_code")
    assert list(events) == ([("INTENDED", ""), ("FAILED", code)] if is_late else [])
    assert (resource_at((1, 1)) in stored_resources(orthanc)) == (change == "restored")


def test_the_audit_has_one_restoration_by_whoever_was_first(
    orthanc: LocalOrthanc, graphql: GraphQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphql(DELETE % "Study", id=STUDY)
    trash = trash_of(connect())
    [study] = trash.read()
    restore = Trash.restore

    def late(trash: Trash, orthanc_id: str) -> bool:
        restore(trash, orthanc_id)
        return restore(trash, orthanc_id)

    with monkeypatch.context() as patch:
        patch.setattr(Trash, "restore", late)
        graphql(RESTORE, id=STUDY)
    restored = AuditEvent.objects.get(event="RESTORED", outcome="SUCCESS")
    assert restored.counts == {"studies": 0}
    # it is not in the trash any more
    assert bring_back(trash, [study], Author(), "arrival") == []
    assert AuditEvent.objects.filter(event="RESTORED").count() == 2


def test_restoring_waits_for_a_deletion_for_good(
    orthanc: LocalOrthanc, graphql: GraphQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never restores what is deleted a moment later."""
    graphql(DELETE % "Study", id=STUDY)
    trash = trash_of(connect())
    [study] = trash.studies()
    begun, go_on, answers = Event(), Event(), []
    delete = storage.delete

    def slow(*args: Any) -> Any:
        begun.set()
        assert go_on.wait(10)
        return delete(*args)

    monkeypatch.setattr(storage, "delete", slow)
    deleting = Thread(target=trash.delete, args=[study])
    deleting.start()
    assert begun.wait(10)
    restoring = Thread(target=lambda: answers.append(graphql.error(RESTORE, id=STUDY)["extensions"]["code"]))
    restoring.start()
    restoring.join(0.5)
    assert restoring.is_alive()
    go_on.set()
    for thread in (deleting, restoring):
        thread.join(10)
    assert answers == ["NOT_FOUND"]


def test_orthanc_that_checks_revisions(
    start_orthanc: StartOrthanc, use_orthanc: UseOrthanc, settings: Settings
) -> None:
    orthanc = start_orthanc(configuration={"CheckRevisions": True})
    refill(orthanc)
    settings.ORTHANC_TRASH_DAYS = 1
    use_orthanc(orthanc)
    trash: Trash = trash_of(connect())
    trash.note(STUDY, TrashNote(timezone.now()))
    trash.note(STUDY, TrashNote(timezone.now(), "somebody"))
    ask(orthanc, f"/studies/{STUDY}/labels/orthancproxy-trash", "PUT", b"")
    [study] = trash.studies()
    assert note_of(study).by == "somebody"
    assert trash.restore(STUDY)
    assert "4717" not in json.loads(ask(orthanc, f"/studies/{STUDY}/metadata"))


def test_what_was_restored_and_deleted_again_meanwhile_is_not_deleted_for_good(
    orthanc: LocalOrthanc, graphql: GraphQL
) -> None:
    graphql(DELETE % "Study", id=STUDY)
    trash = trash_of(connect())
    [read] = trash.read()
    graphql(RESTORE, id=STUDY)
    graphql(DELETE % "Study", id=STUDY)
    assert not trash.delete(read)
    [now] = trash.read()
    assert trash.delete(now)


def test_an_instance_that_is_deleted_does_not_bring_its_study_back(orthanc: LocalOrthanc, graphql: GraphQL) -> None:
    graphql(DELETE % "Study", id=STUDY)
    trash = trash_of(connect())
    [one, *_] = json.loads(ask(orthanc, f"/studies/{STUDY}/instances"))
    ask(orthanc, f"/instances/{one['ID']}", "DELETE")
    [study] = trash.read()
    assert not trash.has_arrived(study)


def test_a_patient_has_the_name_of_the_study_that_is_shown(orthanc: LocalOrthanc, graphql: GraphQL) -> None:
    graphql(DELETE % "Patient", id=PATIENT)
    load(orthanc, [instance(1, 9, PatientName="Right^Name")])
    query = "query($id: ID!) { patient(orthancId: $id) { name { formatted } studies { orthancId } } }"
    patient = graphql(query, id=PATIENT)["patient"]
    assert "Right" in patient["name"]["formatted"]
    assert len(patient["studies"]) == 1
