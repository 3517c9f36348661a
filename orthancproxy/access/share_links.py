"""Share links: whoever has one sees one study without an account, until the link ends (ADR 0025).

The token of a link is 256 random bits, of which the database has the hash. Who has opened a link, with its password if
it has one, is sent a cookie that holds this hash, signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.core.signing import BadSignature
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from orthancproxy.access.callers import LINK_ENDED, Caller, caller_of_share
from orthancproxy.access.models import Share
from orthancproxy.access.password_hashing import hashing
from orthancproxy.errors import LimitExceeded, NotAuthenticated

COOKIE = "orthanc_share"
TOKEN_BYTES = 32
MAX_WRONG_PASSWORDS = 10
COOL_OFF = timedelta(minutes=15)
_SALT = "orthancproxy.share_links"


@dataclass(frozen=True, slots=True)
class Sharer:
    """Who shares: a user, or an OpenID Connect identity with the groups that its access token has."""

    username: str
    user: Any = None
    groups: Sequence[str] = ()


def create(
    sharer: Sharer,
    study_orthanc_id: str,
    study_instance_uid: str,
    patient_id: str,
    *,
    allows_download: bool,
    expires_at: datetime,
    password: str,
) -> Share:
    """Return a new link to a study, with its token."""
    token = token_urlsafe(TOKEN_BYTES)
    with hashing():
        hashed = make_password(password) if password else ""
    share = Share.objects.create(
        token_hash=_hash(token),
        password=hashed,
        study_orthanc_id=study_orthanc_id,
        study_instance_uid=study_instance_uid,
        patient_id=patient_id,
        allows_download=allows_download,
        user_id=sharer.user,
        created_by=sharer.username,
        groups=list(sharer.groups),
        expires_at=expires_at,
    )
    share.token = token
    return share


def find(token: str) -> Share:
    """Return the link with a token. Raises NotAuthenticated if there is none, or it has ended."""
    share = _by_hash(_hash(token))
    caller_of_share(share)
    return share


def check(share: Share, password: str) -> None:
    """Check the password of a link, if it has one. Raises NotAuthenticated, and LimitExceeded after ten wrong ones.

    They count for the link, wherever they come from: only those who have it can try.
    """
    if not share.password:
        return
    now, this = timezone.now(), Share.objects.filter(pk=share.pk)
    this.filter(last_wrong_at__lte=now - COOL_OFF).update(wrong_passwords=0, last_wrong_at=None)
    # counted before it is checked, so that requests at the same time have no more attempts
    counted = this.filter(wrong_passwords__lt=MAX_WRONG_PASSWORDS).update(
        wrong_passwords=F("wrong_passwords") + 1, last_wrong_at=now
    )
    if not counted:
        raise LimitExceeded("There were too many wrong passwords: try again in 15 minutes.")
    with hashing():
        is_right = check_password(password, share.password)
    if not is_right:
        raise NotAuthenticated("The password is wrong.")
    this.update(wrong_passwords=0, last_wrong_at=None)


def open_link(share: Share, response: HttpResponse) -> None:
    """Send the cookie that authenticates whoever has opened a link; it is like that of a session."""
    now = timezone.now()
    Share.objects.filter(pk=share.pk).update(opened_at=now)
    response.set_signed_cookie(
        COOKIE,
        share.token_hash,
        salt=_SALT,
        max_age=min(settings.SESSION_COOKIE_AGE, int((share.expires_at - now).total_seconds())),
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite=settings.SESSION_COOKIE_SAMESITE,
    )


def opened(request: HttpRequest) -> str:
    """Return the hash of the link that the sender of a request has opened; empty without one."""
    try:
        return request.get_signed_cookie(COOKIE, "", salt=_SALT, max_age=settings.SESSION_COOKIE_AGE) or ""
    except BadSignature:
        return ""


def caller_of(request: HttpRequest) -> Caller | None:
    """Return the caller who has opened a link, None without one or if it has ended."""
    if token_hash := opened(request):
        try:
            return caller_of_hash(token_hash)
        except NotAuthenticated:
            return None
    return None


def caller_of_hash(token_hash: str) -> Caller:
    """Return the caller of the link whose token has this hash. Raises NotAuthenticated."""
    return caller_of_share(_by_hash(token_hash))


def _by_hash(token_hash: str) -> Share:
    share = Share.objects.select_related("user").filter(token_hash=token_hash).first()
    if share is None:
        raise NotAuthenticated(LINK_ENDED)
    return share


def _hash(token: str) -> str:
    return sha256(token.encode("utf-8", "backslashreplace")).hexdigest()
