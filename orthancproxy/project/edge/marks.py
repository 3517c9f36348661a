"""What a route is for, as its view's attributes tell before Django has read the request."""

from collections.abc import Mapping
from typing import Any, Literal

from django.core.handlers.asgi import get_script_prefix
from django.urls import Resolver404, resolve


def is_marked(scope: Mapping[str, Any], mark: Literal["is_upload", "is_download"]) -> bool:
    """Return whether the view at the path of an ASGI scope has this mark; an unknown path has none."""
    try:
        view = resolve(scope["path"].removeprefix(get_script_prefix(scope))).func
    except Resolver404:
        return False
    return getattr(view, mark, False)
