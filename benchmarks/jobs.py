"""Jobs beside 100,000 that have ended, and beside 100: the list, a step of the follower, a poll of subscriptions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import requests

from benchmarks.measuring import BenchmarkError, Row, at_most, duration, in_turn, ratio, repeatedly
from benchmarks.options import Options
from orthancproxy.sandbox.gateway import CHECKOUT, LocalGateway, serving
from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.sandbox.postgresql import LocalPostgreSQL

FEW, MANY = 100, 100_000
QUERY = "{ jobs(first: 50) { nodes { id kind state progress createdBy createdAt error { code } } } }"
QUERIES_A_ROUND = 20
# of the anonymous caller of the query, and one that goes on, which nobody follows: the lease is another's
FILL = """
from datetime import timedelta
from django.db import connection
from django.utils import timezone
from orthancproxy.conf import conf
from orthancproxy.follower.follower import LeaseHolder
from orthancproxy.jobs.models import Job, JobState
LeaseHolder(conf.ORTHANC_BASE_URL, lambda: timezone.now() + timedelta(days=1)).take()
now = timezone.now()
ended = {"kind": "SEND", "level": "Study", "orthanc_ids": [], "studies": [], "parameters": {"destination": "PACS"}}
ends = (now - timedelta(seconds=n) for n in reversed(range(%d)))
jobs = (Job(**ended, state=JobState.SUCCESS, created_at=end, ended_at=end, attempt="x") for end in ends)
Job.objects.bulk_create(jobs, batch_size=1000)
Job.objects.create(**ended, created_by="somebody", attempt="x", attempted_at=now, seen_at=now, orthanc_job="x")
connection.cursor().execute("ANALYZE")
"""
# a step without calls to Orthanc, and a poll of the subscriptions, in seconds: the fastest, since on a busy machine the
# median is of how long they wait for the processor
MEASURE = """
import json, time
from orthancproxy.jobs.following import JobFollower
from orthancproxy.jobs.models import Job
from orthancproxy.jobs.watch import JobWatch
from orthancproxy.jobs.work import WorkContext
class Looked(JobFollower):
    def _follow(self, job):
        pass
follower = Looked(WorkContext(None, lambda changes: None), lambda: True)
watch, watched = JobWatch(), [Job.objects.latest("pk").pk]
def step():
    assert follower.is_needed()
    follower.step()
def fastest(action):
    times = []
    for _ in range(200):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)
step()
print("measured", json.dumps([fastest(step), fastest(lambda: watch._poll(watched))]))
"""


@dataclass(frozen=True, slots=True)
class _Deployment:
    """A gateway, and the environment of its commands."""

    gateway: LocalGateway
    environment: Mapping[str, str]

    def run(self, code: str) -> str:
        """Run Python with the gateway's settings; return what it prints."""
        command = [sys.executable, str(CHECKOUT / "manage.py"), "shell", "-v", "0", "-c", code]
        made = subprocess.run(  # noqa: S603 - the command is this project's own
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise BenchmarkError(f"A command of the gateway failed: {made.stderr[-500:]}")
        return made.stdout

    def measure(self) -> Sequence[float]:
        """Return the seconds of a step of the follower, and of a poll."""
        [line] = [line for line in self.run(MEASURE).splitlines() if line.startswith("measured ")]
        seconds: list[float] = json.loads(line.removeprefix("measured "))
        return seconds

    def list(self) -> float:
        """Return the median seconds of the list's first page."""
        return repeatedly(QUERIES_A_ROUND, self._list)

    def _list(self) -> None:
        with requests.post(f"{self.gateway.address}/graphql/", json={"query": QUERY}, timeout=60) as response:
            if len(response.json()["data"]["jobs"]["nodes"]) != 50:
                raise BenchmarkError("The list of jobs is not what it should be.")


def rows(options: Options) -> Iterator[Row]:
    """Return for each database the ratio of times beside many jobs and beside few."""
    for database in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            orthanc = stack.enter_context(LocalOrthanc())
            many, few = (_deployed(stack, orthanc, database, number) for number in (MANY, FEW))
            lists = in_turn(f"jobs, {database}", [("many", many.list), ("few", few.list)], options.rounds)
            steps: list[Sequence[float]] = []
            polls: list[Sequence[float]] = []
            for _ in range(options.rounds):
                (step, poll), (other_step, other_poll) = many.measure(), few.measure()
                steps.append((step, other_step))
                polls.append((poll, other_poll))
        for name, (slow, fast) in {
            "the first 50": lists,
            "a step of the follower, but for Orthanc": tuple(zip(*steps, strict=True)),
            "a poll for subscriptions": tuple(zip(*polls, strict=True)),
        }.items():
            parts = (duration(f"{MANY:,}", slow), duration(f"{FEW}", fast))
            title = f"jobs, {database}: {name}, beside {MANY:,} / {FEW} that ended"
            yield Row(title, ratio(slow, fast), parts, at_most(1.2))


def _deployed(stack: ExitStack, orthanc: LocalOrthanc, database: str, number: int) -> _Deployment:
    """Start a gateway with that many jobs that have ended, and one that goes on."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-")))
    is_sqlite = database == "SQLite"
    url = f"sqlite:///{folder}/jobs.sqlite3" if is_sqlite else stack.enter_context(LocalPostgreSQL()).url()
    environment = {
        "DATABASE_URL": url,
        "DJANGO_DATA_DIR": str(folder / "data"),
        "ORTHANC_BASE_URL": orthanc.base_url,
    }
    settings = {"DATABASE_URL": url, "ORTHANC_INDEX": "false", "ORTHANC_CHANGES_DAYS": "0"}
    gateway = stack.enter_context(serving(orthanc.base_url, folder, settings=settings))
    deployment = _Deployment(gateway, environment)
    deployment.run(FILL % number)
    return deployment
