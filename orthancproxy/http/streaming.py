"""Streams downloads from Orthanc to the client, in constant memory."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import content_disposition_header, parse_etags

from orthancproxy.access.signed_urls import is_signed
from orthancproxy.archive.byte_ranges import RequestedRange
from orthancproxy.archive.storage import Content
from orthancproxy.conf import conf
from orthancproxy.http.content_security import SANDBOX
from orthancproxy.resolvers.downloads import Download, DownloadRequest
from orthancproxy.threads import DOWNLOADS

IMMUTABLE_SECONDS = 7 * 24 * 60 * 60
"""How long browsers keep versioned files and pictures. Pictures also change with the release and the thumbnail size."""
# one range: several, and what is malformed, are ignored (RFC 9110 section 14.2)
_BYTE_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,100})-([0-9]{0,100})[ \t]*", re.ASCII | re.IGNORECASE)


class AsyncChunks(AsyncIterator[bytes]):
    """The chunks of content, each read in a thread. Django also calls `close` when the client disconnects."""

    def __init__(self, content: Content) -> None:
        self._chunks = iter(content.chunks)
        self.close = content.close

    async def __anext__(self) -> bytes:
        # not `DOWNLOADS.run`: reading needs no state of Django's, whose transfer takes a tenth of the CPU time
        chunk = await asyncio.get_running_loop().run_in_executor(DOWNLOADS, next, self._chunks, None)
        if chunk is None:
            raise StopAsyncIteration
        return chunk


def closing_on_disconnect(
    view: Callable[..., HttpResponseBase],
) -> Callable[..., Coroutine[Any, Any, HttpResponseBase]]:
    """Close the response of a synchronous view if the client disconnects before the view returns.

    Django drops that response without closing it, which would leave the connection to Orthanc open.
    """

    @wraps(view)
    async def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = asyncio.ensure_future(sync_to_async(view)(request, *args, **kwargs))
        try:
            return await asyncio.shield(response)
        except asyncio.CancelledError:
            response.add_done_callback(_close_result)
            raise

    answer.is_download = True  # type: ignore[attr-defined]  # which deployments read before they call it
    return answer


def _close_result(response: "asyncio.Future[HttpResponseBase]") -> None:
    if not response.cancelled() and response.exception() is None:
        response.result().close()


def download_request(request: HttpRequest) -> DownloadRequest:
    """Return what the headers of a request ask for."""
    return DownloadRequest(
        if_none_match=parse_etags(request.headers.get("If-None-Match", "")),
        headers_only=request.method == "HEAD",
        byte_range=_byte_range(request.headers.get("Range", "")),
        if_range=request.headers.get("If-Range"),
        # only nginx follows X-Accel-Redirect: others get the content itself
        is_delegated=bool(conf.ORTHANC_ACCEL_REDIRECT) and request.headers.get("X-Sendfile-Type") == "X-Accel-Redirect",
    )


def _byte_range(text: str) -> RequestedRange | None:
    match = _BYTE_RANGE.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    first, last = (int(number) if number else None for number in match.groups())
    return None if first is not None and last is not None and last < first else RequestedRange(first, last)


def stream(request: HttpRequest, download: Download, *, is_saved: bool = True) -> HttpResponseBase:
    """Return a response that streams a file to save, or an image that the browser shows; for HEAD, its headers."""
    content = download.content
    # a signed URL must not outlive its end in a cache
    is_lasting = download.version is not None and not is_signed(request)
    is_versioned = is_lasting and request.GET.get("v") == download.version
    if content is None:
        return _described(HttpResponseNotModified(), download, is_versioned)
    response: HttpResponseBase
    if content.location:
        response = HttpResponse(content_type=content.media_type)
        response["X-Accel-Redirect"] = conf.ORTHANC_ACCEL_REDIRECT.rstrip("/") + content.location
        if content.span:
            response["X-Accel-Range"] = f"bytes={content.span.first}-{content.span.last}"
    # Django sets Content-Length on all responses but streams, and the length of a ZIP is unknown
    elif request.method == "HEAD" and content.length is not None:
        response = HttpResponse(content_type=content.media_type)
        content.close()
    elif content.is_in_memory:
        response = HttpResponse(b"".join(content), content_type=content.media_type)
    else:
        # Django reads an asynchronous iterator into memory if it serves it synchronously, and vice versa
        chunks = AsyncChunks(content) if isinstance(request, ASGIRequest) else content
        response = StreamingHttpResponse(chunks, content_type=content.media_type)
    if content.length is not None and not content.location:
        response["Content-Length"] = str(content.length)
    if span := content.span:
        response.status_code = 206
        response["Content-Range"] = f"bytes {span.first}-{span.last}/{span.total}"
    response["Content-Disposition"] = content_disposition_header(is_saved, download.filename) or ""
    return _described(response, download, is_versioned)


def _described(response: HttpResponseBase, download: Download, is_versioned: bool) -> HttpResponseBase:
    if download.etag:
        response["ETag"] = download.etag
    if is_versioned:
        response["Cache-Control"] = f"private, max-age={IMMUTABLE_SECONDS}, immutable"
        # not for the next user of the browser
        patch_vary_headers(response, ["Cookie", "Authorization"])
    else:
        # revalidated each time: the URL stays the same while the file may be replaced or deleted
        response["Cache-Control"] = "private, no-cache"
    response["Accept-Ranges"] = "bytes" if download.has_ranges else "none"
    # a project may have no middleware for these
    response["Content-Security-Policy"] = SANDBOX
    response["X-Content-Type-Options"] = "nosniff"
    # pages of other origins load images without CORS, and without Origin
    response["Cross-Origin-Resource-Policy"] = "cross-origin" if conf.ORTHANC_CORS_ORIGINS else "same-origin"
    return response
