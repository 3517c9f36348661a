"""Access tokens of an OpenID Connect provider, such as Keycloak (RFC 9068, RFC 8725; OpenID Connect Discovery 1.0).

A token names the key that signed it. The provider's keys are kept for five minutes, so that one that it withdraws
works no longer than that; a token with a key that is not among them has them fetched again, but not more often than
every few seconds, since anyone can send tokens that name keys of his own making.
"""

import logging
import ssl
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import jwt
from django.core.signals import setting_changed
from jwt.types import Options

from orthancproxy.conf import Configuration, conf
from orthancproxy.errors import NotAuthenticated

logger = logging.getLogger(__name__)

LEEWAY = 30.0  # seconds by which the provider's clock may differ
KEYS_LIFETIME = 300.0  # seconds
FETCH_INTERVAL = 5.0  # seconds
FETCH_TIMEOUT = 5.0  # seconds
WAIT = 2.0  # seconds that a thread waits for the fetch of another
SEATS = 8  # threads at once that ask for a key that is not among the known ones
MAX_TOKEN_LENGTH = 16_384  # characters; a server takes hardly more in one header
MAX_USERNAME_LENGTH = 150  # characters, as Django's user has them

TOKEN_TYPES = frozenset({"jwt", "at+jwt"})
"""Types (header) that an access token has, where it has one."""
OTHER_TOKENS = ("ID", "Refresh", "Offline", "Logout")
"""Types (payload) of Keycloak's tokens that are no access tokens."""
ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash"})
"""Claims that only an ID token has (OpenID Connect Core 1.0, 3.3.2.11)."""

REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "The access token has expired."),
    (jwt.ImmatureSignatureError, "The access token is not valid yet."),
    (jwt.InvalidIssuerError, "The access token is of another issuer."),
    (jwt.InvalidAudienceError, "The access token is for another audience."),
    (jwt.MissingRequiredClaimError, "The access token lacks one of the claims exp, iss, aud and sub."),
    (jwt.InvalidAlgorithmError, "The access token is signed with an algorithm that is not allowed."),
    (jwt.InvalidSignatureError, "The access token is not signed rightly."),
    (jwt.InvalidKeyError, "The access token is signed with a key that is too short."),
    (jwt.PyJWTError, "The access token is malformed."),
)
UNKNOWN_KEY = "The access token is signed by an unknown key."
NO_ACCESS_TOKEN = "This is a token of another kind, not an access token."  # noqa: S105  not one
UNREACHABLE = "The identity provider can't be reached."
NO_KEYS = "The identity provider gives no keys that can be used."

