"""What a route is for, as its view's attributes tell before Django has read the request."""

from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import get_script_prefix
from django.urls import Resolver404, resolve


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
