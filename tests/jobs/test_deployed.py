"""Deployed gateways over one database: one follows a job, and another takes over when it is killed."""

import json
import os
import signal
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.corpus import instance, load
from tests.jobs.servers import cancel_all, clear, count
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

INSTANCES = 2000
SEND = """mutation($study: ID!) { sendToModality(input: {modality: "PACS", level: STUDY, orthancIds: [$study]})
  { job { id } } }"""


def ask(gateway: LocalGateway, query: str, **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = Request(f"{gateway.address}/graphql/", body, {"Content-Type": "application/json"})  # noqa: S310
    with urlopen(request) as response:  # noqa: S310
        return json.load(response)["data"]


def job_of(gateway: LocalGateway, job_id: str) -> Any:
    return ask(gateway, "query($id: ID!) { job(id: $id) { state progress endedAt } }", id=job_id)["job"]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_another_gateway_takes_over_when_the_one_that_follows_is_killed(
    database: str, source: LocalOrthanc, remote: LocalOrthanc, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    load(source, [instance(7, 1, 1, number) for number in range(1, INSTANCES + 1)])
    cancel_all(source)
    clear(remote)
    url = request.getfixturevalue("postgresql") if database == "postgresql" else f"sqlite:///{tmp_path}/shared.sqlite3"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    settings = {
        "DATABASE_URL": url,
        "ORTHANC_DESTINATIONS": "PACS",
        "ORTHANC_INDEX": "false",
        "ORTHANC_CHANGES_DAYS": "0",
    }
    with (
        serving(source.base_url, tmp_path / "first", settings=settings) as first,
        serving(source.base_url, tmp_path / "second", settings=settings) as second,
    ):
        # the first one holds the lease
        job_id = ask(first, SEND, study=Target.at(7).ids["studies"])["sendToModality"]["job"]["id"]
        wait_until(lambda: count(remote) > 50)
        assert ask(second, "{ jobs(filter: {isUnfinished: true}) { nodes { id } } }")["jobs"]["nodes"] == [
            {"id": job_id}
        ]
        kill(first.pid)
        assert job_of(second, job_id)["endedAt"] is None
        wait_until(lambda: job_of(second, job_id)["endedAt"])
        assert job_of(second, job_id)["state"] == "SUCCESS"
    assert count(remote) == INSTANCES


def kill(pid: int) -> None:
    """Kill a gateway with its worker processes."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for one in (pid, *map(int, children)):
        os.kill(one, signal.SIGKILL)
