"""`make bench`: start an Orthanc and gateways in front of it, run the benchmarks and print their table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import requests

from benchmarks import clients, crowded_upload, download, growth, memory, starving, study, upload, whole
from benchmarks.measuring import BenchmarkError, Row, table, tell
from benchmarks.options import Options
from orthancproxy.sandbox.orthanc import LocalOrthanc, SandboxError

BENCHMARKS: Mapping[str, Callable[[Options], Iterator[Row]]] = {
    "whole": whole.rows,
    "walk": whole.walk_rows,
    "qido": whole.qido_rows,
    "cpu": whole.cpu_rows,
    "study": study.rows,
    "clients": clients.rows,
    "starving": starving.rows,
    "legacy": study.legacy_rows,
    "download": download.rows,
    "growth": growth.rows,
    "archive-memory": growth.memory_rows,
    "upload": upload.rows,
    "crowded-upload": crowded_upload.rows,
    "upload-memory": memory.rows,
}
PACKAGES = ("django", "strawberry-graphql", "pydicom", "uvicorn")


def main(arguments: Sequence[str]) -> int:
    """Run the selected benchmarks and return the exit status: 1 if any failed."""
    options = _parser().parse_args(arguments)
    with LocalOrthanc() as orthanc:
        how = Options(orthanc.version, options.rounds, options.memory_rounds, options.upload_threads)
    environment = _environment(how)
    tell(", ".join(f"{name} {value}" for name, value in environment.items()))
    rows: list[Row] = []
    failed: list[str] = []
    for name in options.only:
        try:
            # one by one, so that a failure keeps the rows measured before it
            for row in BENCHMARKS[name](how):
                rows.append(row)  # noqa: PERF402
        except (BenchmarkError, requests.RequestException) as error:
            tell(f"{name}: {error}")
            failed.append(name)
        except KeyboardInterrupt:
            tell(f"{name}: stopped")
            failed.append(name)
            break
    if rows:
        sys.stdout.write(f"{table(rows)}\n")
    result = {"environment": environment, "failed": failed, "rows": [row.as_json() for row in rows]}
    if options.json:
        options.json.write_text(f"{json.dumps(result, indent=2, ensure_ascii=False)}\n")
    if options.plot and "growth" in options.only and "growth" not in failed:
        # the clients' processes import this module too, without matplotlib's start-up time
        from benchmarks import plot

        plot.draw([result, *(json.loads(other.read_text()) for other in options.plot_with)], options.plot)
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
        help=f"the benchmarks to run, separated by commas: {', '.join(BENCHMARKS)} (all)",
    )
    parser.add_argument("--rounds", type=_positive, default=5, help="rounds of every comparison (5)")
    parser.add_argument("--memory-rounds", type=_positive, default=1, help="rounds of every 2 GB upload (1)")
    parser.add_argument(
        "--upload-threads",
        type=_positive,
        default=4,
        help="ORTHANC_UPLOAD_THREADS of the gateway, and the threads that post to Orthanc directly (4)",
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="plot how the time grows, if growth is measured")
    parser.add_argument(
        "--plot-with",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="the JSON of another run, for example on another Orthanc, to plot beside it",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON, with every round")
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _environment(options: Options) -> dict[str, str | int]:
    """Return the versions and the machine that a result depends on."""
    return {
        "orthanc": options.version,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "cores": os.cpu_count() or 0,
        "upload threads": options.upload_threads,
    }


if __name__ == "__main__":
    # so that servers are stopped and their folders removed
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        sys.exit(main(sys.argv[1:]))
    except SandboxError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Stopped.")
