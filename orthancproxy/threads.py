"""Every thread of a worker process. docs/deployment.md states how many there can be."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import cache
from threading import Lock, Thread
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async

P = ParamSpec("P")
T = TypeVar("T")


class Pool(ThreadPoolExecutor):
    """At most `size` threads for one kind of work, started as they are needed.

    Work runs in a copy of its caller's context: it has the deadline and the request id, and its calls to Orthanc are
    counted with those of the request.
    """

    def __init__(self, name: str, size: int, reason: str) -> None:
        super().__init__(size, thread_name_prefix=name)
        self.name = name
        self.size = size
        self.reason = reason
        self._tasks = 0
        self._tasks_lock = Lock()

    @property
    def tasks(self) -> int:
        """The number of tasks that run or wait: as many as the pool has threads run."""
        return self._tasks

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin work in a thread."""
        context = copy_context()
        self._count(1)
        try:
            future = super().submit(lambda: context.run(function, *args, **kwargs))
        except RuntimeError:
            self._count(-1)
            raise
        future.add_done_callback(self._ended)
        return future

    async def run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await work in a thread. When the caller is cancelled, work that has begun continues."""
        # asgiref takes along Django's state, such as script prefix and language, which a copied context would hide
        return await sync_to_async(function, thread_sensitive=False, executor=self)(*args, **kwargs)

    def _count(self, number: int) -> None:
        with self._tasks_lock:
            self._tasks += number

    def _ended(self, _: Future[T]) -> None:
        self._count(-1)


GRAPHQL = Pool("graphql", 128, "GraphQL requests without files, which wait for Orthanc")
UPLOADS = Pool("upload", 16, "GraphQL requests with files, which can take minutes: queries do not wait for them")
RECEIVING = Pool("receiving", 4, "writing the forms of uploads to disk, and parsing them, while they arrive")
DOWNLOADS = Pool("download", 64, "reading files and ZIPs from Orthanc: a slow one does not delay other requests")
AHEAD = Pool("ahead", 16, "opening the next file of a response while one is sent")
PREFETCH = Pool("prefetch", 4, "lists that are fetched ahead; where all threads are busy, a request fetches its own")
# two calls at once take 2.2 s for 10,000 files, one 3.5 s (1.10.1, two cores)
FILE_TAGS = Pool("file-tags", 4, "tags that only files have, before Orthanc 1.11, and their DICOM JSON")
PROBES = Pool("probe", 4, "asking Orthanc for `/readyz`, which does not wait for a thread that hangs")
EVENTS = Pool("event", 8, "what event streams deliver after asking Orthanc, once for all that deliver the same")
EVENT_READS = Pool("event-read", 2, "reading the log for event streams, and what they deliver without asking Orthanc")
# of its own: callers are authenticated again while deliveries wait for Orthanc
STREAMS = Pool("stream", 1, "authenticating the callers of event streams again, and closing these streams")
DELETIONS = Pool("deletions", 1, "asking Orthanc whether it has deleted what its script says, after the response")
# with 4, half of Orthanc's time is for others (two cores)
ANONYMIZATION = Pool("anonymization", 3, "reading, anonymizing and storing the files of jobs")
POOLS = (
    GRAPHQL,
    UPLOADS,
    RECEIVING,
    DOWNLOADS,
    AHEAD,
    PREFETCH,
    FILE_TAGS,
    PROBES,
    EVENTS,
    EVENT_READS,
    STREAMS,
    DELETIONS,
    ANONYMIZATION,
)
"""The pools of fixed size; those below depend on the settings and on the load."""

MAX_IDLE_REQUEST_THREADS = 32


@cache
def upload_files(size: int) -> Pool:
    """Return the pool that rewrites and stores uploaded files, one for all uploads: ORTHANC_UPLOAD_THREADS."""
    return Pool("upload-file", size, "rewriting uploaded files and sending them to Orthanc")


def request_thread() -> Pool:
    """Return a thread for the synchronous part of one request at a time. MAX_IDLE_REQUEST_THREADS of them are kept."""
    return Pool("request", 1, "the synchronous part of a request, REST views among it")


def daemon(name: str, function: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Thread:
    """Return a thread for work that lasts as long as the process, which does not wait for it to end."""
    return Thread(target=function, name=name, args=args, kwargs=kwargs, daemon=True)
