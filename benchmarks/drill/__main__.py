"""The command line of the drill."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

import psycopg

from benchmarks.drill.deployment import Deployment, deployed
from benchmarks.drill.faults import FAULTS, Fault
from benchmarks.drill.load import Client, Load
from benchmarks.drill.report import Report, Struck, compare
from benchmarks.servers import session
from orthancproxy.sandbox.orthanc import Installation, LocalOrthanc

WRITERS, READERS = 4, 3
SETTLE_SECONDS = 15.0
SEED = 20_260_101
_SUCCEEDED = """
    SELECT request_id, event FROM orthancproxy_auditevent
    WHERE outcome IN ('SUCCESS', 'PARTIAL') AND event IN ('IMPORT', 'DELETION') AND request_id LIKE 'drill-%'
"""


def main(arguments: Sequence[str]) -> int:
    """Drill, and return the exit status: 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drill", description="Let parts of a deployment fail.")
    parser.add_argument(
        "--orthanc-root",
        action="append",
        metavar="FOLDER",
        help="folder of a Debian whose Orthanc is drilled, as ORTHANC_ROOT; empty: the installed one; again for more",
    )
    parser.add_argument("--index-in-postgresql", action="store_true", help="keep Orthanc's index in PostgreSQL, too")
    parser.add_argument(
        "--settle", type=float, default=SETTLE_SECONDS, help=f"seconds after a fault ({SETTLE_SECONDS:g})"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="faults with this text in their names")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the clients' random choices")
    options = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if options.only in fault.name]
    failed = False
    for root in options.orthanc_root or [""]:
        installation = Installation("/usr/sbin/Orthanc", Path(root).resolve()) if root else Installation.find()
        with (
            tempfile.TemporaryDirectory(prefix="drill-") as folder,
            deployed(Path(folder), installation, index_in_postgresql=options.index_in_postgresql) as deployment,
        ):
            report = drill(deployment, faults, options.settle, options.seed)
        sys.stdout.write("\n".join([*report.lines(), "", ""]))
        sys.stdout.flush()
        failed = failed or any(report.failures())
    return 1 if failed else 0


def drill(deployment: Deployment, faults: Sequence[Fault], settle_seconds: float, seed: int) -> Report:
    """Let the faults happen under load, one after the other, and compare the archive with what was acknowledged."""
    address = deployment.nginx.address
    rngs = [Random(f"{seed} {number}") for number in range(WRITERS + READERS)]  # noqa: S311 - repeatable, not secret
    token = deployment.provider.token("drill", "Manager", seconds=3600)
    clients = [
        # every other one has a token of the provider
        Client(str(number), address, rng, token if number % 2 else "")
        for number, rng in enumerate(rngs)
    ]
    load = Load(clients[:WRITERS], clients[WRITERS:])
    began = time.monotonic()
    load.start()
    struck: list[tuple[str, float, float]] = []
    try:
        time.sleep(settle_seconds)
        for fault in faults:
            start = time.monotonic()
            fault.happen(deployment)
            struck.append((fault.name, start, time.monotonic()))
            for host in deployment.hosts:
                deployment.wait_until_ready(host)
            time.sleep(settle_seconds)
        ended = time.monotonic()
    finally:
        load.end()
    for client in load.clients:
        client.check()
    notes = load.notes()
    lost, doubled = compare(load.expected(), _archived(deployment.orthanc))
    starts = [start for _, start, _ in struck[1:]] + [ended]
    return Report(
        deployment.orthanc.version,
        ended - began,
        [Struck(name, start, over, after) for (name, start, over), after in zip(struck, starts, strict=True)],
        notes,
        lost,
        doubled,
        list(_unaudited(deployment, notes.acknowledged)),
    )


def _archived(orthanc: LocalOrthanc) -> Mapping[str, Mapping[str, int]]:
    """Return the number of instances of each study, by patient."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    with session() as one:
        for study in one.get(f"{orthanc.base_url}/studies?expand").json():
            instances = one.get(f"{orthanc.base_url}/studies/{study['ID']}/instances").json()
            found[study["ParentPatient"]][study["ID"]] = len(instances)
    return found


def _unaudited(deployment: Deployment, acknowledged: Mapping[str, str]) -> Iterator[str]:
    with psycopg.connect(deployment.postgresql.url("gateway")) as connection:
        events = Counter((str(row[0]), str(row[1])) for row in connection.execute(_SUCCEEDED))
    for request_id, event in acknowledged.items():
        if (count := events[request_id, event]) != 1:
            yield f"the audit has {count} events of {request_id}, a {event}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
