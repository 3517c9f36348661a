"""Content negotiation by the Accept header (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from typing import TypeVar

from django.http import HttpRequest

T = TypeVar("T", bound=str)

EVENT_STREAM = "text/event-stream"
"""The media type of server-sent events."""


def preferred(request: HttpRequest, media_types: Sequence[T]) -> T:
    """Return the media type that Accept prefers; the first if it accepts none of them or is malformed."""
    try:
        found: T | None = request.get_preferred_type(media_types)  # type: ignore[assignment]  # one of ours
    except ValueError:
        # a parameter in an unknown encoding, such as `q*=x''1`
        found = None
    return found or media_types[0]
