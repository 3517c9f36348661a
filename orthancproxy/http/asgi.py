"""ASGI: its types, and what a route is for, as its view's attributes tell before Django has read the request."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.core.handlers.asgi import get_script_prefix
from django.urls import Resolver404, resolve

FORM_TYPE = b"multipart/form-data"
FILE_TYPES = frozenset({FORM_TYPE, b"multipart/related", b"application/dicom"})

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def is_upload(scope: Mapping[str, Any]) -> bool:
    """Return whether a request has files for a route that takes them."""
    return media_type_of(scope) in FILE_TYPES and is_upload_route(scope)


def media_type_of(scope: Mapping[str, Any]) -> bytes:
    """Return the media type of a request's body in lower case, without parameters; empty without one."""
    media_type, _, _ = dict(scope["headers"]).get(b"content-type", b"").partition(b";")
    stripped: bytes = media_type.strip().lower()
    return stripped


def is_upload_route(scope: Mapping[str, Any]) -> bool:
    """Return whether the view at the path of an ASGI scope is marked `is_upload`; an unknown path has no marks."""
    return _has_mark(scope, "is_upload")


def is_download_route(scope: Mapping[str, Any]) -> bool:
    """Return whether the view at the path of an ASGI scope is marked `is_download`: files, ZIPs and pictures."""
    return _has_mark(scope, "is_download")


def _has_mark(scope: Mapping[str, Any], mark: str) -> bool:
    try:
        view = resolve(scope["path"].removeprefix(get_script_prefix(scope))).func
    except Resolver404:
        return False
    return getattr(view, mark, False)
