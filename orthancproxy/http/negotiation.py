"""Which of its forms an answer has, by the request's Accept (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from typing import TypeVar

from django.http import HttpRequest

T = TypeVar("T", bound=str)


def preferred(request: HttpRequest, media_types: Sequence[T]) -> T:
    """Return the media type that Accept prefers; the first where it wants none of them, or can't be read."""
    try:
        found: T | None = request.get_preferred_type(media_types)  # type: ignore[assignment]  # one of ours
    except ValueError:
        # of a parameter in an encoding that there is not, such as `q*=x''1`
        found = None
    return found or media_types[0]
