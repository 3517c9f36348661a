"""What authenticated a request, to authenticate its caller again while the response is a stream.

A stream lives for hours, in which tokens expire and users, groups and access scopes change. Thousands of callers are
watched with a dozen queries: only those whose rows have changed since the last time are authenticated again.
"""

from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from math import inf
from time import monotonic, time
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user, get_user_model
from django.contrib.auth.models import Group
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from knox.crypto import hash_token
from knox.models import get_token_model

from orthancproxy.access import oidc, share_links
from orthancproxy.access.api_tokens import caller_of_api_token
from orthancproxy.access.callers import Caller, anonymous, caller_of_identity, caller_of_user
from orthancproxy.access.models import AccessScope, Share
from orthancproxy.audit.kinds import Authentication
from orthancproxy.errors import GatewayError, NotAuthenticated

FULL_CHECK_SECONDS = 300.0
"""After which a caller is authenticated again in any case: keys of a provider, permissions of other backends."""

_User: Any = get_user_model()
# dates, which take long to parse, decide nothing
_USER_FIELDS = (_User.USERNAME_FIELD, "password", "is_active", "is_superuser")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What authenticated a caller, without being a request: the digest of an API token, an access token, or a session.

    `user` is the primary key of a session's user, or of the user who shared a link. A user who was authenticated
    otherwise has no session.
    """

    authentication: Authentication
    secret: str = field(default="", repr=False)
    user: Any = None
    valid_until: float = inf  # of an access token; the database has those of the others

    def authenticate(self) -> Caller:
        """Return the caller whom they identify now. Raises NotAuthenticated."""
        match self.authentication:
            case Authentication.API_TOKEN:
                return caller_of_api_token(self.secret)
            case Authentication.OPENID_CONNECT:
                return caller_of_identity(oidc.verify(self.secret))
            case Authentication.SESSION:
                return caller_of_user(self._user(), self.authentication)
            case Authentication.SHARE_LINK:
                return share_links.caller_of_hash(self.secret)
        return anonymous()

    def _user(self) -> Any:
        if self.secret:
            request = HttpRequest()
            request.session = _session(self.secret)
            user: Any = get_user(request)
        else:
            user = _User._default_manager.filter(pk=self.user, is_active=True).first()
        if user is None or not user.is_authenticated or user.pk != self.user:
            raise NotAuthenticated("The session has ended: log in again.")
        return user


def credentials_of(request: HttpRequest, caller: Caller) -> Credentials:
    """Return the credentials of a request, whose caller has been authenticated."""
    token = request.headers.get("Authorization", "").partition(" ")[2].strip()
    match caller.authentication:
        case Authentication.API_TOKEN:
            return Credentials(caller.authentication, hash_token(token))
        case Authentication.OPENID_CONNECT:
            return Credentials(caller.authentication, token, valid_until=oidc.valid_until(token))
        case Authentication.SESSION:
            session = getattr(request, "session", None)
            key = session.session_key if session is not None and SESSION_KEY in session else None
            return Credentials(caller.authentication, key or "", request.user.pk)
        case Authentication.SHARE_LINK:
            token_hash = share_links.opened(request)
            user = Share.objects.filter(token_hash=token_hash).values_list("user", flat=True).first()
            return Credentials(caller.authentication, token_hash, user)
    return Credentials(caller.authentication)


class CallerWatch:
    """Tells which callers have changed. Not safe for threads."""

    def __init__(self) -> None:
        self._seen: Mapping[Credentials, tuple[object, ...]] = {}

    def changed(self, watched: Collection[Credentials]) -> dict[Credentials, Caller | GatewayError]:
        """Return the callers, or why they are rejected, of what is watched for the first time or has changed.

        Raises what the database raises.
        """
        seen = _states(watched)
        changed = [one for one in watched if self._seen.get(one) != seen[one]]
        found = {one: _authenticated(one) for one in changed}
        self._seen = seen
        return found


def _authenticated(credentials: Credentials) -> Caller | GatewayError:
    try:
        return credentials.authenticate()
    except GatewayError as error:
        return error


def _states(watched: Collection[Credentials]) -> dict[Credentials, tuple[object, ...]]:
    """Return the rows that decide about each caller."""
    of_kind = defaultdict(list)
    for one in watched:
        of_kind[one.authentication].append(one)
    owners = _owners_of_tokens([one.secret for one in of_kind[Authentication.API_TOKEN]])
    sessions = _sessions([one.secret for one in of_kind[Authentication.SESSION] if one.secret])
    links = _links([one.secret for one in of_kind[Authentication.SHARE_LINK]])
    users = _users({*owners.values(), *(one.user for one in watched)})
    groups = hash(_groups())
    now = monotonic()
    return {
        one: (
            groups,
            users.get(one.user or owners.get(one.secret)),
            one.secret in owners or one.secret in links,
            sessions.get(one.secret),
            one.valid_until < time(),
            # not all in the same second
            int((now + hash(one) % FULL_CHECK_SECONDS) // FULL_CHECK_SECONDS),
        )
        for one in watched
    }


def _owners_of_tokens(digests: Collection[str]) -> dict[str, Any]:
    """Return the primary keys of the users whose API tokens these are, without those that have expired."""
    valid = Q(expiry__isnull=True) | Q(expiry__gt=timezone.now())
    return dict(get_token_model().objects.filter(valid, digest__in=digests).values_list("digest", "user_id"))


def _links(hashes: Collection[str]) -> frozenset[str]:
    """Return the hashes of those share links that have not ended."""
    current = Share.objects.filter(token_hash__in=hashes, revoked_at=None, expires_at__gt=timezone.now())
    return frozenset(current.values_list("token_hash", flat=True))


def _sessions(keys: Collection[str]) -> dict[str, Hashable]:
    """Return what is stored of each session that has not ended."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if hasattr(store, "get_model_class"):
        rows = store.get_model_class().objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
        return dict(rows.values_list("session_key", "session_data"))
    stored = ((key, _session(key)) for key in keys)
    return {key: (session.get(SESSION_KEY), session.get(HASH_SESSION_KEY)) for key, session in stored}


def _session(key: str) -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore(key)


def _users(keys: Iterable[Any]) -> dict[Any, list[Any]]:
    """Return the rows of users, of their groups and of their permissions."""
    keys = [key for key in keys if key is not None]
    found: dict[Any, list[Any]] = defaultdict(list)
    for key, *row in _User._default_manager.filter(pk__in=keys).values_list("pk", *_USER_FIELDS):
        found[key].append(row)
    owner = f"{_User._meta.model_name}_id"
    for table, other in ((_User.groups.through, "group_id"), (_User.user_permissions.through, "permission_id")):
        rows = table.objects.filter(**{f"{owner}__in": keys}).order_by("pk")
        for key, row in rows.values_list(owner, other):
            found[key].append(row)
    return found


def _groups() -> Hashable:
    """Return all groups, permissions of groups, and access scopes: there are few."""
    tables = (Group, Group.permissions.through, AccessScope)
    return tuple(tuple(table._default_manager.order_by("pk").values_list()) for table in tables)
