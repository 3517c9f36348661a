"""Requests that are rejected before Django reads them, but answered and logged like all others."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

REJECTION = "orthancproxy.rejection"


def rejected(scope: Mapping[str, Any], reason: Exception) -> dict[str, Any]:
    """Return the ASGI scope for a request that `middleware.RejectedRequests` answers instead of the view."""
    return {**scope, REJECTION: reason}


def rejection_of(request: HttpRequest) -> Exception | None:
    """Return the reason for which a request is rejected, if it is."""
    scope: Mapping[str, Any] = getattr(request, "scope", {})
    return scope.get(REJECTION)
