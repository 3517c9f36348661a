"""API tokens: what they are limited to, wherever they are created, and the callers that they identify."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from knox.models import get_token_model

from orthancproxy.access.callers import Caller, caller_of_user
from orthancproxy.audit.kinds import Authentication
from orthancproxy.errors import NotAuthenticated

DEFAULT_DAYS = 365
MAX_DAYS = 3650


def create_api_token(user: Any, days: int) -> tuple[Any, str]:
    """Return the row of a new token and the token itself, of which the database keeps only the hash."""
    row, token = get_token_model().objects.create(user, expiry=timedelta(days=days))
    return row, token


def caller_of_api_token(digest: str) -> Caller:
    """Return the caller that the API token with this digest identifies. Raises NotAuthenticated."""
    # not through knox, which looks tokens up by their first characters and deletes expired ones
    known = get_token_model().objects.select_related("user").filter(digest=digest).first()
    if known is None:
        raise NotAuthenticated("The token is unknown.")
    if known.expiry is not None and known.expiry <= timezone.now():
        raise NotAuthenticated("The token has expired.")
    if not known.user.is_active:
        raise NotAuthenticated("The user of this token is not active.")
    return caller_of_user(known.user, Authentication.API_TOKEN)
