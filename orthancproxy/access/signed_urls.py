"""Signed URLs of files, images and ZIPs, for what can send neither header nor cookie, such as `<img>`.

The last parameter, `signature`, is whom the URL was made for, until when it works, and an HMAC of the whole URL below
the mount point (`django.core.signing`). Nothing is stored, so a URL ends early only with what it is checked against:
the signing key, the user and their password, the API token, the identity provider (ADR 0023).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from time import time
from typing import Any

import orjson
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.signing import BadSignature, Signer, b64_decode, b64_encode
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from knox.models import get_token_model

from orthancproxy.access import oidc, share_links
from orthancproxy.access.actions import Action
from orthancproxy.access.callers import Caller, anonymous, caller_of_identity, caller_of_user
from orthancproxy.access.credentials import Credentials
from orthancproxy.audit.kinds import Authentication
from orthancproxy.conf import conf
from orthancproxy.errors import NotAuthenticated

PARAMETER = "signature"
ACTION = Action.DOWNLOAD
"""What a signed URL allows."""

_SALT = "orthancproxy.signed_urls"
_INVALID = "The signature of the URL is invalid: request the URL again."
_EXPIRED = "The signed URL has expired: request it again."
_ENDED = "The signed URL has ended with the login that it was made for."


@dataclass(frozen=True, slots=True)
class UrlSigner:
    """Signs URLs for one caller, all with the same end. One takes 4 µs."""

    _holder: str
    _signer: Signer = field(repr=False)

    def sign(self, url: str) -> str:
        """Return a URL relative to the mount point (`instances/…/file/?v=…`) with its signature."""
        return self._signer.sign(f"{url}{'&' if '?' in url else '?'}{PARAMETER}={self._holder}")


def signer_of(credentials: Credentials) -> UrlSigner:
    """Return the signer for the caller of a request. Raises NotAuthenticated if the credentials have just ended."""
    end = ceil(min(time() + conf.ORTHANC_URL_LIFETIME, credentials.valid_until))
    holder = b64_encode(orjson.dumps(_holder_of(credentials))).decode()
    return UrlSigner(f"{holder}.{end}", _signer())


def is_signed(request: HttpRequest) -> bool:
    """Whether a request has a signed URL."""
    return request.method in ("GET", "HEAD") and PARAMETER in request.GET


def caller_of(request: HttpRequest) -> Caller:
    """Return the caller that a signed URL was made for, as they are now, with no action but ACTION.

    Raises NotAuthenticated if the URL was changed, has expired, or its caller can no longer authenticate.
    """
    resource = "/".join(request.path.rstrip("/").split("/")[-3:])
    try:
        url = _signer().unsign(f"{resource}/?{request.META['QUERY_STRING']}")
    except BadSignature:
        raise NotAuthenticated(_INVALID) from None
    holder, _, end = url.rpartition(f"{PARAMETER}=")[2].partition(".")
    if int(end) <= time():
        raise NotAuthenticated(_EXPIRED)
    caller = _caller(*orjson.loads(b64_decode(holder.encode())))
    return replace(caller, authentication=Authentication.SIGNED_URL, actions=caller.actions & {ACTION})


def _signer() -> Signer:
    # not with SECRET_KEY_FALLBACKS: a new key ends all URLs
    return Signer(salt=_SALT, sep=".", fallback_keys=[])


def _holder_of(credentials: Credentials) -> Sequence[Any]:
    """Return the arguments of `_caller`."""
    match credentials.authentication:
        case Authentication.SESSION:
            user = _active(pk=credentials.user)
            return "SESSION", _state(user.password), str(user.pk)
        case Authentication.API_TOKEN:
            user = _active(pk__in=get_token_model().objects.filter(digest=credentials.secret).values("user"))
            return "API_TOKEN", _state(user.password, credentials.secret), str(user.pk)
        case Authentication.OPENID_CONNECT:
            identity = oidc.verify(credentials.secret)
            # all other roles would only lengthen the URL
            groups = Group.objects.filter(name__in=identity.groups).values_list("name", flat=True)
            return "OPENID_CONNECT", _state_of_provider(), identity.username, list(groups)
        case Authentication.SHARE_LINK:
            return "SHARE_LINK", "", credentials.secret
    return "NONE", ""


def _caller(authentication: str, state: str, name: str = "", groups: Sequence[str] = ()) -> Caller:
    """Return the caller of a signed URL. `name` is the primary key of a user, the username of an identity, or the
    hash of a share link.

    An identity is all that its access token said, which no longer counts after that has expired.
    """
    match authentication:
        case "SESSION":
            user = _active(pk=name)
            _check(state, _state(user.password))
            return caller_of_user(user, Authentication.SESSION)
        case "API_TOKEN":
            user = _active(pk=name)
            valid = Q(expiry__isnull=True) | Q(expiry__gt=timezone.now())
            digests = get_token_model().objects.filter(valid, user=user).values_list("digest", flat=True)
            _check(state, *(_state(user.password, digest) for digest in digests))
            return caller_of_user(user, Authentication.API_TOKEN)
        case "OPENID_CONNECT":
            _check(state, _state_of_provider())
            return caller_of_identity(oidc.Identity(name, tuple(groups)))
        case "SHARE_LINK":
            return share_links.caller_of_hash(name)
    return anonymous()


def _active(**lookup: Any) -> Any:
    user = get_user_model()._default_manager.filter(is_active=True, **lookup).first()
    if user is None:
        raise NotAuthenticated(_ENDED)
    return user


def _state(*values: str) -> str:
    """Return a digest of what must be as it was when the URL was signed."""
    return salted_hmac(_SALT, "\n".join(values), algorithm="sha256").hexdigest()[:32]


def _state_of_provider() -> str:
    return _state(conf.ORTHANC_OIDC_ISSUER, conf.ORTHANC_OIDC_AUDIENCE)


def _check(state: str, *valid: str) -> None:
    if not any(constant_time_compare(state, one) for one in valid):
        raise NotAuthenticated(_ENDED)
