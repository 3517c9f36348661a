"""Serves the metrics of all workers on an address of their own (ADR 0028).

Each worker writes its values into files of a folder, as prometheus_client does where PROMETHEUS_MULTIPROC_DIR is set
before its import. The process that starts the workers reads them.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from orthancproxy.project.monitoring.folder import lives

_FILE = re.compile(r"gauge_live\w*_(\d+)\.db")


def serve_metrics(host: str, port: int, folder: Path) -> None:
    """Serve the values in a folder, in a thread. Raises OSError if the address cannot be used."""
    registry = CollectorRegistry()
    registry.register(WorkersCollector(folder))
    start_http_server(port, host, registry)


class WorkersCollector(Collector):
    """Collects the values of all workers: counters of those that have died, too, but not their gauges."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        """Return the metrics of all workers, added up as their kinds say."""
        for file in self._folder.iterdir():
            found = _FILE.fullmatch(file.name)
            if found and not lives(int(found[1])):
                mark_process_dead(int(found[1]), str(self._folder))  # type: ignore[no-untyped-call]
        metrics: Iterable[Metric] = MultiProcessCollector(None, str(self._folder)).collect()  # type: ignore[no-untyped-call]
        return metrics
