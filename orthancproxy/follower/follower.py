"""Repeats steps in the background, in one of the processes that share a database."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from threading import Event
from uuid import uuid4

from django.db import connections
from django.db.models import Q
from django.utils import timezone

from orthancproxy.database import DATABASE_ERRORS, renewed_connections
from orthancproxy.errors import GatewayError
from orthancproxy.follower.models import Lease
from orthancproxy.threads import daemon

logger = logging.getLogger(__name__)

# returns whether there is more to do at once
Step = Callable[[], bool | None]

SECONDS_BETWEEN_STEPS = 1.0
# of a step that has more to do: what repeats in vain takes little time
SECONDS_BETWEEN_PARTS = 0.05
MAX_SECONDS_TO_STOP = 10.0
# of a step that fails, in times of the usual wait
MAX_BACKOFF = 8
OUTAGES = (GatewayError, *DATABASE_ERRORS)
# a process that died keeps its lease for this long
LEASE_DURATION = timedelta(seconds=15)


class LeaseHolder:
    """A process that holds a lease of this name, or waits for it. Safe for threads."""

    def __init__(self, name: str, now: Callable[[], datetime] = timezone.now) -> None:
        self._name = name
        self._now = now
        self._id = uuid4().hex
        self._held_until: datetime | None = None

    def take(self) -> bool:
        """Take the lease if it is free, or extend it; return whether this process holds it.

        Raises Django's database errors.
        """
        now = self._now()
        if self._held_until and self._held_until - now > LEASE_DURATION / 2:
            # a write less
            return True
        self._held_until = now + LEASE_DURATION if self._extend(now) else None
        return self._held_until is not None

    def _extend(self, now: datetime) -> bool:
        free = Q(holder=self._id) | Q(held_until=None) | Q(held_until__lt=now)
        taken = {"holder": self._id, "held_until": now + LEASE_DURATION}
        leases = Lease.objects.filter(name=self._name)
        # a process that waits does not write each time
        if leases.filter(free).exists() and leases.filter(free).update(**taken):
            return True
        return Lease.objects.get_or_create(name=self._name, defaults=taken)[0].holder == self._id

    def release(self) -> None:
        """Let another process take the lease at once."""
        self._held_until = None
        Lease.objects.filter(name=self._name, holder=self._id).update(held_until=None)


class Follower:
    """Repeats steps about every second while this process holds the lease, each in a thread of its own.

    A step that takes longer than LEASE_DURATION extends the lease itself. One that fails is repeated after up to
    MAX_BACKOFF times as long. An outage has one line in the log, whatever steps it stops. A step that is `needed` only
    at times is not repeated at others, nor is the lease taken for it.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        lease: LeaseHolder,
        seconds: float = SECONDS_BETWEEN_STEPS,
        needed: Mapping[Step, Callable[[], bool]] = {},
    ) -> None:
        self._lease = lease
        self._needed = dict(needed)
        self._seconds = seconds
        self._stopped = Event()
        self._hurried = {step: Event() for step in steps}
        self._failures: dict[Step, str] = {}
        self._threads = [daemon(f"follower-{number}", self._repeat, step) for number, step in enumerate(steps)]

    def start(self) -> None:
        """Begin, until `stop` or the end of the process."""
        for thread in self._threads:
            thread.start()

    def hurry(self) -> None:
        """Do the next steps that are needed only at times without delay, if it is this process that does them."""
        for step in self._needed:
            self._hurried[step].set()

    def stop(self) -> None:
        """End the threads after their current steps, wait for them for a while, and release the lease."""
        self._stopped.set()
        for hurried in self._hurried.values():
            hurried.set()
        for thread in self._threads:
            thread.join(MAX_SECONDS_TO_STOP)
        self._lease.release()

    def _repeat(self, step: Step) -> None:
        failures = 0
        has_more = False
        while not self._is_stopped_after(step, failures, has_more=has_more):
            has_more = False
            try:
                with renewed_connections():
                    is_needed = self._needed.get(step)
                    if (is_needed is None or is_needed()) and self._lease.take():
                        has_more = bool(step())
            except Exception as error:  # noqa: BLE001 - logged
                self._log(step, error)
                failures += 1
            else:
                self._failures.pop(step, None)
                failures = 0
        connections.close_all()

    def _is_stopped_after(self, step: Step, failures: int, *, has_more: bool) -> bool:
        """Wait for the time of the next step; return whether there is none."""
        if has_more:
            return self._stopped.wait(min(self._seconds, SECONDS_BETWEEN_PARTS))
        if failures:
            return self._stopped.wait(self._seconds * min(2**failures, MAX_BACKOFF))
        self._hurried[step].wait(self._seconds)
        self._hurried[step].clear()
        return self._stopped.is_set()

    def _log(self, step: Step, error: Exception) -> None:
        failure = repr(error)
        if step not in self._failures and failure not in self._failures.values():
            # a bug has a traceback, an outage needs none
            is_outage = isinstance(error, OUTAGES) or isinstance(error.__cause__, OUTAGES)
            logger.warning("a step in the background fails: %s", failure.strip(), exc_info=not is_outage)
        self._failures[step] = failure
