"""The X-Forwarded-* headers of a trusted proxy that Django does not read.

Django reads X-Forwarded-Host and -Proto (USE_X_FORWARDED_HOST, SECURE_PROXY_SSL_HEADER). This module adds -Port, for a
host without a port, -Prefix, the path that the proxy removed, and -For, the client's address for the audit and the rate
limit of logins.
"""

import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix, set_script_prefix
from django.utils.decorators import sync_and_async_middleware

from orthancproxy.conf import conf

PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+")
PORT = re.compile(r"[1-9][0-9]{0,4}")
DEFAULT_PORTS = {"http": "80", "https": "443"}


@sync_and_async_middleware
def forwarded_middleware(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Make `reverse` and `build_absolute_uri` return the client's URLs, if ORTHANC_TRUST_FORWARDED is on."""
    if iscoroutinefunction(get_response):

        async def forward_async(request: HttpRequest) -> HttpResponseBase:
            with _with_forwarded_headers(request):
                response: HttpResponseBase = await get_response(request)
                return response

        return forward_async

    def forward(request: HttpRequest) -> HttpResponseBase:
        with _with_forwarded_headers(request):
            response: HttpResponseBase = get_response(request)
            return response

    return forward


@contextmanager
def _with_forwarded_headers(request: HttpRequest) -> Iterator[None]:
    before = get_script_prefix()
    if conf.ORTHANC_TRUST_FORWARDED:
        _take_first_host(request)
        _add_port(request)
        _add_prefix(request)
        _take_last_address(request)
    try:
        yield
    finally:
        set_script_prefix(before)


def _take_first_host(request: HttpRequest) -> None:
    # each of several proxies adds an entry, and Django rejects a list: the first is the host that the client used
    if "HTTP_X_FORWARDED_HOST" in request.META:
        request.META["HTTP_X_FORWARDED_HOST"] = _first(request, "HTTP_X_FORWARDED_HOST")


def _add_port(request: HttpRequest) -> None:
    # Django uses the header without validation for a request without Host
    port = _first(request, "HTTP_X_FORWARDED_PORT")
    request.META.pop("HTTP_X_FORWARDED_PORT", None)
    if not PORT.fullmatch(port):
        return
    request.META["HTTP_X_FORWARDED_PORT"] = port
    name = "HTTP_X_FORWARDED_HOST" if "HTTP_X_FORWARDED_HOST" in request.META else "HTTP_HOST"
    host = request.META.get(name, "")
    has_port = ":" in host.rpartition("]")[2]
    if host and not has_port and port != DEFAULT_PORTS.get(request.scheme or ""):
        request.META[name] = f"{host}:{port}"


def _add_prefix(request: HttpRequest) -> None:
    prefix = _first(request, "HTTP_X_FORWARDED_PREFIX").rstrip("/")
    if not PREFIX.fullmatch(prefix) or ".." in prefix:
        return
    request.META["SCRIPT_NAME"] = prefix + request.META.get("SCRIPT_NAME", "")
    request.path = prefix + request.path
    set_script_prefix(prefix + get_script_prefix())


def _take_last_address(request: HttpRequest) -> None:
    address = client_address(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))
    request.META["REMOTE_ADDR"] = address


def client_address(peer: str, forwarded_for: str) -> str:
    """Return the address of the client of a connection from `peer`.

    With ORTHANC_TRUST_FORWARDED it is the last entry of X-Forwarded-For, which the trusted proxy added: clients can
    send those before it.
    """
    if conf.ORTHANC_TRUST_FORWARDED:
        with suppress(ValueError):
            return str(ip_address(forwarded_for.rpartition(",")[2].strip()))
    return peer


def _first(request: HttpRequest, name: str) -> str:
    value: str = request.META.get(name, "")
    return value.split(",")[0].strip()
