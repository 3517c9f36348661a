"""How many calls to Orthanc a search costs: a matter of its shape, never of how many studies there are."""

import time
from collections.abc import Callable

import pytest

from orthancproxy.orthanc.calls import recording
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc
from tests.conftest import UseOrthanc
from tests.corpus import ROOT, hierarchy, load
from tests.dicomweb.client import search
from tests.orthancs import ONE_CALL_PER_CONNECTION, learn_clock

pytestmark = pytest.mark.live

SETTLED_SECONDS = 4.0
STUDY = f"studies/{ROOT}.1.1"
SERIES = f"{STUDY}/series/{ROOT}.1.1.1"
# the calls on 1.12.5 and newer, the first time and again, and on older ones
SHAPES = {
    "studies": (2, 2, 3),
    "studies?limit=1": (2, 2, 3),
    "studies?PatientID=P001": (2, 2, 3),
    "series": (3, 3, 3),
    "series?Modality=CT&limit=2": (3, 3, 4),
    "instances": (4, 3, 4),
    "instances?InstanceNumber=1": (4, 4, 6),
    "instances?PatientID=P001&Modality=CT": (4, 3, 5),
    f"{STUDY}/series": (2, 2, 2),
    f"{STUDY}/instances": (3, 2, 3),
    f"{SERIES}/instances": (2, 1, 3),
    f"{SERIES}/instances?includefield=PatientName,00280010": (4, 3, 5),
}


@pytest.fixture(scope="module")
def archives(start_orthanc: Callable[..., LocalOrthanc]) -> dict[int, LocalOrthanc]:
    """Archives of one patient and of twenty, each with two studies of two series of two instances."""
    options = {**INDEXED_INSTANCE_TAGS, **ONE_CALL_PER_CONNECTION}
    archives = {count: start_orthanc(configuration=options) for count in (1, 20)}
    for count, orthanc in archives.items():
        load(orthanc, hierarchy(patients=count, studies=2, series=2, instances=2))
    # what was stored a moment ago is not kept
    time.sleep(SETTLED_SECONDS)
    return archives


@pytest.mark.parametrize("patients", [1, 20])
def test_number_of_calls_depends_on_the_shape_only(
    patients: int, archives: dict[int, LocalOrthanc], use_orthanc: UseOrthanc
) -> None:
    use_orthanc(archives[patients])
    is_extended = connect().capabilities().has_extended_find
    counted = {}
    for path in SHAPES:
        connect.cache_clear()
        connect().capabilities()
        learn_clock(connect())
        counts = []
        for _ in range(2):
            with recording() as calls:
                assert search(path)
            counts.append(calls.count)
        counted[path] = tuple(counts)
    assert counted == {
        path: (first, again) if is_extended else (plain, plain) for path, (first, again, plain) in SHAPES.items()
    }
