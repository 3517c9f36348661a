"""A study in the trash is as invisible as a deleted one, whatever is asked, and however."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Order
from orthancproxy.archive.trash import studies_in_trash
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.archive.callers import make_tokens
from tests.archive.oracle_archive import Scope as CallerScope
from tests.conftest import UseOrthanc
from tests.corpus import ask, hierarchy, load
from tests.deletion.deletion_client import resource_at
from tests.orthancs import CrowdedOrthanc, StartOrthanc, index_in_postgresql

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.0")]

PATIENTS, STUDIES = 5, 3
# of patients with all, some and none of their studies left
GONE = [(1, 1), (1, 2), (1, 3), (2, 1), (2, 3), (4, 2)]
LABELS = {(1, 1): "ward-7", (2, 2): "ward-7", (2, 3): "ward-7", (3, 1): "ward-7", (5, 2): "teaching"}

_PAGE = "{ totalCount pageInfo { hasNextPage hasPreviousPage endCursor } nodes { %s } }"
_PATIENT = "orthancId patientId name { formatted } studiesCount instancesCount studies { studyInstanceUID }"
_STUDY = "orthancId studyDate modalities seriesCount instancesCount labels patient { patientId studiesCount }"
_SERIES = "orthancId modality instancesCount study { description patient { patientId instancesCount } }"
_INSTANCE = "orthancId instanceNumber series { seriesNumber study { studyDate } }"
LISTS = {
    "patients": _PATIENT,
    "studies": _STUDY,
    "seriesList": _SERIES,
    "instances": _INSTANCE,
    "patients(orderBy: [{field: PATIENT_NAME, direction: DESC}])": _PATIENT,
    'patients(filter: {search: "Brain 3"})': _PATIENT,
    'patients(filter: {patientId: "P002"})': _PATIENT,
    "studies(orderBy: [{field: STUDY_DATE}, {field: STUDY_TIME}])": _STUDY,
    "studies(orderBy: [{field: DESCRIPTION, direction: DESC}])": _STUDY,
    'studies(filter: {search: "kim002"})': _STUDY,
    'studies(filter: {modalities: ["MR"]})': _STUDY,
    'studies(filter: {labels: {any: ["ward-7"]}})': _STUDY,
    'studies(filter: {labels: {none: ["ward-7"]}})': _STUDY,
    'studies(filter: {labels: {any: ["orthancproxy-trash"]}})': _STUDY,
    'seriesList(filter: {modality: "MR"})': _SERIES,
}
OTHERS = [
    "labels { label count }",
    "server { patientsCount studiesCount seriesCount instancesCount }",
    'patient(patientId: "P002") { studiesCount instancesCount studies { studyDate series { instancesCount } } }',
    'patient(patientId: "P001") { patientId }',
    *(
        f'study(studyInstanceUID: "1.2.826.0.1.3680043.8.498.1.{patient}.{study}") {{ description }}'
        for patient, study in ((2, 1), (2, 2))
    ),
    'series(seriesInstanceUID: "1.2.826.0.1.3680043.8.498.1.2.1.1") { modality }',
    'instance(sopInstanceUID: "1.2.826.0.1.3680043.8.498.1.2.1.1.1") { instanceNumber }',
]
REST = ["patients/", "studies/", "series/"]
QIDO = [
    "studies",
    "studies?limit=3&offset=2",
    "series?limit=4&offset=9",
    "instances?limit=5&offset=20",
    "studies?PatientID=P002",
]


def _load(orthanc: LocalOrthanc) -> LocalOrthanc:
    load(orthanc, hierarchy(PATIENTS, STUDIES, 2, 2))
    for place, label in LABELS.items():
        ask(orthanc, f"/studies/{resource_at(place).orthanc_id}/labels/{label}", "PUT", b"")
    return orthanc


@pytest.fixture(scope="module")
def trashed(start_orthanc: StartOrthanc, postgresql: str) -> dict[str, LocalOrthanc]:
    """Archives with studies in the trash. Debian's plugin for PostgreSQL has labels, but no extended find."""
    found = {"SQLite": _load(start_orthanc()), "PostgreSQL": _load(start_orthanc(**index_in_postgresql(postgresql)))}
    for orthanc in found.values():
        for place in GONE:
            ask(orthanc, f"/studies/{resource_at(place).orthanc_id}/labels/orthancproxy-trash", "PUT", b"")
    return found


@pytest.fixture(scope="module")
def deleted(start_orthanc: StartOrthanc) -> LocalOrthanc:
    """An archive from which the same studies were deleted."""
    orthanc = _load(start_orthanc())
    for place in GONE:
        ask(orthanc, f"/studies/{resource_at(place).orthanc_id}", "DELETE")
    return orthanc


