"""Which calls to Orthanc one piece of work made: how many, how long, and (for those who ask) which.

The log of the current work is in a context variable. Copies of a context share the log, so that calls made in
the threads of asgiref's `sync_to_async` and of `asyncio.to_thread` are counted too; a bare `threading.Thread`
starts with an empty context, and its calls are not.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Call:
    """One call to Orthanc, without patient data.

    `template` is the path with its parts still in braces, `status` is 0 when no answer came, `seconds` is how
    long it took and `size` is the answer's length in bytes.
    """

    method: str
    template: str
    status: int
    seconds: float
    size: int


@dataclass(slots=True)
class CallLog:
    """The calls of one piece of work; safe to share between threads.

    `calls` stays empty unless `keep` is true, since a subscription may live for days. What is recorded here
    is recorded in `parent` as well.
    """

    count: int = 0
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)
    keep: bool = True
    parent: "CallLog | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def add(self, call: Call) -> None:
        """Count one call, here and in every log around this one."""
        with self._lock:
            self.count += 1
            self.seconds += call.seconds
            if self.keep:
                self.calls.append(call)
        if self.parent is not None:
            self.parent.add(call)


current_calls: ContextVar[CallLog | None] = ContextVar("current_calls", default=None)


def record(call: Call) -> None:
    """Count one call in the log of the current work, if there is one."""
    log = current_calls.get()
    if log is not None:
        log.add(call)


@contextmanager
def recording() -> Iterator[CallLog]:
    """Keep every call made inside the block, also those that a request logs for itself."""
    log = CallLog(parent=current_calls.get())
    token = current_calls.set(log)
    try:
        yield log
    finally:
        current_calls.reset(token)
