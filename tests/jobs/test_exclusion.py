"""Processes that are asked at the same instant for jobs about the same studies begin one that replaces each."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest

from orthancproxy.sandbox.gateway import CHECKOUT, make_database

PROCESSES, STUDIES = 2, 20
KINDS = ("MODIFY", "MERGE", "MOVE", "ANONYMIZE", "SEND")
SCRIPT = """
import os, sys, django
os.environ["DJANGO_SETTINGS_MODULE"] = "orthancproxy.project.settings"
django.setup()
import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from django.db import connections
from orthancproxy.access.callers import Caller
from orthancproxy.archive.levels import Level
from orthancproxy.audit.events import Author
from orthancproxy.audit.models import AuditEvent, AuditSubject
from orthancproxy.errors import InvalidRequest
from orthancproxy.jobs.models import Job, JobKind
from orthancproxy.resolvers.background import background
from orthancproxy.resolvers.context import RequestContext, connect
from orthancproxy.resolvers.guard import PendingEvent
from orthancproxy.resolvers.job_requests import JobRequest, begin_job
from orthancproxy.resolvers.operations import MODIFY

kinds, studies = sys.argv[1].split(), int(sys.argv[2])
barrier = Barrier(len(kinds), timeout=60)
# there is no Orthanc: the jobs stay as they are
background(connect()).follower.stop()

def ask(kind):
    context = RequestContext(Caller("exclusion"), Author("exclusion"), kind)
    for number in range(studies):
        barrier.wait()
        study = f"study {number}"
        try:
            begin_job(context, PendingEvent(context, MODIFY[Level.STUDY], study),
                      JobRequest(JobKind(kind), Level.STUDY, [study], {}), [study])
        except InvalidRequest as error:
            assert "Another job" in error.message, error
    connections.close_all()

print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(len(kinds)) as pool:
    list(pool.map(ask, kinds))
print("done", flush=True)
if sys.stdin.readline() == "report\\n":
    jobs = Job.objects.filter(created_by="exclusion")
    events = AuditEvent.objects.filter(username="exclusion")
    print(json.dumps([list(jobs.values_list("kind", "studies")), events.count()]), flush=True)
    jobs.delete()
    AuditSubject.objects.filter(event__in=events)._raw_delete("default")
    events._raw_delete("default")
"""


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_requests_at_the_same_instant_begin_one_correction_of_a_study(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue("postgresql") if database == "postgresql" else ""
    environment = {"PATH": os.environ["PATH"], "DJANGO_DATA_DIR": str(tmp_path), "DATABASE_URL": url}
    make_database(environment)
    command, pipe = [sys.executable, "-c", SCRIPT, " ".join(KINDS), str(STUDIES)], subprocess.PIPE
    with ExitStack() as stack:
        processes = []
        for _ in range(PROCESSES):
            started = subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdin=pipe, stdout=pipe, text=True)
            stack.enter_context(started)
            stack.callback(started.kill)
            processes.append(started)

        def says(process: "subprocess.Popen[str]") -> str:
            assert process.stdout
            return process.stdout.readline()

        def tell(process: "subprocess.Popen[str]", line: str) -> None:
            assert process.stdin
            process.stdin.write(f"{line}\n")
            process.stdin.flush()

        for expected, line in (("ready\n", "go"), ("done\n", "report")):
            assert [says(one) for one in processes] == [expected] * PROCESSES
            for one in processes if line == "go" else processes[:1]:
                tell(one, line)
        jobs, events = json.loads(says(processes[0]))
    kinds = defaultdict(list)
    for kind, [study] in jobs:
        kinds[study].append(kind)
    assert len(kinds) == STUDIES
    # some only read
    assert all(len(of_study) == 1 or set(of_study) <= {"ANONYMIZE", "SEND"} for of_study in kinds.values()), kinds
    # what was rejected has no intention
    assert events == len(jobs)
