"""What the gateway deletes leaves its index with the response."""

from collections.abc import Callable

import pytest

from tests.conftest import GraphQL, UseOrthanc
from tests.corpus import instance, load
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.since("1.12.5")]

COUNTS = "{ patients { totalCount } studies { totalCount } }"


def test_deletions_are_counted_at_once(
    start_orthanc: StartOrthanc,
    use_orthanc: UseOrthanc,
    use_index: Callable[[], None],
    graphql: GraphQL,
    transactional_db: None,
) -> None:
    orthanc = use_orthanc(start_orthanc())
    load(orthanc, [instance(*place) for place in [(1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 1, 1), (3, 1, 1)]])
    use_index()

    def counts() -> list[int]:
        return [found["totalCount"] for found in graphql(COUNTS).values()]

    def delete(level: str, orthanc_id: str) -> None:
        graphql(f'mutation {{ delete{level}(orthancId: "{orthanc_id}") {{ deleted {{ orthancId }} }} }}')

    series = graphql("{ seriesList { nodes { orthancId modality study { orthancId studyInstanceUID } } } }")
    by_uid = {one["study"]["studyInstanceUID"][-3:] + one["modality"]: one for one in series["seriesList"]["nodes"]}
    assert counts() == [3, 4]
    delete("Series", by_uid["1.1MR"]["orthancId"])
    assert counts() == [3, 4]
    delete("Study", by_uid["1.2MR"]["study"]["orthancId"])
    assert counts() == [3, 3]
    delete("Series", by_uid["2.1CT"]["orthancId"])
    assert counts() == [2, 2]
    patients = graphql("{ patients { nodes { orthancId patientId } } }")["patients"]["nodes"]
    delete("Patient", next(one["orthancId"] for one in patients if one["patientId"] == "P003"))
    assert counts() == [1, 1]
