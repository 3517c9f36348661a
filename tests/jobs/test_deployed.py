"""Deployed gateways over one database: one follows a job, and another takes over when it is killed or stands still."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psycopg
import pytest

from orthancproxy.sandbox.gateway import LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.access.archive import Target
from tests.browser.users import User, create_token, make
from tests.corpus import instance, load
from tests.jobs.correcting import Archive
from tests.jobs.servers import cancel_all, clear, count
from tests.postgresql import new_database
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once]

MANAGER = User("manager", ["Manager"])
# the gateway that a job is begun at takes the lease
ONLY_JOBS = {"ORTHANC_INDEX": "false", "ORTHANC_CHANGES_DAYS": "0"}
INSTANCES = 2000
SLICES = 60
SEND = """mutation($study: ID!) { sendToModality(input: {modality: "PACS", level: STUDY, orthancIds: [$study]})
  { job { id } } }"""


UNFINISHED = "{ jobs(filter: {isUnfinished: true}) { nodes { id } } }"
CORRECT = """mutation($study: ID!) { modifyStudy(input: {
  orthancId: $study, replace: [{keyword: "StudyDescription", value: "뇌"}], keepUids: true}) { job { id } } }"""


def ask(gateway: LocalGateway, query: str, token: str = "", **variables: Any) -> Any:
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    request = Request(f"{gateway.address}/graphql/", body, headers)  # noqa: S310
    with urlopen(request) as response:  # noqa: S310
        return json.load(response)["data"]


def job_of(gateway: LocalGateway, job_id: str, token: str = "") -> Any:
    return ask(gateway, "query($id: ID!) { job(id: $id) { state progress endedAt } }", token, id=job_id)["job"]


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
    settings = {"DATABASE_URL": url, "ORTHANC_DESTINATIONS": "PACS", **ONLY_JOBS}
    with (
        serving(source.base_url, tmp_path / "first", settings=settings) as first,
        serving(source.base_url, tmp_path / "second", settings=settings) as second,
    ):
        job_id = ask(first, SEND, study=Target.at(7).ids["studies"])["sendToModality"]["job"]["id"]
        wait_until(lambda: count(remote) > 50)
        assert ask(second, UNFINISHED)["jobs"]["nodes"] == [{"id": job_id}]
        signal_all(first, signal.SIGKILL)
        assert job_of(second, job_id)["endedAt"] is None
        wait_until(lambda: job_of(second, job_id)["endedAt"])
        assert job_of(second, job_id)["state"] == "SUCCESS"
    assert count(remote) == INSTANCES


def test_a_correction_survives_that_its_gateway_stands_still(
    source: LocalOrthanc, postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clear(source)
    load(source, [instance(8, 1, 1, number, PixelData=bytes([number, 0]) * 32) for number in range(1, SLICES + 1)])
    before = Archive.of(source)
    url = new_database(postgresql)
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    settings = {"DATABASE_URL": url, "DJANGO_SECRET_KEY": "one for both" * 5, **ONLY_JOBS}
    monkeypatch.setenv("DATABASE_URL", url)
    with (
        serving(source.base_url, tmp_path / "first", settings=settings) as first,
        serving(source.base_url, tmp_path / "second", settings=settings) as second,
        psycopg.connect(url, autocommit=True) as database,
    ):

        def holders() -> set[str]:
            rows = database.execute("SELECT holder FROM orthancproxy_lease WHERE held_until > now()")
            return {holder for (holder,) in rows}

        make(tmp_path / "first", MANAGER)
        token = create_token(tmp_path / "first", MANAGER)
        job_id = ask(first, CORRECT, token, study=Target.at(8).ids["studies"])["modifyStudy"]["job"]["id"]
        # from now on it may take over
        assert ask(second, UNFINISHED, token)["jobs"]["nodes"] == [{"id": job_id}]
        # in the second round, where copies get the identifiers of the originals
        wait_until(lambda: job_of(first, job_id, token)["progress"] > 0.6)
        former = holders()
        signal_all(first, signal.SIGSTOP)
        wait_until(lambda: holders() - former)
        signal_all(first, signal.SIGCONT)
        wait_until(lambda: job_of(second, job_id, token)["endedAt"])
        assert job_of(second, job_id, token)["state"] == "SUCCESS"
    after = Archive.of(source)
    assert after.pixels == before.pixels
    assert after.studies() == before.studies()


def signal_all(gateway: LocalGateway, number: signal.Signals) -> None:
    """Send a signal to a gateway and its worker processes."""
    for pid in (gateway.pid, *gateway.workers()):
        # workers end when the first process has
        with suppress(ProcessLookupError):
            os.kill(pid, number)
