"""What tells clients apart before they are authenticated."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.http import parse_cookie

from orthancproxy.http.forwarded import client_address


def client_of(scope: Mapping[str, Any]) -> str:
    """Return what the requests of one client have in common: the credentials, else the address.

    The credentials may be invalid: requests with such are rejected as soon as they are authenticated.
    """
    headers = dict(scope["headers"])
    session = parse_cookie(headers.get(b"cookie", b"").decode("latin-1")).get(settings.SESSION_COOKIE_NAME, "")
    if credentials := headers.get(b"authorization") or session.encode("latin-1"):
        return sha256(credentials).hexdigest()
    return address_of(scope)


def address_of(scope: Mapping[str, Any]) -> str:
    """Return the address of a client, with a leading space, which no user's name has."""
    peer, *_ = scope.get("client") or ("",)
    forwarded_for = dict(scope["headers"]).get(b"x-forwarded-for", b"").decode("latin-1")
    return f" {client_address(peer, forwarded_for)}"
