"""The log of the calls to Orthanc that one request makes.

The current log is a context variable. Copies of a context share it, so that calls made in the gateway's thread pools
and in `sync_to_async` are counted; a bare `threading.Thread` starts with an empty context, and its calls are not.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache

from prometheus_client import Counter, Histogram

from orthancproxy.metrics import ORTHANC_CALL_SECONDS, ORTHANC_CALLS


@dataclass(frozen=True, slots=True)
class Call:
    """One call to Orthanc, without patient data.

    `template` is the path with its placeholders, `status` is 0 if there was no response, and `size` is the length of
    the response in bytes.
    """

    method: str
    template: str
    status: int
    seconds: float
    size: int


@dataclass(slots=True)
class CallLog:
    """The number and duration of calls, and the calls themselves if `keep` is true. Thread-safe.

    Calls are added to `parent` as well.
    """

    count: int = 0
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    keep: bool = True
    parent: "CallLog | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, call: Call) -> None:
        """Add a call to this log and its parents."""
        with self._lock:
            self.count += 1
            self.seconds += call.seconds
            if self.keep:
                self.calls.append(call)
        if self.parent is not None:
            self.parent.add(call)


current_calls: ContextVar[CallLog | None] = ContextVar("current_calls", default=None)


@cache
def _metrics(method: str, template: str, status: int) -> tuple[Counter, Histogram]:
    """Return the metrics of a call: to look up their labels takes as long as to count."""
    endpoint = f"{method} {template}"
    return ORTHANC_CALLS.labels(endpoint, status), ORTHANC_CALL_SECONDS.labels(endpoint)


def log_call(call: Call) -> None:
    """Count a call, and add it to the current log, if there is one."""
    calls, seconds = _metrics(call.method, call.template, call.status)
    calls.inc()
    seconds.observe(call.seconds)
    log = current_calls.get()
    if log is not None:
        log.add(call)


@contextmanager
def recording() -> Iterator[CallLog]:
    """Keep all calls made within the block, including those of nested logs."""
    log = CallLog(parent=current_calls.get())
    token = current_calls.set(log)
    try:
        yield log
    finally:
        current_calls.reset(token)
