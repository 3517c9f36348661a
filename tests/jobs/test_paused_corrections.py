"""Corrections whose process stands still at each of its changes, while another one takes over, and then wakes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread, get_ident
from typing import Any

import pytest
from django.db import connections

from orthancproxy.jobs import replacing
from orthancproxy.locks import FileLock
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.sandbox.orthanc import LocalOrthanc
from tests.conftest import GraphQL
from tests.jobs.conftest import Clock
from tests.jobs.test_killed_corrections import SMALL_STEPS, Walk, is_change, new_follower, step_to_the_end
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.once, pytest.mark.django_db(transaction=True)]


class Pause:
    """Lets this thread stand still at its change of this number, while `meanwhile` is carried out."""

    def __init__(self, number: int, meanwhile: Callable[[], None]) -> None:
        self.left = number
        self._meanwhile = meanwhile
        self._thread = get_ident()

    @contextmanager
    def waits(self) -> Iterator[None]:
        """Wait for the changes within the block."""

        def pausing(client: OrthancClient, held: Any, kind: Any, endpoint: Any, *rest: Any, **more: Any) -> Any:
            if is_change(endpoint) and get_ident() == self._thread:
                self.left -= 1
                if self.left == -1:
                    self._meanwhile()
            return send(client, held, kind, endpoint, *rest, **more)

        send = OrthancClient._send
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OrthancClient, "_send", pausing)
            yield


class Successor:
    """A process that takes over, until the job has ended or it has to wait for the one that stands still."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._has_to_wait = Event()
        self._thread = Thread(target=self._run)

    def begin(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(replacing, "shared_lock", self._noticed)
            self._thread.start()
            wait_until(lambda: self._has_to_wait.is_set() or not self._thread.is_alive())

    def end(self) -> None:
        if self._thread.ident:
            self._thread.join()

    def _noticed(self, name: str) -> FileLock:
        if get_ident() == self._thread.ident:
            self._has_to_wait.set()
        return FileLock(name)

    def _run(self) -> None:
        try:
            step_to_the_end(new_follower(self._clock, SMALL_STEPS))
        finally:
            connections.close_all()


def test_a_process_that_wakes_changes_nothing_that_another_one_has_done(
    gateway: LocalOrthanc, superuser: GraphQL, clock: Clock
) -> None:
    walk = Walk(gateway, superuser, keep_uids=True)
    pauses = 0
    while True:
        walk.begin()
        successor = Successor(clock)
        pause = Pause(pauses, successor.begin)
        with pause.waits():
            step_to_the_end(new_follower(clock, SMALL_STEPS))
        successor.end()
        walk.assert_corrected()
        if pause.left >= 0:
            break
        pauses += 1
    assert pauses > 6
