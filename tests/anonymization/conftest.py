"""A gateway before an Orthanc to anonymize in, whose jobs are followed by the test, step by step."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pytest_django import Settings

from orthancproxy.jobs.following import JobFollower
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.work import WorkContext
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import connect
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.anonymization.archive import clear
from tests.conftest import GraphQL, UseOrthanc
from tests.orthancs import StartOrthanc
from tests.waiting import wait_until

KEY = "a key for the pseudonyms of the tests"
ANONYMIZE = """mutation($input: AnonymizeStudyInput!) { anonymizeStudy(input: $input) {
  dryRun downloadUrl preview { keyword before after }
  warnings { code message instances { sopInstanceUID series { modality } } }
  job { id kind state } } }"""
JOB = """query($id: ID!) { job(id: $id) { state progress endedAt target { orthancIds } study { orthancId }
  result { instancesCount leftOutCount studies { orthancId } } error { code message } } }"""


@pytest.fixture(scope="module")
def orthanc(start_orthanc: StartOrthanc) -> LocalOrthanc:
    return start_orthanc()


@pytest.fixture
def gateway(orthanc: LocalOrthanc, use_orthanc: UseOrthanc, settings: Settings) -> Iterator[LocalOrthanc]:
    """Point the gateway to an empty Orthanc, whose jobs nobody follows."""
    settings.ORTHANC_PSEUDONYM_KEY = KEY
    clear(orthanc)
    use_orthanc(orthanc)
    background(connect()).follower.stop()
    yield orthanc
    clear(orthanc)


@pytest.fixture
def make_follower() -> Callable[[], JobFollower]:
    """Return a function that makes a follower, as another process has one."""

    def make() -> JobFollower:
        client = connect()
        return JobFollower(WorkContext(client, background(client).report), lambda: True)

    return make


@pytest.fixture
def anonymize(graphql: GraphQL, make_follower: Callable[[], JobFollower]) -> Callable[..., dict[str, Any]]:
    """Return a function that anonymizes a study, and returns the job at its end."""

    def run(study: str, **more: Any) -> dict[str, Any]:
        job = graphql(ANONYMIZE, input={"orthancId": study, **more})["anonymizeStudy"]["job"]
        return follow(graphql, job["id"], make_follower())

    return run


def follow(graphql: GraphQL, job_id: str, follower: JobFollower) -> dict[str, Any]:
    """Follow a job to its end."""

    def has_ended() -> bool:
        follower.step()
        return not Job.objects.filter(ended_at__isnull=True).exists()

    wait_until(has_ended)
    found: dict[str, Any] = graphql(JOB, id=job_id)["job"]
    return found
