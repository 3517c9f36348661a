"""Requests that are refused before Django reads them, and yet answered, and logged, as all others are."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest

REFUSAL = "orthancproxy.refusal"


def refused(scope: Mapping[str, Any], reason: Exception) -> dict[str, Any]:
    """Return the ASGI scope of a request that no view is to see: `middleware.Refusals` answers it."""
    return {**scope, REFUSAL: reason}


def reason_of(request: HttpRequest) -> Exception | None:
    """Why a request is refused, if it is."""
    scope: Mapping[str, Any] = getattr(request, "scope", {})
    return scope.get(REFUSAL)
