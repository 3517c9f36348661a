"""`make bench`: starts an Orthanc, and gateways before it, runs the benchmarks and prints their table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import requests

from benchmarks import memory, upload
from benchmarks.measuring import BenchmarkError, Row, table, tell
from orthancproxy.sandbox.orthanc import INDEXED_INSTANCE_TAGS, LocalOrthanc, SandboxError

BENCHMARKS = {"upload": upload.rows, "memory": memory.rows}
PACKAGES = ("django", "strawberry-graphql", "pydicom", "uvicorn")


def main(arguments: Sequence[str]) -> int:
    """Run what the arguments select, and return the exit status: 1 when any benchmark failed."""
    options = _parser().parse_args(arguments)
    rounds = {"upload": options.rounds, "memory": options.memory_rounds}
    rows: list[Row] = []
    failed: list[str] = []
    with LocalOrthanc(configuration=INDEXED_INSTANCE_TAGS) as orthanc:
        environment = _environment(orthanc.version, options.upload_threads)
        tell(", ".join(f"{name} {value}" for name, value in environment.items()))
        for name in options.only:
            try:
                # one by one: what was measured before a failure still counts
                for row in BENCHMARKS[name](orthanc, options.upload_threads, rounds[name]):
                    rows.append(row)  # noqa: PERF402
            except (BenchmarkError, requests.RequestException) as error:
                tell(f"{name}: {error}")
                failed.append(name)
    if rows:
        sys.stdout.write(f"{table(rows)}\n")
    if options.json:
        result = {"environment": environment, "failed": failed, "rows": [row.as_json() for row in rows]}
        options.json.write_text(f"{json.dumps(result, indent=2, ensure_ascii=False)}\n")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the gateway against Orthanc itself."
    )
    parser.add_argument(
        "--only",
        type=_names,
        default=list(BENCHMARKS),
        metavar="NAMES",
        help=f"which to run, separated by commas: {', '.join(BENCHMARKS)} (all)",
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="rounds of every comparison (5)")
    parser.add_argument("--memory-rounds", type=_positive, default=1, help="rounds of every 2 GB upload (1)")
    parser.add_argument(
        "--upload-threads",
        type=_positive,
        default=4,
        help="ORTHANC_UPLOAD_THREADS of the gateway, and the threads that post to Orthanc directly (4)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the same as JSON, with every round")
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number


def _environment(orthanc_version: str, upload_threads: int) -> dict[str, str | int]:
    """What a result depends on."""
    return {
        "orthanc": orthanc_version,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "cores": os.cpu_count() or 0,
        "upload threads": upload_threads,
    }


if __name__ == "__main__":
    # so that the servers are stopped and their folders removed
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except SandboxError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped.")
