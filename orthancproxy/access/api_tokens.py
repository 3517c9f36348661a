"""API tokens: what they are limited to, wherever they are created."""

from datetime import timedelta
from typing import Any

from knox.models import get_token_model

DEFAULT_DAYS = 365
MAX_DAYS = 3650


def create_api_token(user: Any, days: int) -> tuple[Any, str]:
    """Return the row of a new token and the token itself, of which the database keeps only the hash."""
    row, token = get_token_model().objects.create(user, expiry=timedelta(days=days))
    return row, token
