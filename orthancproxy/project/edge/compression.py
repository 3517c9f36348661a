"""Compresses long JSON for clients that accept gzip; files, images and streams are sent uncompressed."""

import gzip
import re
from collections.abc import Awaitable
from typing import TypeGuard, cast

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.deprecation import MiddlewareMixin

MIN_BYTES = 14_000  # what is shorter fits into the first ten packets of a connection (RFC 6928), compressed or not
# 10 MB in 90 ms, to 2.8 MB; Django's GZipMiddleware is fixed at 6: 210 ms, to 2.6 MB
GZIP_LEVEL = 1
ACCEPTS_GZIP = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)
JSON = re.compile(r"application/([\w.-]+\+)?json\b")


class Compression(MiddlewareMixin):
    """Compresses in a thread, so that other requests are not delayed."""

    async def __acall__(self, request: HttpRequest) -> HttpResponseBase:
        answer = cast("Awaitable[HttpResponseBase]", self.get_response(request))
        response = await answer
        if not _is_long_json(response):
            return response
        return await sync_to_async(_compress)(request, response) if _accepts(request) else _compress(request, response)

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Return the response, compressed if it is long JSON."""
        return _compress(request, response) if _is_long_json(response) else response


def _accepts(request: HttpRequest) -> bool:
    return ACCEPTS_GZIP.search(request.headers.get("Accept-Encoding", "")) is not None


def _is_long_json(response: HttpResponseBase) -> TypeGuard[HttpResponse]:
    return (
        isinstance(response, HttpResponse)
        and len(response.content) >= MIN_BYTES
        and JSON.match(response.headers.get("Content-Type", "")) is not None
        and not response.has_header("Content-Encoding")
    )


def _compress(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    patch_vary_headers(response, ["Accept-Encoding"])
    if _accepts(request):
        response.content = gzip.compress(response.content, GZIP_LEVEL, mtime=0)
        response["Content-Encoding"] = "gzip"
        response["Content-Length"] = str(len(response.content))
    return response
