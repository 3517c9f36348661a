"""Two deployed gateways over one PostgreSQL: both have the same log, whoever changes the archive."""

import json
import time
from collections.abc import Iterator
from urllib.request import urlopen

import pytest

from orthancproxy.archive.levels import Level
from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.corpus import instance, load
from tests.deletion.deletion_client import RESTDeletion, resource_at
from tests.deletion.deletion_client import over_http as sending_to
from tests.orthancs import StartOrthanc
from tests.uploads.upload_client import REST, File
from tests.uploads.upload_client import over_http as posting_to
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

Told = tuple[str, str, str]


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc()


@pytest.fixture(scope="module")
def gateways(
    orthanc: LocalOrthanc, postgresql: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[LocalGateway]]:
    settings, folder = {"DATABASE_URL": postgresql}, tmp_path_factory.mktemp("gateways")
    with (
        serving(orthanc.base_url, folder / "first", settings=settings) as first,
        serving(orthanc.base_url, folder / "second", settings=settings) as second,
    ):
        yield [first, second]


def told(gateway: LocalGateway) -> list[Told]:
    """The changes that a gateway has: kind, level and Orthanc id."""
    with urlopen(f"{gateway.address}/api/orthanc/changes/?limit=1000") as response:  # noqa: S310
        changes = json.load(response)["changes"]
    return [(one["kind"], one["level"], one["orthancId"]) for one in changes]


def line(kind: str, *place: int) -> list[Told]:
    """A change of the patient, study and series at a place."""
    levels = [level.value.lower() for level in Level]
    return [(kind, levels[end - 1], resource_at(place[:end]).orthanc_id) for end in range(1, 4)]


def test_both_gateways_tell_each_change_once(orthanc: LocalOrthanc, gateways: list[LocalGateway]) -> None:
    first, second = gateways
    # with this at the latest, the log has begun
    REST(posting_to(first.port))([File(instance(3))], patientId="first")
    start = told(first)
    load(orthanc, [instance(1)])
    began = time.monotonic()
    wait_until(lambda: len(told(second)) >= len(start) + 3)
    seconds = time.monotonic() - began
    upload = REST(posting_to(first.port))([File(instance(2))], patientId="uploaded")
    assert told(second)[-2:] == [("added", "study", upload.study_id), ("added", "series", upload.series_ids[0])]
    RESTDeletion(sending_to(second.port))("studies", resource_at((1, 1)).orthanc_id)
    assert set(told(first)[-2:]) == {("deleted", *one[1:]) for one in line("deleted", 1, 1, 1)[:2]}
    assert told(first) == told(second)
    assert told(first)[len(start) : len(start) + 3] == line("added", 1, 1, 1)
    assert len(told(first)) == len(start) + 8
    assert seconds < 10
