"""What a route is for, as its view's attributes tell before Django has read the request."""

from collections.abc import Mapping
from typing import Any

from django.core.handlers.asgi import get_script_prefix
from django.urls import Resolver404, resolve


def is_upload_route(scope: Mapping[str, Any]) -> bool:
    """Return whether the view at the path of an ASGI scope is marked `is_upload`; an unknown path has no marks."""
    try:
        view = resolve(scope["path"].removeprefix(get_script_prefix(scope))).func
    except Resolver404:
        return False
    return getattr(view, "is_upload", False)
