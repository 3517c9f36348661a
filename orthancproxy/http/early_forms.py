"""Forms of uploads that are parsed, and whose files are inspected, while they arrive (ADR 0026).

Django receives a whole body before it calls the view. Without this middleware, and under WSGI, the view does all of it
afterwards, with the same result.
"""

import asyncio
import os
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import reduce
from io import BytesIO
from operator import getitem
from typing import IO, Any

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_header_parameters

from orthancproxy.access.actions import Action
from orthancproxy.access.authentication import identify
from orthancproxy.access.callers import Caller, anonymous
from orthancproxy.audit.events import Author
from orthancproxy.database import DATABASE_ERRORS
from orthancproxy.dicom.sources import disk_full_as_error
from orthancproxy.errors import GatewayError, InvalidRequest
from orthancproxy.http.asgi import FORM_TYPE, Application, Message, Receive, Send, is_upload_route, media_type_of
from orthancproxy.http.forwarded import client_address
from orthancproxy.http.multipart import FORM, Form, FormReader
from orthancproxy.orthanc.call_slots import caller_scope
from orthancproxy.threads import RECEIVING
from orthancproxy.uploads.files import SentFile
from orthancproxy.uploads.inspection import EarlyInspections

UPLOADER = "orthancproxy.uploader"  # in the ASGI scope: the caller, or None without the permission
# of a form that are collected in memory; as much again is being written
CHUNK_BYTES = 64 * 1024
OPERATION = ("operations", "map")  # of the GraphQL multipart request specification
EMPTY: Message = {"type": "http.request", "body": b"", "more_body": False}