_CLAIMS: Options = {"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True}
# what PyJWT would otherwise leave out along with the signature
_CLAIMS_ONLY: Options = {
    **_CLAIMS,
    "verify_signature": False,
    "verify_exp": True,
    "verify_nbf": True,
    "verify_iat": True,
    "verify_aud": True,
    "verify_iss": True,
    "verify_sub": True,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a token is for. `groups` are names of Django's groups, each once."""

    username: str
    groups: tuple[str, ...]


def is_configured() -> bool:
    """Whether the settings name a provider."""
    return bool(conf.ORTHANC_OIDC_ISSUER)


def verify(token: str) -> Identity:
    """Return whom an access token is for. NotAuthenticated tells why it is refused, and quotes nothing of it."""
    if not is_configured():
        raise NotAuthenticated("No identity provider is configured.")
    try:
        claims = _verified_claims(token)
    except jwt.PyJWTError as error:
        # not chained: PyJWT's messages quote what is in the token
        reason = next(reason for kind, reason in REASONS if isinstance(error, kind))
        raise NotAuthenticated(reason) from None
    if claims.get("typ") in OTHER_TOKENS or ID_TOKEN_CLAIMS & claims.keys():
        raise NotAuthenticated(NO_ACCESS_TOKEN)
    return Identity(_username(claims), tuple(dict.fromkeys(_groups(claims))))


def _verified_claims(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_LENGTH:
        raise NotAuthenticated("The access token is too long.")
    if not token.isascii():
        raise jwt.DecodeError
    # Unverified yet: what is no good anyway has no keys fetched, and its reason is not that the key is unknown.
    header = _decode(token, None, _CLAIMS_ONLY)["header"]
    if header.get("alg") not in conf.ORTHANC_OIDC_ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    type_ = header.get("typ", "JWT")
    if not isinstance(type_, str) or type_.lower().removeprefix("application/") not in TOKEN_TYPES:
        raise NotAuthenticated(NO_ACCESS_TOKEN)
    claims: dict[str, Any] = _decode(token, _keys.find(header.get("kid", "")), _CLAIMS)["payload"]
    return claims


def _decode(token: str, key: jwt.PyJWK | None, options: Options) -> dict[str, Any]:
    return jwt.decode_complete(
        token,
        key or "",
        algorithms=list(conf.ORTHANC_OIDC_ALGORITHMS),
        issuer=conf.ORTHANC_OIDC_ISSUER,
        audience=conf.ORTHANC_OIDC_AUDIENCE,
        leeway=LEEWAY,
        options=options,
    )


def _username(claims: Mapping[str, Any]) -> str:
    name = _claim(claims, conf.ORTHANC_OIDC_USERNAME_CLAIM)
    if name is None and Configuration.ORTHANC_OIDC_USERNAME_CLAIM.default == conf.ORTHANC_OIDC_USERNAME_CLAIM:
        name = claims["sub"]
    if not isinstance(name, str) or not name.strip():
        raise NotAuthenticated("The access token has no user name.")
    # also no spaces around it, nor characters that can't be seen: both would pass for another user's
    if len(name) > MAX_USERNAME_LENGTH or not name.isprintable() or name != name.strip():
        raise NotAuthenticated("The access token has a user name that can't be one here.")
    return name


def _groups(claims: Mapping[str, Any]) -> Iterator[str]:
    found = _claim(claims, conf.ORTHANC_OIDC_ROLES_CLAIM)
    named = found if isinstance(found, list) else [found]
    # a database may choke on a surrogate or a NUL, and no group is named so
    roles = [role for role in named if isinstance(role, str) and role.isprintable()]
    if not conf.ORTHANC_OIDC_ROLE_GROUPS:
        yield from roles
    for pair in conf.ORTHANC_OIDC_ROLE_GROUPS:
        role, _, group = pair.rpartition("=")
        if role in roles:
            yield group


def _claim(claims: object, path: str) -> object:
    """Return what is at a path of names with dots between; of names that have dots themselves, the longest counts."""
    if not isinstance(claims, dict):
        return None
    name, rest = path, ""
    while name and name not in claims:
        name, _, last = name.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
    return claims.get(name) if not rest else _claim(claims.get(name), rest)


@dataclass(slots=True)
class _Keys:
    """The provider's public keys by their ids, shared between threads."""

    _keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict)
    _expire: float = 0.0
    _next_fetch: float = 0.0
    _failure: str = ""
    _fetching: threading.Lock = field(default_factory=threading.Lock)
    _seats: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(SEATS))

    def find(self, kid: str) -> jwt.PyJWK:
        """Return the key with that id. NotAuthenticated: there is none, or the provider does not say."""
        # who knows his key never waits for the fetch that another's key needs
        key = self._known(kid)
        if key is None:
            key = self._found_by_asking(kid)
        if key is None:
            raise NotAuthenticated(self._failure or UNKNOWN_KEY)
        return key

    def _found_by_asking(self, kid: str) -> jwt.PyJWK | None:
        """The key, once the provider was asked, by this thread or by another that is at it."""
        # strangers whose keys nobody knows must not take all threads; while no key is known, it may be anybody's
        seats = self._seats if monotonic() < self._expire else None
        if seats and not seats.acquire(blocking=False):
            return None
        try:
            if not self._fetching.acquire(timeout=WAIT):
                raise NotAuthenticated(UNREACHABLE)
            try:
                key = self._known(kid)
                if key is None:
                    self._fetch_where_due()
                    key = self._known(kid)
                return key
            finally:
                self._fetching.release()
        finally:
            if seats:
                seats.release()

    def forget(self) -> None:
        """Let the next token have the keys fetched."""
        with self._fetching:
            self._expire = self._next_fetch = 0.0

    def _known(self, kid: str) -> jwt.PyJWK | None:
        return self._keys.get(kid) if monotonic() < self._expire else None

    def _fetch_where_due(self) -> None:
        if monotonic() < self._next_fetch:
            return
        try:
            keys = _fetch_keys()
        # PyJWT leaves what breaks while it reads, and what is no JSON
        except (jwt.PyJWTError, OSError, ValueError, RecursionError) as error:
            unreachable = isinstance(error, jwt.PyJWKClientConnectionError | OSError)
            self._failure = UNREACHABLE if unreachable else NO_KEYS
            logger.warning("no keys of the identity provider", extra={"error": str(error)})
        else:
            # in this order: another thread that sees the later time has the new keys
            self._keys, self._failure = keys, ""
            self._expire = monotonic() + KEYS_LIFETIME
        self._next_fetch = monotonic() + FETCH_INTERVAL


def _fetch_keys() -> dict[str, jwt.PyJWK]:
    url = conf.ORTHANC_OIDC_JWKS_URL or _discovered_url(conf.ORTHANC_OIDC_ISSUER)
    return {key.key_id: key for key in _client(url).get_signing_keys() if key.key_id}


def _discovered_url(issuer: str) -> str:
    document = _client(f"{issuer.rstrip('/')}/.well-known/openid-configuration").fetch_data()
    if document.get("issuer") != issuer:
        raise ValueError("its configuration is of another issuer than ORTHANC_OIDC_ISSUER")
    url = str(document.get("jwks_uri"))
    if urlsplit(issuer).scheme == "https" != urlsplit(url).scheme:
        raise ValueError("its configuration has keys at a URL without https")
    return url


def _client(url: str) -> jwt.PyJWKClient:
    """PyJWT's client, which follows no redirect and knows only http and https; it is to keep nothing itself."""
    return jwt.PyJWKClient(
        url,
        cache_jwk_set=False,
        headers={"Accept": "application/json", "User-Agent": "orthanc-graphql-gateway"},
        timeout=FETCH_TIMEOUT,
        ssl_context=ssl.create_default_context(cafile=conf.ORTHANC_OIDC_CA_BUNDLE or None),
    )


_keys = _Keys()


def _forget_keys(*, setting: str, **_: Any) -> None:
    if setting.startswith("ORTHANC_OIDC_"):
        _keys.forget()


setting_changed.connect(_forget_keys)
