"""Deletion by UID."""

import pytest

from orthancproxy.archive.levels import Level
from orthancproxy.audit.kinds import AuditOutcome
from orthancproxy.audit.models import AuditEvent
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import UseOrthanc
from tests.deletion.deletion_client import FIRST_TWIN, Place, identifiers, refill, resource_at, stored_resources
from tests.dicomweb.client import error, send
from tests.orthancs import StartOrthanc

pytestmark = [pytest.mark.live, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def module_orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc()


@pytest.fixture(autouse=True)
def orthanc(module_orthanc: LocalOrthanc, use_orthanc: UseOrthanc) -> LocalOrthanc:
    refill(module_orthanc)
    return use_orthanc(module_orthanc)


def path_of(place: Place) -> str:
    levels = list(Level)[1 : len(place)]
    uids = identifiers(place)[1:]
    return "/".join(f"{level.path}/{uid}" for level, uid in zip(levels, uids, strict=True))


@pytest.mark.parametrize("place", [(1, 1), (1, 1, 1), (1, 1, 1, 2), (2, 1, 1, 1)])
def test_resource_is_deleted_with_what_is_below_and_parents_that_become_empty(
    place: Place, orthanc: LocalOrthanc
) -> None:
    before = stored_resources(orthanc)
    response = send(path_of(place), method="DELETE")
    assert (response.status_code, response.content) == (204, b"")
    deleted = before - stored_resources(orthanc)
    assert resource_at(place) in deleted
    assert error(path_of(place), method="DELETE")[:2] == (404, "NOT_FOUND")
    intended, done, failed = AuditEvent.objects.order_by("pk").exclude(event="ACCESSED")
    target = resource_at(place)
    assert intended.target == done.target == f"{target.level}/{target.orthanc_id}"
    assert (intended.outcome, done.outcome, failed.outcome) == (
        AuditOutcome.INTENDED,
        AuditOutcome.SUCCESS,
        AuditOutcome.FAILED,
    )


@pytest.mark.parametrize(
    "path",
    [
        "studies/1.2.3",
        f"{path_of((1, 1))}/series/1.2.3",
        # of another study, of another series
        f"{path_of((1, 1))}/series/{identifiers((1, 2, 1))[2]}",
        f"{path_of((1, 1, 1))}/instances/{identifiers((1, 1, 2, 1))[3]}",
    ],
)
def test_resource_that_is_not_at_the_path_is_not_found(path: str, orthanc: LocalOrthanc) -> None:
    before = stored_resources(orthanc)
    assert error(path, method="DELETE")[:2] == (404, "NOT_FOUND")
    assert stored_resources(orthanc) == before


def test_uid_of_two_patients_is_not_deleted(orthanc: LocalOrthanc) -> None:
    before = stored_resources(orthanc)
    for place in ((FIRST_TWIN, 1), (FIRST_TWIN, 1, 1), (FIRST_TWIN, 1, 1, 1)):
        status, code, detail = error(path_of(place), method="DELETE")
        assert (status, code) == (400, "BAD_USER_INPUT")
        assert detail.startswith("2 ")
    assert stored_resources(orthanc) == before
