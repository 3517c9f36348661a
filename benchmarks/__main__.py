"""`make bench`: start an Orthanc and gateways in front of it, run the benchmarks and print their table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import requests

from benchmarks import (
    anonymize,
    clients,
    crowded_upload,
    download,
    growth,
    jobs,
    memory,
    retrieval,
    series_metadata,
    starving,
    study,
    subscribers,
    trash,
    upload,
    viewer,
    whole,
)
from benchmarks.large import growth as large_growth
from benchmarks.large import index_database
from benchmarks.large import lists as large_lists
from benchmarks.large import memory as large_memory
from benchmarks.large import studies as large_studies
from benchmarks.large import worklist as large_worklist
from benchmarks.large.servers import LargeServers
from benchmarks.measuring import BenchmarkError, Row, tables, tell
from benchmarks.options import Options
from benchmarks.stored import default_cache
from orthancproxy.sandbox.orthanc import LocalOrthanc, SandboxError

BENCHMARKS: Mapping[str, Callable[[Options], Iterator[Row]]] = {
    "whole": whole.rows,
    "walk": whole.walk_rows,
    "qido": whole.qido_rows,
    "metadata": series_metadata.rows,
    "retrieval": retrieval.rows,
    "retrieval-memory": retrieval.memory_rows,
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
    "anonymize": anonymize.rows,
    "upload-memory": memory.rows,
    "subscribers": subscribers.rows,
    "jobs": jobs.rows,
    "trash": trash.rows,
    "viewer": viewer.rows,
}
# on 1,000,000 instances; `make bench-large`
LARGE_BENCHMARKS: Mapping[str, Callable[[Options], Iterator[Row]]] = {
    "large-page": large_lists.page_rows,
    "large-qido": large_lists.qido_rows,
    "large-start": large_lists.start_rows,
    "large-search": large_lists.search_rows,
    "large-deep-page": large_lists.deep_page_rows,
    "large-study": large_studies.warm_rows,
    "large-big-study": large_studies.big_rows,
    "large-cold": large_studies.cold_rows,
    "large-clients": large_studies.clients_rows,
    "large-whole": large_studies.whole_rows,
    "large-legacy": large_studies.legacy_rows,
    "large-patients": large_lists.patients_rows,
    "large-index": large_memory.index_rows,
    "large-memory": large_memory.cache_rows,
    "large-worklist": large_worklist.rows,
    "large-database": index_database.rows,
    "large-growth": large_growth.rows,
}
ALL_BENCHMARKS = {**BENCHMARKS, **LARGE_BENCHMARKS}
# what `--only large` stands for
LARGE = (*LARGE_BENCHMARKS, "metadata", "subscribers")
_MARKERS = ("<!-- make bench-large: -->", "<!-- until here -->")
PACKAGES = ("django", "strawberry-graphql", "pydicom", "uvicorn")


def main(arguments: Sequence[str]) -> int:
    """Run the selected benchmarks and return the exit status: 1 if any failed."""
    options = _parser().parse_args(arguments)
    with LocalOrthanc() as orthanc:
        version = orthanc.version
    archives = options.cache / version
    rows: list[Row] = []
    failed: list[str] = []
    with LargeServers(archives) as large:
        how = Options(version, archives, large, options.rounds, options.memory_rounds, options.upload_threads)
        environment = _environment(how)
        tell(", ".join(f"{name} {value}" for name, value in environment.items()))
        for name in options.only:
            try:
                # one by one, so that a failure keeps the rows measured before it
                for row in ALL_BENCHMARKS[name](how):
                    rows.append(row)  # noqa: PERF402
            except (BenchmarkError, requests.RequestException) as error:
                tell(f"{name}: {error}")
                failed.append(name)
            except KeyboardInterrupt:
                tell(f"{name}: stopped")
                failed.append(name)
                break
    if rows:
        sys.stdout.write(f"{tables(rows)}\n")
        if options.update:
            _update(options.update, environment, rows)
    result = {"environment": environment, "failed": failed, "rows": [row.as_json() for row in rows]}
    if options.json:
        options.json.write_text(f"{json.dumps(result, indent=2, ensure_ascii=False)}\n")
    measured = set(options.only) - set(failed)
    if options.plot_large and "large-growth" in measured:
        # the clients' processes import this module too, without matplotlib's start-up time
        from benchmarks import plot

        plot.draw_large(result, options.plot_large)
    if options.plot and "growth" in measured:
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
        help=f"the benchmarks to run, separated by commas: {', '.join(BENCHMARKS)} (all of these); "
        f"{', '.join(LARGE_BENCHMARKS)}; large for these, metadata and subscribers",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        metavar="FOLDER",
        help="where archives are kept between runs; those of 1,000,000 instances take 4 GB (%(default)s)",
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
    parser.add_argument("--plot-large", type=Path, metavar="PNG", help="the same of large-growth")
    parser.add_argument(
        "--plot-with",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="the JSON of another run, for example on another Orthanc, to plot beside it",
    )
    parser.add_argument(
        "--update", type=Path, metavar="FILE", help="write the table between the markers of a Markdown file, too"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result as JSON, with every round")
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    names = [one for name in names for one in (LARGE if name == "large" else [name])]
    unknown = [name for name in names if name not in ALL_BENCHMARKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; choose from {', '.join(ALL_BENCHMARKS)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _update(page: Path, environment: Mapping[str, str | int], rows: Sequence[Row]) -> None:
    """Replace what is between the markers of a page by the table, with its date and versions."""
    before, rest = page.read_text("utf-8").split(_MARKERS[0])
    _, after = rest.split(_MARKERS[1])
    versions = ", ".join(f"{name} {value}" for name, value in environment.items())
    rounds = max(len(row.result.values) for row in rows)
    text = f"{datetime.now(UTC):%Y-%m-%d}: {versions}; {rounds} rounds.\n\n{tables(rows)}"
    page.write_text(f"{before}{_MARKERS[0]}\n{text}\n{_MARKERS[1]}{after}", "utf-8")


def _environment(options: Options) -> dict[str, str | int]:
    """Return the versions and the machine that a result depends on."""
    return {
        "orthanc": options.version,
        "python": platform.python_version(),
        **{package: metadata.version(package) for package in PACKAGES},
        "cores": os.cpu_count() or 0,
        "load": f"{os.getloadavg()[0]:.1f}",
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
