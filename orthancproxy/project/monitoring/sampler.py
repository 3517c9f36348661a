"""Sets the gauges of a worker every few seconds: the files that workers share have values, and cannot ask for them."""

import logging
import os
import resource
import time
from collections.abc import Iterable, Mapping
from threading import Event

from django.db import connection

from orthancproxy import metrics
from orthancproxy.archive.index import IndexStage, IndexUnavailable
from orthancproxy.archive.revisions import Lookups
from orthancproxy.archive.scope import EVERYTHING
from orthancproxy.conf import conf
from orthancproxy.database import DATABASE_ERRORS, renewed_connections
from orthancproxy.errors import GatewayError
from orthancproxy.http.event_streams import event_streams
from orthancproxy.http.transfers import in_progress, long_uploads
from orthancproxy.orthanc.deadline import Deadline, deadline_scope
from orthancproxy.resolvers import background
from orthancproxy.resolvers.context import connect, metadata_cache, revision_cache
from orthancproxy.threads import POOLS, Pool, daemon, upload_files

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_SAMPLES = 5.0
# it asks the database and Orthanc
SAMPLES_BETWEEN_LOOKS_AT_INDEX = 3
MAX_SECONDS_OF_INDEX = 2.0
_PAGE_BYTES = resource.getpagesize()


class Sampler:
    """Sets the gauges of this process."""

    def __init__(self) -> None:
        self._cpu_seconds = 0.0
        self._lookups: dict[str, tuple[int, int]] = {}
        self._samples = 0

    def start(self) -> None:
        """Begin, until the end of the process."""
        metrics.WORKERS.set(1)
        metrics.START_TIME.set(time.time())
        daemon("metrics", self._repeat).start()

    def _repeat(self) -> None:
        stopped, is_failing = Event(), False
        while True:
            try:
                self.sample()
                is_failing = False
            except Exception:
                if not is_failing:
                    logger.exception("metrics cannot be set")
                is_failing = True
            stopped.wait(SECONDS_BETWEEN_SAMPLES)

    def sample(self) -> None:
        """Set all gauges once."""
        self._process()
        _requests()
        _pools((*POOLS, upload_files(conf.ORTHANC_UPLOAD_THREADS)))
        _calls()
        _database()
        self._caches()
        if self._samples % SAMPLES_BETWEEN_LOOKS_AT_INDEX == 0:
            _index()
        self._samples += 1

    def _process(self) -> None:
        used = time.process_time()
        metrics.CPU_SECONDS.inc(used - self._cpu_seconds)
        self._cpu_seconds = used
        with open("/proc/self/statm", "rb") as statm:  # noqa: PTH123  a file of Linux
            metrics.MEMORY_BYTES.set(int(statm.read().split()[1]) * _PAGE_BYTES)
        metrics.OPEN_FILES.set(len(os.listdir("/proc/self/fd")))  # noqa: PTH208  names only
        metrics.MAX_OPEN_FILES.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def _caches(self) -> None:
        client = connect()
        metadata, revisions = metadata_cache(client), revision_cache(client)
        lookups: dict[str, Lookups] = {"metadata": metadata.lookups}
        metrics.CACHE_BYTES.labels("metadata").set(metadata.size)
        metrics.CACHE_MAX_BYTES.labels("metadata").set(metadata.max_bytes)
        if revisions:
            lookups |= {"instances": revisions.lookups, "counts": revisions.count_lookups}
            # one limit for both
            metrics.CACHE_BYTES.labels("revisions").set(revisions.size)
            metrics.CACHE_MAX_BYTES.labels("revisions").set(revisions.max_bytes)
        self._count_lookups(lookups)

    def _count_lookups(self, lookups: Mapping[str, Lookups]) -> None:
        for name, now in lookups.items():
            hits, misses = self._lookups.get(name, (0, 0))
            current = now.hits, now.misses
            metrics.CACHE_HITS.labels(name).inc(max(0, current[0] - hits))
            metrics.CACHE_MISSES.labels(name).inc(max(0, current[1] - misses))
            self._lookups[name] = current


def _requests() -> None:
    metrics.REQUESTS_IN_PROGRESS.set(in_progress.count)
    metrics.EVENT_STREAMS.set(event_streams.count)
    metrics.UPLOADS_RECEIVED.set(long_uploads.held)
    metrics.UPLOADS_WAITING.set(long_uploads.waiting)


def _pools(pools: Iterable[Pool]) -> None:
    for pool in pools:
        tasks = pool.tasks
        metrics.POOL_SIZE.labels(pool.name).set(pool.size)
        metrics.POOL_BUSY.labels(pool.name).set(min(tasks, pool.size))
        metrics.POOL_WAITING.labels(pool.name).set(max(0, tasks - pool.size))


def _calls() -> None:
    usage = connect().slots
    metrics.CALL_SLOTS.set(usage.total)
    metrics.CALLS_WAITING.set(usage.waiting)
    for kind, number in usage.held.items():
        metrics.CALLS_IN_PROGRESS.labels(kind.name.lower()).set(number)


def _database() -> None:
    # SQLite has none
    if pool := getattr(connection, "pool", None):
        stats = pool.get_stats()
        metrics.DATABASE_CONNECTIONS.set(stats.get("pool_size", 0))
        metrics.DATABASE_IDLE.set(stats.get("pool_available", 0))
        metrics.DATABASE_WAITING.set(stats.get("requests_waiting", 0))


def _index() -> None:
    state = IndexStage.OFF
    # the first request starts it
    running = background.running()
    if running and running.keeper:
        try:
            # the other gauges are the more interesting while Orthanc hangs
            with renewed_connections(), deadline_scope(Deadline(MAX_SECONDS_OF_INDEX)):
                status = running.keeper.status(EVERYTHING)
                state = status.state
                metrics.INDEX_STUDIES.set(status.studies_count)
                if state is IndexStage.READY:
                    metrics.INDEX_LAG.set(running.keeper.lag())
        except (GatewayError, IndexUnavailable, *DATABASE_ERRORS):
            state = IndexStage.UNAVAILABLE
    for one in IndexStage:
        metrics.INDEX_STATE.labels(one.name.lower()).set(one is state)