SCOPES = {
    "everything": None,
    "labels": CallerScope(labels=("ward-7",)),
    "patients": CallerScope(patterns=("P00[234]", "P00?")),
}


def _pages(ask_gateway: Callable[[str], Any], name: str, fields: str) -> Iterator[Any]:
    """Yield the pages of a list, three nodes each, then all in one."""
    root, _, arguments = name.partition("(")
    arguments, after = arguments.removesuffix(")"), "null"
    while after:
        page = ask_gateway(f"{{ page: {root}({arguments} first: 3 after: {after}) {_PAGE % fields} }}")["page"]
        info = page["pageInfo"]
        yield page["totalCount"], info["hasNextPage"], info["hasPreviousPage"], page["nodes"]
        after = json.dumps(info["endCursor"]) if info["hasNextPage"] else ""
    yield ask_gateway(f"{{ page: {root}({arguments} first: 0) {{ totalCount pageInfo {{ hasNextPage }} }} }}")
    yield ask_gateway(f"{{ page: {root}({arguments} first: 100) {_PAGE % fields} }}")["page"]["nodes"]


def _answers(headers: dict[str, str]) -> dict[str, Any]:
    client = Client(**headers)  # type: ignore[arg-type]

    def graphql(query: str) -> Any:
        answer = client.post("/graphql/", {"query": query}, content_type="application/json").json()
        assert "errors" not in answer, (query, answer["errors"])
        return answer["data"]

    found: dict[str, Any] = {name: list(_pages(graphql, name, fields)) for name, fields in LISTS.items()}
    found |= {query: graphql(f"{{ {query} }}") for query in OTHERS}
    for path in REST:
        found[path] = client.get(f"/api/orthanc/{path}").json()
    for path in QIDO:
        response = client.get(f"/dicom-web/{path}")
        found[path] = response.status_code, json.loads(response.content or b"null")
    for level in Level:
        for place in ((1, 1), (2, 1), (2, 2), (4, 2)):
            one = resource_at((*place, 1, 1)[: level.depth + 1])
            name = "file" if level is Level.INSTANCE else "archive"
            response = client.head(f"/api/orthanc/{one.level}/{one.orthanc_id}/{name}/")
            response.close()
            found[f"{level.path} {place}"] = response.status_code
    zipped = client.get(f"/api/orthanc/patients/{resource_at((2,)).orthanc_id}/archive/")
    if zipped.status_code == 200:
        content = b"".join(zipped.streaming_content) if zipped.streaming else zipped.content  # type: ignore[attr-defined]
        found["zip"] = len(zipfile.ZipFile(io.BytesIO(content)).namelist())
    return found


@pytest.mark.parametrize("scope", SCOPES)
def test_what_is_in_the_trash_is_as_if_it_were_deleted(
    scope: str,
    trashed: dict[str, LocalOrthanc],
    deleted: LocalOrthanc,
    use_orthanc: UseOrthanc,
    use_index: Callable[[], None],
    settings: Settings,
    transactional_db: None,
) -> None:
    settings.ORTHANC_TRASH_DAYS = 30
    headers = {"HTTP_AUTHORIZATION": f"Bearer {make_tokens([SCOPES[scope]])[SCOPES[scope]]}"}
    use_orthanc(deleted)
    expected = _answers(headers)
    for name, orthanc in trashed.items():
        use_orthanc(orthanc)
        assert _answers(headers) == expected, name
    use_orthanc(trashed["SQLite"])
    use_index()
    assert _answers(headers) == expected, "with an index"


@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_pages_of_large_lists_are_those_of_small_ones(database: str, trashed: dict[str, LocalOrthanc]) -> None:
    """Orthanc pages lists of more than 2,000 resources, which are not sorted by the gateway."""
    client = OrthancClient(ConnectionOptions(trashed[database].base_url))
    crowded = CrowdedOrthanc(ConnectionOptions(trashed[database].base_url))
    hidden = studies_in_trash(client)
    assert len(hidden) == len(GONE)
    orders = {
        Level.PATIENT: (Order("PatientID"),),
        Level.STUDY: (Order("StudyInstanceUID"),),
        Level.SERIES: (Order("SeriesInstanceUID"),),
        Level.INSTANCE: (Order("SOPInstanceUID"),),
    }
    for level, order in orders.items():
        every = Hierarchy(client, hidden=hidden).page(LevelPlan(level=level, order=order)).resources
        whole = [one.orthanc_id for one in every]
        for first in (1, 4) if len(whole) < 20 else (7,):
            for offset in range(0, len(whole) + 5, 5):
                plan = LevelPlan(level=level, order=order, first=first, offset=offset, total=True)
                page = Hierarchy(crowded, hidden=hidden).page(plan)
                assert [one.orthanc_id for one in page.resources] == whole[offset : offset + first]
                assert page.total == len(whole)
                assert page.has_next == (offset + first < len(whole))
