"""Which changes a caller sees, and what that costs."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client
from pytest_django import Settings

from orthancproxy.archive.levels import Level
from orthancproxy.archive.scope import Scope
from orthancproxy.errors import InvalidRequest
from orthancproxy.feed.log import Change, Kind, LoggedChange, change_log
from orthancproxy.orthanc.calls import recording
from orthancproxy.resolvers.changes import ChangeBatch, cursor_of
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import ask, instance, load
from tests.orthancs import ONE_CALL_PER_CONNECTION, StartOrthanc

LABEL = "research"
LABELLED = Scope(labels=frozenset({LABEL}))
GONE = "00000000-00000000-00000000-00000000-00000000"


def logged(changes: Sequence[Change]) -> list[LoggedChange]:
    return [LoggedChange(one, number, datetime(2026, 1, 1, tzinfo=UTC)) for number, one in enumerate(changes, 1)]


def changes_of(orthanc: LocalOrthanc) -> dict[str, list[Change]]:
    """Return an update of each patient, study and series of an Orthanc, by PatientID."""
    found = {}
    for study in json.loads(ask(orthanc, "/studies?expand")):
        patient_id, patient = study["PatientMainDicomTags"]["PatientID"], study["ParentPatient"]
        found[patient_id] = [
            Change(Kind.UPDATED, Level.PATIENT, patient, patient_id, None, patient),
            *(
                Change(Kind.UPDATED, level, one, patient_id, "1.2.3", patient, study["ID"])
                for level, one in ((Level.STUDY, study["ID"]), (Level.SERIES, study["Series"][0]))
            ),
        ]
    return found


def test_patterns_of_patient_ids_need_no_call() -> None:
    changes = [
        Change(kind, Level.STUDY, GONE, patient_id, "1.2.3", None, GONE)
        for kind in Kind
        for patient_id in ("P1", "Q1", None)
    ]
    with recording() as calls:
        shown = ChangeBatch(logged(changes), connect()).visible(Scope(patient_ids=("P*",)))
    assert [one.change for one in shown] == [one for one in changes if one.patient_id == "P1"]
    assert calls.count == 0


@pytest.mark.live
@pytest.mark.since("1.12.0")
def test_labels_count_as_they_are_now_and_of_what_is_gone_as_logged(
    start_orthanc: StartOrthanc, use_orthanc: UseOrthanc
) -> None:
    orthanc = start_orthanc(configuration=ONE_CALL_PER_CONNECTION)
    load(orthanc, [instance(patient=number) for number in (1, 2)])
    use_orthanc(orthanc)
    of_patient = changes_of(orthanc)
    ask(orthanc, f"/studies/{of_patient['P001'][1].orthanc_id}/labels/{LABEL}", "PUT")
    gone = [
        Change(kind, Level.STUDY, GONE, "P003", "1.2.3", None, GONE, labels)
        for kind in (Kind.ADDED, Kind.DELETED)
        for labels in (frozenset({LABEL}), frozenset[str]())
    ]
    # whatever they were
    client = connect()
    client.capabilities()
    batch = ChangeBatch(logged([*of_patient["P001"], *of_patient["P002"], *gone]), client)
    with recording() as calls:
        shown = [one.change for one in batch.visible(LABELLED)]
        assert batch.visible(Scope(labels=frozenset({"other"}))) == []
    assert shown == [*of_patient["P001"], gone[0], gone[2]]
    # of studies, of patients, and of the patients' studies, for all scopes together
    assert calls.count <= 3


@pytest.mark.live
def test_studies_of_a_page_are_fetched_together(
    graphql: GraphQL, archive: LocalOrthanc, use_orthanc: UseOrthanc, settings: Settings
) -> None:
    settings.ORTHANC_CHANGES_DAYS = 1
    use_orthanc(archive)
    # what was found out about Orthanc counts for no query
    graphql("{ server { version } }")
    changes = [one for of_patient in changes_of(archive).values() for one in of_patient]
    begin = change_log.newest()
    change_log.append(changes)
    query = """query($after: String, $first: Int) { archiveChanges(after: $after, first: $first) {
        nodes { orthancId a: study { orthancId } b: study { patient { patientId } } } pageInfo { endCursor } } }"""
    counts = []
    for first in (2, len(changes)):
        page = graphql(query, after=str(begin), first=first)["archiveChanges"]["nodes"]
        counts.append(graphql.calls.count)
        assert [(node["a"] or {}).get("orthancId") for node in page] == [
            one.study_orthanc_id for one in changes[:first]
        ]
        assert all(node["a"] is None or node["b"]["patient"]["patientId"] for node in page)
    assert counts[0] == counts[1]


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "٣", "9" * 19])
def test_a_malformed_cursor_is_rejected(cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="The cursor is not valid"):
        cursor_of(cursor)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_changes_are_not_silently_missing_where_there_is_no_log(accept: str) -> None:
    answer: Any = async_to_sync(AsyncClient().get)("/api/orthanc/changes/", headers={"Accept": accept})
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_USER_INPUT")
    assert "ORTHANC_CHANGES_DAYS" in answer.json()["detail"]


def test_streams_need_asgi() -> None:
    answer: Any = Client().get("/api/orthanc/changes/", headers={"Accept": "text/event-stream"})
    assert answer.json() == {
        "detail": "This server does not support event streams: it is not an ASGI server.",
        "code": "BAD_USER_INPUT",
    }
