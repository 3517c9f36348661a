"""Shares the calls that Orthanc can answer at once between the callers of the gateway (ADR 0016).

Orthanc has a fixed number of HTTP threads (HttpThreadsCount, 50). When all of them are busy it answers nobody, not even
`/system`: 55 finds that read the files of 10,000 instances stopped it for 90 s.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf

from orthancproxy.errors import GatewayUnavailable, LimitExceeded
from orthancproxy.orthanc.deadline import clip_to_deadline
from orthancproxy.orthanc.endpoints import CallKind

MAX_WAIT_SECONDS = 30.0
# a waiting call keeps a thread of the gateway busy
MAX_WAITING_PER_CALLER = 40
POLL_SECONDS = 1.0
# Orthanc continues a find whose client has gone (1.12.7: 36 s for the files of 10,000 instances)
LINGER_SECONDS = 60.0

_current_caller: ContextVar[str] = ContextVar("caller", default="")


@contextmanager
def caller_scope(caller: str) -> Iterator[None]:
    """Attribute all calls within the block to a caller, including those in copies of its context."""
    token = _current_caller.set(caller)
    try:
        yield
    finally:
        _current_caller.reset(token)


def current_caller() -> str:
    """Return the caller of the enclosing `caller_scope`, or an empty text."""
    return _current_caller.get()


@dataclass(slots=True, eq=False)
class Slot:
    """The permission for one call. With `lingers`, it stays taken for a while after its release."""

    caller: str
    kind: CallKind
    granted: threading.Event = field(default_factory=threading.Event)
    lingers: bool = False


@dataclass(frozen=True, slots=True)
class SlotUsage:
    """The number of slots, those that are taken by kind, and the calls that wait for one."""

    total: int
    held: Mapping[CallKind, int]
    waiting: int


class CallSlots:
    """Grants at most `total` slots at once. A freed slot goes to the waiting caller that has the fewest. Thread-safe.

    Of the total, at most half and `max_downloads` are downloads, a third renderings, and a tenth calls that read files.
    A caller has at most half of each kind, rounded up, and a third of the total besides downloads.
    """

    def __init__(
        self,
        total: int,
        max_downloads: int | None = None,
        max_wait_seconds: float = MAX_WAIT_SECONDS,
        linger_seconds: float = LINGER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._max_downloads = max_downloads or total
        self._max_wait_seconds = max_wait_seconds
        self._linger_seconds = linger_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._held: Counter[tuple[str, CallKind]] = Counter()
        self._waiting: list[Slot] = []
        self._lingering: list[tuple[float, Slot]] = []  # by the time at which they are freed

    def limit(self, total: int) -> None:
        """Reduce the total to at most this number."""
        with self._lock:
            self._total = max(1, min(self._total, total))

    def acquire(self, kind: CallKind) -> Slot:
        """Return a slot for the current caller, after waiting for it if need be. Raises GatewayUnavailable."""
        slot = Slot(current_caller(), kind)
        with self._lock:
            self._free_lingering()
            if self._has_room(slot):
                self._grant(slot)
                return slot
            if (
                kind is not CallKind.STORING
                and sum(other.caller == slot.caller for other in self._waiting) >= MAX_WAITING_PER_CALLER
            ):
                raise GatewayUnavailable("Too many of your requests are in progress. Try again later.")
            self._waiting.append(slot)
        try:
            self._wait(slot)
        finally:
            with self._lock:
                if not slot.granted.is_set():
                    self._waiting.remove(slot)
        if not slot.granted.is_set():
            raise GatewayUnavailable("Too many requests are in progress. Try again later.")
        return slot

    def usage(self) -> "SlotUsage":
        """Return how many slots there are, and who has them."""
        with self._lock:
            held = {kind: self._of_kind(kind) for kind in CallKind}
            return SlotUsage(self._total, held, len(self._waiting))

    def release(self, slot: Slot) -> None:
        """Free a slot for the next call."""
        with self._lock:
            if slot.lingers:
                self._lingering.append((self._clock() + self._linger_seconds, slot))
            else:
                self._free(slot)
            self._grant_waiting()

    def _wait(self, slot: Slot) -> None:
        """Wait until the slot is granted, at most until the current deadline."""
        # a file that is not stored may be lost: it was deleted in order to be replaced
        end = self._clock() + (inf if slot.kind is CallKind.STORING else self._max_wait_seconds)
        try:
            while (left := end - self._clock()) > 0 and not slot.granted.wait(
                min(left, clip_to_deadline(POLL_SECONDS))
            ):
                with self._lock:
                    self._free_lingering()
                    self._grant_waiting()
        except LimitExceeded:
            return

    def _has_room(self, slot: Slot) -> bool:
        if slot.kind is CallKind.PROBE:
            return True
        most = self._most(slot.kind)
        if self._held.total() >= self._total or self._of_kind(slot.kind) >= most:
            return False
        if self._held[slot.caller, slot.kind] >= (most + 1) // 2:
            return False
        own = sum(self._held[slot.caller, kind] for kind in CallKind if kind is not CallKind.DOWNLOAD)
        return slot.kind is CallKind.DOWNLOAD or own < max(1, self._total // 3)

    def _most(self, kind: CallKind) -> int:
        shares = {CallKind.DOWNLOAD: 2, CallKind.RENDERING: 3, CallKind.FILES: 10}
        most = max(1, self._total // shares.get(kind, 1))
        return min(most, self._max_downloads) if kind is CallKind.DOWNLOAD else most

    def _of_kind(self, kind: CallKind) -> int:
        return sum(count for (_, of_kind), count in self._held.items() if of_kind is kind)

    def _grant(self, slot: Slot) -> None:
        self._held[slot.caller, slot.kind] += 1
        slot.granted.set()

    def _grant_waiting(self) -> None:
        while ready := [slot for slot in self._waiting if self._has_room(slot)]:
            # the first of them among equals
            chosen = min(ready, key=lambda slot: sum(self._held[slot.caller, kind] for kind in CallKind))
            self._waiting.remove(chosen)
            self._grant(chosen)

    def _free(self, slot: Slot) -> None:
        self._held[slot.caller, slot.kind] -= 1
        if not self._held[slot.caller, slot.kind]:
            del self._held[slot.caller, slot.kind]

    def _free_lingering(self) -> None:
        now = self._clock()
        while self._lingering and self._lingering[0][0] <= now:
            self._free(self._lingering.pop(0)[1])
