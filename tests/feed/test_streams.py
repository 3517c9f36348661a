"""Event streams of changes: what they share and for how long, what delays them, and what ends them."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError
from django.test import AsyncClient
from pytest_django import Settings

from orthancproxy.access.callers import Caller, anonymous
from orthancproxy.access.credentials import Credentials
from orthancproxy.archive.levels import Level
from orthancproxy.audit.events import Author
from orthancproxy.audit.models import AuditEvent
from orthancproxy.errors import ArchiveUnavailable, GatewayError
from orthancproxy.feed.log import Change, Kind, LoggedChange, change_log
from orthancproxy.feed.models import ChangeRow
from orthancproxy.http.change_streams import ChangeStream
from orthancproxy.http.event_streams import EventStreams
from orthancproxy.http.recent_changes import NOT_FOLLOWED
from orthancproxy.resolvers.context import RequestContext
from orthancproxy.sandbox.orthanc import LocalOrthanc
from orthancproxy.threads import EVENTS
from tests.conftest import UseOrthanc
from tests.corpus import ask
from tests.event_streams import CHANGES, event_stream
from tests.waiting import wait_until, wait_until_async

pytestmark = pytest.mark.django_db(transaction=True)

STUDY = Change(Kind.ADDED, Level.STUDY, "study", "P1", "1.2.3", "patient", "study")
DATA = b"data: 1\n\n"


@pytest.fixture(autouse=True)
def _the_tail_ends_with_the_test() -> Iterator[None]:
    yield
    wait_until(lambda: all(thread.name != "changes" for thread in threading.enumerate()))


@dataclass
class Shown:
    """A source that shows the same for all changes, and counts how often it does."""

    key: Hashable = "shown"
    calls_orthanc: bool = False
    data: bytes = DATA
    author: str = "10.0.0.1"
    failures: list[Exception] = field(default_factory=list)
    wait: Callable[[], object] = bool
    count: int = 0

    @property
    def context(self) -> RequestContext:
        return RequestContext(anonymous(), Author(address=self.author))

    def render(self, changes: Sequence[LoggedChange], caller: Caller) -> bytes:
        self.count += 1
        self.wait()
        if self.failures:
            raise self.failures.pop()
        return self.data

    def render_error(self, error: GatewayError) -> bytes:
        return error.code.encode()


@asynccontextmanager
async def opened(streams: EventStreams, source: Any, cursor: int | None = None) -> AsyncIterator[Any]:
    """A stream that has begun, after a cursor or from now on."""
    start = await sync_to_async(change_log.newest)() if cursor is None else cursor
    credentials = Credentials(source.context.caller.authentication)
    stream: Any = streams.respond(ChangeStream(streams, source, credentials, start))
    chunks = aiter(stream)
    assert (await anext(chunks)).startswith(b"retry")
    try:
        yield chunks
    finally:
        await sync_to_async(stream.close)()


async def chunk(stream: Any, seconds: float = 5) -> bytes:
    async with asyncio.timeout(seconds):
        found: bytes = await anext(stream, b"")
    return found


async def append(*changes: Change) -> None:
    await sync_to_async(change_log.append)(changes or [STUDY])


class TestSharing:
    def test_streams_that_show_the_same_share_a_rendering(self) -> None:
        source = Shown()

        async def run() -> None:
            streams = EventStreams()
            async with opened(streams, source) as first, opened(streams, source) as second:
                # a stream reads by itself what was appended before
                await wait_until_async(lambda: streams.changes.may_follow(NOT_FOLLOWED))
                await append()
                assert {await chunk(first), await chunk(second)} == {DATA}

        asyncio.run(run())
        assert source.count == 1

    def test_a_stream_that_opens_later_gets_what_is_shown_then(self) -> None:
        source = Shown()

        async def run() -> None:
            streams = EventStreams()
            start = await sync_to_async(change_log.newest)()
            async with opened(streams, source) as first:
                await append()
                assert await chunk(first) == DATA
                await asyncio.sleep(1.1)
                async with opened(streams, source, start) as second:
                    assert await chunk(second) == DATA

        asyncio.run(run())
        assert source.count == 2


class TestFailures:
    @pytest.mark.parametrize("error", [ArchiveUnavailable("Orthanc is unreachable."), OperationalError("locked")])
    def test_a_stream_continues_after_a_failure_that_may_pass(self, error: Exception) -> None:
        async def run() -> None:
            async with opened(EventStreams(), Shown(failures=[error])) as stream:
                await append()
                assert await chunk(stream) == DATA

        asyncio.run(run())

    def test_streams_expire_when_the_database_was_replaced_and_new_ones_continue(self) -> None:
        async def run() -> None:
            streams = EventStreams()
            async with opened(streams, Shown()) as stream:
                await append()
                assert await chunk(stream) == DATA
                await sync_to_async(ChangeRow.objects.all().delete)()
                assert await chunk(stream) == b"CURSOR_EXPIRED"
                async with opened(streams, Shown()) as another:
                    await append()
                    assert await chunk(another) == DATA

        asyncio.run(run())


def test_a_stream_that_is_one_too_many_is_audited_as_a_failure(settings: Settings) -> None:
    settings.ORTHANC_MAX_STREAMS = 10  # one for each caller

    async def run() -> None:
        async with event_stream():
            response: Any = await AsyncClient().get(CHANGES, headers={"Accept": "text/event-stream"})
            assert response.status_code == 503

    asyncio.run(run())
    assert list(AuditEvent.objects.order_by("pk").values_list("outcome", flat=True)) == ["SUCCESS", "FAILED"]


@pytest.mark.live
def test_a_burst_exceeds_no_limit_that_each_of_its_studies_is_within(
    archive: LocalOrthanc, use_orthanc: UseOrthanc, settings: Settings
) -> None:
    use_orthanc(archive)
    counts = json.loads(ask(archive, "/statistics"))
    # one less than all together
    settings.ORTHANC_MAX_OBJECTS = counts["CountStudies"] + counts["CountSeries"] + counts["CountInstances"] - 1
    ids = json.loads(ask(archive, "/studies"))
    changes = [replace(STUDY, orthanc_id=one, study_orthanc_id=one) for one in ids]

    async def run() -> list[Any]:
        query = "subscription { archiveChanges { orthancId study { series { instances { orthancId } } } } }"
        async with event_stream(query) as stream:
            await append(*changes)
            return [await stream.event() for _ in ids]

    events = asyncio.run(run())
    assert [one.data["data"]["archiveChanges"]["orthancId"] for one in events] == ids
    assert all(one.data["data"]["archiveChanges"]["study"]["series"] for one in events)


class TestDelays:
    def test_hidden_changes_delay_no_heartbeat(self) -> None:
        async def run() -> None:
            ended = asyncio.Event()

            async def hide() -> None:
                while not ended.is_set():
                    await append()
                    await asyncio.sleep(0.1)

            async with opened(EventStreams(heartbeat_seconds=0.5), Shown(data=b"")) as stream:
                hiding = asyncio.create_task(hide())
                # those before the first change have no cursor
                while (heartbeat := await chunk(stream)) == b":\n\n":
                    pass
                assert not hiding.done()
                ended.set()
                await hiding
                assert heartbeat.startswith(b"id: ")

        asyncio.run(run())

    def test_what_needs_no_orthanc_does_not_wait_for_what_does(self) -> None:
        release = threading.Event()

        async def run() -> None:
            streams = EventStreams()
            async with AsyncExitStack() as stack:
                for number in range(2 * EVENTS.size):
                    source = Shown(number, calls_orthanc=True, author=f"{number}", wait=release.wait)
                    slow = await stack.enter_async_context(opened(streams, source))
                    stack.callback(asyncio.create_task(chunk(slow)).cancel)
                stack.callback(release.set)
                async with opened(streams, Shown(author="other")) as stream:
                    await append()
                    assert await chunk(stream, 2) == DATA

        asyncio.run(run())

    def test_an_author_who_is_behind_has_one_thread(self) -> None:
        running: list[int] = []
        counts: list[int] = []

        def wait() -> None:
            running.append(1)
            counts.append(len(running))
            time.sleep(0.05)
            running.pop()

        async def run() -> None:
            streams = EventStreams()
            start = await sync_to_async(change_log.newest)()
            await append()
            async with AsyncExitStack() as stack:
                opening = [opened(streams, Shown(number, calls_orthanc=True, wait=wait), start) for number in range(6)]
                behind = [await stack.enter_async_context(one) for one in opening]
                assert set(await asyncio.gather(*map(chunk, behind))) == {DATA}

        asyncio.run(run())
        assert counts == [1] * 6

    def test_streams_that_wait_for_their_turn_end_with_the_server(self) -> None:
        begun, release = threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            release.wait()

        sources = [Shown(number, calls_orthanc=True, wait=wait) for number in range(3)]

        async def run() -> None:
            streams = EventStreams()
            start = await sync_to_async(change_log.newest)()
            await append()
            async with AsyncExitStack() as stack:
                behind = [await stack.enter_async_context(opened(streams, source, start)) for source in sources]
                chunks = [asyncio.create_task(chunk(one)) for one in behind]
                await asyncio.to_thread(begun.wait)
                streams.close()
                release.set()
                await asyncio.gather(*chunks)

        asyncio.run(run())
        assert sum(source.count for source in sources) == 1
