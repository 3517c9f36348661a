"""Bodies that are too long are rejected before Django writes them to disk."""

import asyncio
import errno
from collections.abc import Awaitable, Iterator, Mapping
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from pytest_django import Settings

from orthancproxy.errors import InsufficientStorage
from orthancproxy.project.edge.body_limit import limit_bodies
from orthancproxy.project.edge.rejections import REJECTION

FORM = {b"content-type": b"multipart/form-data; boundary=b"}


async def application(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    """Read as Django does: the whole body, or nothing after a disconnect. A rejected request is a 413 or 400."""
    reason = scope.get(REJECTION)
    status = (
        200
        if reason is None
        else 413
        if isinstance(reason, RequestDataTooBig)
        else 507
        if isinstance(reason, InsufficientStorage)
        else 400
    )
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message.get("more_body"):
            break
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def answer(
    pieces: list[bytes], headers: Mapping[bytes, bytes], path: str = "/graphql/", method: str = "POST"
) -> tuple[int, bytes, int]:
    """Status and body of the answer, and how many pieces were read."""
    rest: Iterator[bytes] = iter(pieces)
    read = 0
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": next(rest), "more_body": read < len(pieces)}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers.items())}
    run(limit_bodies(application, max_field_bytes=10)(scope, receive, send))
    start, body = sent
    return start["status"], body["body"], read


def run(work: Awaitable[None]) -> None:
    async def wait() -> None:
        await work

    asyncio.run(wait())


@pytest.fixture(autouse=True)
def _small_limits(settings: Settings) -> None:
    settings.ORTHANC_MAX_UPLOAD_BYTES = 100
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 20


@pytest.mark.parametrize(("headers", "most"), [(FORM, 110), ({b"content-type": b"application/json"}, 20), ({}, 20)])
class TestBody:
    def test_within_its_limit_is_read(self, headers: Mapping[bytes, bytes], most: int) -> None:
        assert answer([b"x" * most], headers) == (200, str(most).encode(), 1)

    def test_with_a_content_length_over_its_limit_is_not_read(self, headers: Mapping[bytes, bytes], most: int) -> None:
        status, body, read = answer([b"x" * most] * 2, {**headers, b"content-length": str(most + 1).encode()})
        assert (status, body, read) == (413, b"0", 0)

    def test_without_a_content_length_is_not_read_past_its_limit(
        self, headers: Mapping[bytes, bytes], most: int
    ) -> None:
        status, body, read = answer([b"x" * most, b"x", b"x" * 1000], headers)
        assert (status, body, read) == (413, b"0", 2)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
class TestReadingRequest:
    @pytest.mark.parametrize("headers", [{b"content-length": b"2"}, {b"transfer-encoding": b"chunked"}])
    def test_with_a_body_is_rejected_unread(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        assert answer([b"xx"], headers, method=method) == (400, b"0", 0)

    @pytest.mark.parametrize("headers", [{}, {b"content-length": b"0"}])
    def test_without_a_body_is_accepted(self, method: str, headers: Mapping[bytes, bytes]) -> None:
        assert answer([b""], headers, method=method)[0] == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/graphql", 200),
        ("/graphql/", 200),
        ("/api/orthanc/upload-patient", 200),
        ("/api/orthanc/upload-patient/", 200),
        ("/login/", 413),
        ("/admin/auth/user/add/", 413),
        ("/no/such/graphql", 413),
    ],
)
def test_only_upload_routes_take_long_forms(path: str, status: int) -> None:
    assert answer([b"x" * 100], FORM, path)[0] == status


def test_a_body_that_does_not_fit_on_the_disk_is_rejected() -> None:
    sent: list[Mapping[str, Any]] = []

    async def spooling(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if REJECTION not in scope:
            raise OSError(errno.ENOSPC, "No space left on device")
        await application(scope, receive, send)

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    run(limit_bodies(spooling)({"type": "http", "method": "POST", "path": "/", "headers": []}, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 507


def test_another_failure_of_the_disk_is_raised() -> None:
    asked: list[Mapping[str, Any]] = []

    async def failing(scope: dict[str, Any], *_: Any) -> None:
        asked.append(scope)
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        run(limit_bodies(failing)({"type": "http", "method": "POST", "path": "/", "headers": []}, None, None))  # type: ignore[arg-type]
    # it is not answered as a long body
    assert len(asked) == 1


def test_lifespan_events_pass() -> None:
    seen: list[str] = []

    async def lifespan(scope: Mapping[str, Any], *_: Any) -> None:
        seen.append(scope["type"])

    run(limit_bodies(lifespan)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan"]
