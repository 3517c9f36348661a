"""Counts of labels: the same whether Orthanc counts, the gateway lists what has labels, or a scope shows all of it."""

import json
from collections.abc import Mapping

import pytest

from orthancproxy.archive import labels
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.scope import EVERYTHING, Scope
from orthancproxy.errors import InvalidRequest
from orthancproxy.orthanc.calls import recording
from orthancproxy.orthanc.client import ConnectionOptions, OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import ask, hierarchy, load
from tests.orthancs import StartOrthanc, index_in_postgresql

pytestmark = pytest.mark.live

# every so many resources of a level have the label
EVERY: Mapping[str, Mapping[Level, int]] = {
    "all": dict.fromkeys(Level, 1),
    "All": {Level.STUDY: 2},
    "some": {Level.PATIENT: 2, Level.SERIES: 3, Level.INSTANCE: 5},
    "-": {Level.INSTANCE: 35},
}
# all patients, but not as a scope that hides nothing
SEES_ALL = Scope(patient_ids=("P*",))


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def orthanc(request: pytest.FixtureRequest, start_orthanc: StartOrthanc) -> LocalOrthanc:
    """Debian's plugin for PostgreSQL has labels, but no extended find."""
    over_postgresql = request.param == "PostgreSQL"
    orthanc = start_orthanc(**(index_in_postgresql(request.getfixturevalue("postgresql")) if over_postgresql else {}))
    load(orthanc, hierarchy())
    return orthanc


@pytest.fixture(scope="module")
def client(orthanc: LocalOrthanc) -> OrthancClient:
    return OrthancClient(ConnectionOptions(orthanc.base_url))


@pytest.fixture(scope="module")
def expected(orthanc: LocalOrthanc, client: OrthancClient) -> dict[str, int]:
    """Label the archive, and return how many resources have each label."""
    if not client.capabilities().has_labels:
        return {}
    counts = dict.fromkeys(sorted(EVERY), 0)
    for label, steps in EVERY.items():
        for level, step in steps.items():
            for orthanc_id in json.loads(ask(orthanc, f"/{level.path}"))[::step]:
                labels.add(client, level, orthanc_id, label)
                counts[label] += 1
    return counts


@pytest.mark.since("1.12.0")
@pytest.mark.parametrize("scope", [EVERYTHING, SEES_ALL], ids=["everything", "a scope"])
@pytest.mark.parametrize("max_listed", [0, 4, labels.MAX_LISTED])
def test_labels_are_counted_the_same_whichever_way(
    scope: Scope, max_listed: int, client: OrthancClient, expected: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "MAX_LISTED", max_listed)
    found = labels.count(client, Hierarchy(client, scope))
    assert found == expected
    assert list(found) == sorted(expected)


@pytest.mark.since("1.12.5")
def test_a_call_for_all_labels_and_two_at_most_for_each_level(client: OrthancClient, expected: dict[str, int]) -> None:
    counts = [("POST", "/tools/count-resources")] if client.capabilities().has_extended_find else []
    view = Hierarchy(client)
    # what the client learns once, such as limits of finds
    labels.count(client, view)
    with recording() as log:
        labels.count(client, view)
    assert [(one.method, one.template) for one in log.calls] == [
        ("GET", "/tools/labels"),
        *[*counts, ("POST", "/tools/find")] * len(Level),
    ]


def test_orthanc_without_labels_has_no_counts(start_orthanc: StartOrthanc, client: OrthancClient) -> None:
    if client.capabilities().has_labels:
        empty = start_orthanc()
        nothing = OrthancClient(ConnectionOptions(empty.base_url))
        assert labels.count(nothing, Hierarchy(nothing)) == {}
        return
    with pytest.raises(InvalidRequest, match="does not support labels"):
        labels.count(client, Hierarchy(client))


@pytest.mark.since("1.12.11")
def test_labels_of_patients_cannot_be_changed_without_their_routes(start_orthanc: StartOrthanc) -> None:
    orthanc = start_orthanc(configuration={"PatientLevelEnabled": False})
    capabilities = OrthancClient(ConnectionOptions(orthanc.base_url)).capabilities()
    labels.check_support(capabilities, Level.STUDY)
    with pytest.raises(InvalidRequest, match="PatientLevelEnabled"):
        labels.check_support(capabilities, Level.PATIENT)