def receive_early(application: Application, new_spool: Callable[[], IO[bytes]] = tempfile.TemporaryFile) -> Application:
    """Parse the forms of callers with the permission to upload while they arrive; the application gets no body.

    The application is Django's handler, or another that calls it. Forms that arrive at once are left to the view.
    """

    async def received(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or not _is_form(scope):
            await application(scope, receive, send)
            return
        caller = scope[UPLOADER] if UPLOADER in scope else await uploader_of(scope)
        if caller is None:
            await application(scope, receive, send)
            return
        first = await receive()
        form = _early_form(scope, new_spool) if first.get("more_body", False) else None
        if form is None:
            await application(scope, _after(first, receive), send)
            return
        parsed: list[Form | GatewayError] = []
        try:
            with caller_scope(_key(scope, caller)):
                is_complete = await form.receive(first, receive)
            if is_complete:
                parsed.append(form.outcome())
                await application({**scope, FORM: parsed}, _after(EMPTY, receive), send)
        finally:
            parsed.clear()
            form.stop()

    return received


async def uploader_of(
    scope: Mapping[str, Any], identify_caller: Callable[[HttpRequest], Caller] = identify
) -> Caller | None:
    """Return the caller, or None if the credentials are invalid or the caller may not upload.

    Without any credentials, it takes no thread. The view answers and audits; it also checks for forgery.
    """
    # Django rejects some content types with ValueError, which are for the view
    headers = [header for header in scope["headers"] if header[0] != b"content-type"]
    request = ASGIRequest({**scope, "headers": headers}, BytesIO())

    def authenticated() -> Caller | None:
        SessionMiddleware(_no_response).process_request(request)
        AuthenticationMiddleware(_no_response).process_request(request)
        try:
            return identify_caller(request)
        except (GatewayError, *DATABASE_ERRORS):
            return None

    has_credentials = "Authorization" in request.headers or settings.SESSION_COOKIE_NAME in request.COOKIES
    caller = await sync_to_async(authenticated)() if has_credentials else anonymous()
    return caller if caller and Action.UPLOAD in caller.actions else None


class _EarlyForm:
    """A form that is spooled to disk, and parsed, in chunks. The spool is closed when nobody refers to it any more."""

    def __init__(self, boundary: str, spool: IO[bytes]) -> None:
        self._spool = spool
        self._reader = _EarlyFormReader(spool)
        self._parse = self._reader.parser(boundary)
        self._error: GatewayError | None = None

    async def receive(self, first: Message, receive: Receive) -> bool:
        """Receive the body. Return whether it is complete: the client may disconnect."""
        message, pending = first, bytearray()
        written: asyncio.Future[None] | None = None
        while message["type"] == "http.request":
            body = message.get("body", b"")
            pending += body
            is_last = not message.get("more_body", False)
            if is_last or len(pending) >= CHUNK_BYTES:
                # most messages are long enough
                chunk = body if len(body) == len(pending) else bytes(pending)
                pending.clear()
                # while one chunk is written, the next is received
                if written:
                    await written
                written = asyncio.wrap_future(RECEIVING.submit(self._write, chunk))
                if is_last:
                    await written
                    return True
            message = await receive()
        return False

    def outcome(self) -> Form | GatewayError:
        """Return the form when its body has been received, or the error to raise."""
        if self._error:
            return self._error
        try:
            self._reader.end()
        except GatewayError as error:
            return _untraced(error)
        return self._reader.form

    def stop(self) -> None:
        """Inspect no more files."""
        self._reader.inspections.stop()

    def _write(self, chunk: bytes) -> None:
        if self._error:
            return
        try:
            with disk_full_as_error():
                self._spool.write(chunk)
                self._spool.flush()
            self._parse(chunk)
        except GatewayError as error:
            # the view raises it, when the client has sent the rest
            self._error = _untraced(error)
            self._free_disk()

    def _free_disk(self) -> None:
        """Empty the spool, which nobody reads after an error: the rest of the body can take minutes to arrive."""
        self.stop()
        with suppress(OSError):
            os.ftruncate(self._spool.fileno(), 0)


class _EarlyFormReader(FormReader):
    """Inspects the files of a form as soon as their places in it are known. The view checks the places at its end."""

    def __init__(self, body: IO[bytes]) -> None:
        super().__init__(body)
        self.inspections = EarlyInspections()
        self._series_paths: list[str] = []
        self._held: deque[tuple[SentFile, int]] = deque()
        self._count = 0
        self._places: Mapping[str, tuple[int, str]] | None = None

    def end_field(self, name: str, text: str) -> None:
        super().end_field(name, text)
        if name == "series_path":
            self._series_paths.append(text)
            self._begin_held()

    def end_file(self, name: str, file: SentFile) -> None:
        super().end_file(name, file)
        if name == "files":
            self._held.append((file, self._count))
            self._count += 1
            self._begin_held()
        elif name not in OPERATION:
            if self._places is None:
                self._places = _places(self.form)
            if name in self._places:
                self.inspections.begin(file, *self._places[name])

    def _begin_held(self) -> None:
        """Inspect the files of REST that have a series path, or that have been followed by another file instead."""
        paths = self._series_paths
        while self._held and (self._held[0][1] < len(paths) or (not paths and len(self._held) > 1)):
            file, index = self._held.popleft()
            self.inspections.begin(file, index, paths[index] if paths else "")


def _places(form: Form) -> Mapping[str, tuple[int, str]]:
    """Return the positions and series paths of the files of a GraphQL multipart request, by the names of their parts.

    Empty where they are not `files` beside `seriesPaths`.
    """
    places: dict[str, tuple[int, str]] = {}
    with suppress(GatewayError, AttributeError, LookupError, TypeError, ValueError):
        operations, paths = (orjson.loads(form.text(name)) for name in OPERATION)
        for name, [path] in paths.items():
            *parents, _, index = path.split(".")
            folders = reduce(getitem, parents, operations).get("seriesPaths")
            places[name] = int(index), folders[int(index)] if folders else ""
    return places


def _is_form(scope: Mapping[str, Any]) -> bool:
    return media_type_of(scope) == FORM_TYPE and is_upload_route(scope)


def _early_form(scope: Mapping[str, Any], new_spool: Callable[[], IO[bytes]]) -> _EarlyForm | None:
    """Return a form to be received, or None without a boundary: the view answers."""
    content_type = dict(scope["headers"])[b"content-type"].decode("latin-1")
    with suppress(InvalidRequest, KeyError, ValueError):
        return _EarlyForm(parse_header_parameters(content_type)[1]["boundary"], new_spool())
    return None


def _untraced(error: GatewayError) -> GatewayError:
    """Return the same error without the traceback, which would keep the spool open."""
    return type(error)(error.message)


def _key(scope: Mapping[str, Any], caller: Caller) -> str:
    """Return what tells the caller apart from others whose files are inspected, as in the view."""
    peer, *_ = scope.get("client") or ("",)
    forwarded_for = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1")
    return Author(caller.username, address=client_address(peer, forwarded_for)).key


def _after(first: Message, receive: Receive) -> Receive:
    """Return a function that receives one message before the others."""
    messages = [first]

    async def received() -> Message:
        return messages.pop() if messages else await receive()

    return received


def _no_response(_: HttpRequest) -> HttpResponse:
    return HttpResponse()
