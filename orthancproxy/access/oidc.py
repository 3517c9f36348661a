"""Access tokens of an OpenID Connect provider, such as Keycloak (RFC 9068, RFC 8725; OpenID Connect Discovery 1.0).

A token names the key that signed it. The provider's keys are cached for five minutes, so that a revoked key
is accepted no longer than that. A token with an unknown key causes another fetch, but at most one every few seconds:
anyone can send tokens with made-up keys.
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

LEEWAY_SECONDS = 30.0  # for the difference between the clocks
KEYS_LIFETIME_SECONDS = 300.0
FETCH_INTERVAL_SECONDS = 5.0
FETCH_TIMEOUT_SECONDS = 5.0
FETCH_WAIT_SECONDS = 2.0  # for which a thread waits while another fetches
MAX_WAITING_THREADS = 8  # with an unknown key, at the same time
MAX_TOKEN_CHARACTERS = 16_384  # servers accept hardly more in one header
MAX_USERNAME_CHARACTERS = 150  # as in Django's User

TOKEN_TYPES = frozenset({"jwt", "at+jwt"})
"""The types (`typ` of the header) that an access token may have."""
OTHER_TOKENS = ("ID", "Refresh", "Offline", "Logout")
"""The types (`typ` of the payload) of Keycloak's other tokens."""
ID_TOKEN_CLAIMS = frozenset({"at_hash", "c_hash"})
"""Claims that only an ID token has (OpenID Connect Core 1.0, 3.3.2.11)."""

REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "The access token has expired."),
    (jwt.ImmatureSignatureError, "The access token is not valid yet."),
    (jwt.InvalidIssuerError, "The access token was issued by another provider."),
    (jwt.InvalidAudienceError, "The access token is for another audience."),
    (jwt.MissingRequiredClaimError, "The access token lacks one of the claims exp, iss, aud and sub."),
    (jwt.InvalidAlgorithmError, "The access token is signed with a disallowed algorithm."),
    (jwt.InvalidSignatureError, "The access token has an invalid signature."),
    (jwt.InvalidKeyError, "The access token is signed with a key that is too short."),
    (jwt.PyJWTError, "The access token is malformed."),
)
UNKNOWN_KEY = "The access token is signed by an unknown key."
NO_ACCESS_TOKEN = "This is not an access token."  # noqa: S105  not one
UNREACHABLE = "The identity provider cannot be reached."
NO_KEYS = "The identity provider has no usable keys."

_CLAIMS: Options = {"require": ["exp", "iss", "aud", "sub"], "enforce_minimum_key_length": True}
# PyJWT would otherwise skip these checks along with the signature
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
    """The user of a token. `groups` are names of Django groups, each once."""

    username: str
    groups: tuple[str, ...]


def is_configured() -> bool:
    """Return whether a provider is configured."""
    return bool(conf.ORTHANC_OIDC_ISSUER)


def verify(token: str) -> Identity:
    """Return the identity of an access token. Raises NotAuthenticated with the reason, without quoting the token."""
    if not is_configured():
        raise NotAuthenticated("No identity provider is configured.")
    try:
        claims = _verified_claims(token)
    except jwt.PyJWTError as error:
        # not chained: PyJWT's messages quote the token
        reason = next(reason for kind, reason in REASONS if isinstance(error, kind))
        raise NotAuthenticated(reason) from None
    if claims.get("typ") in OTHER_TOKENS or ID_TOKEN_CLAIMS & claims.keys():
        raise NotAuthenticated(NO_ACCESS_TOKEN)
    return Identity(_username(claims), tuple(dict.fromkeys(_groups(claims))))


def valid_until(token: str) -> float:
    """Return until when an access token that has been verified is accepted, as a Unix time."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return float(claims["exp"]) + LEEWAY_SECONDS


def _verified_claims(token: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise NotAuthenticated("The access token is too long.")
    if not token.isascii():
        raise jwt.DecodeError
    # first without the signature, so that an invalid token causes no fetch and is rejected for the actual reason
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
        leeway=LEEWAY_SECONDS,
        options=options,
    )


def _username(claims: Mapping[str, Any]) -> str:
    name = _claim(claims, conf.ORTHANC_OIDC_USERNAME_CLAIM)
    if name is None and Configuration.ORTHANC_OIDC_USERNAME_CLAIM.default == conf.ORTHANC_OIDC_USERNAME_CLAIM:
        name = claims["sub"]
    if not isinstance(name, str) or not name.strip():
        raise NotAuthenticated("The access token has no user name.")
    # a name with surrounding spaces or invisible characters could be mistaken for that of another user
    if len(name) > MAX_USERNAME_CHARACTERS or not name.isprintable() or name != name.strip():
        raise NotAuthenticated("The access token has an invalid user name.")
    return name


def _groups(claims: Mapping[str, Any]) -> Iterator[str]:
    found = _claim(claims, conf.ORTHANC_OIDC_ROLES_CLAIM)
    named = found if isinstance(found, list) else [found]
    # databases reject surrogates and NUL, and no group has such a name
    roles = [role for role in named if isinstance(role, str) and role.isprintable()]
    if not conf.ORTHANC_OIDC_ROLE_GROUPS:
        yield from roles
    for pair in conf.ORTHANC_OIDC_ROLE_GROUPS:
        role, _, group = pair.rpartition("=")
        if role in roles:
            yield group


def _claim(claims: object, path: str) -> object:
    """Return the value at a dotted path; of names that contain dots, the longest matches."""
    if not isinstance(claims, dict):
        return None
    name, rest = path, ""
    while name and name not in claims:
        name, _, last = name.rpartition(".")
        rest = f"{last}.{rest}" if rest else last
    return claims.get(name) if not rest else _claim(claims.get(name), rest)


@dataclass(slots=True)
class _Keys:
    """The cache of the provider's public keys by id. Thread-safe."""

    _keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict)
    _expire: float = 0.0
    _next_fetch: float = 0.0
    _failure: str = ""
    _fetching: threading.Lock = field(default_factory=threading.Lock)
    _waiting: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(MAX_WAITING_THREADS)
    )

    def find(self, kid: str) -> jwt.PyJWK:
        """Return the key with an id. Raises NotAuthenticated if it is unknown or the provider does not answer."""
        # a caller with a known key never waits for the fetch of another key
        key = self._known(kid)
        if key is None:
            key = self._fetched(kid)
        if key is None:
            raise NotAuthenticated(self._failure or UNKNOWN_KEY)
        return key

    def _fetched(self, kid: str) -> jwt.PyJWK | None:
        """Return the key after a fetch, by this thread or by another that is fetching already."""
        # untrusted callers with made-up keys must not occupy all threads; before the first fetch, every key is unknown
        waiting = self._waiting if monotonic() < self._expire else None
        if waiting and not waiting.acquire(blocking=False):
            return None
        try:
            if not self._fetching.acquire(timeout=FETCH_WAIT_SECONDS):
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
            if waiting:
                waiting.release()

    def forget(self) -> None:
        """Discard the keys: the next token causes a fetch."""
        with self._fetching:
            self._expire = self._next_fetch = 0.0

    def _known(self, kid: str) -> jwt.PyJWK | None:
        return self._keys.get(kid) if monotonic() < self._expire else None

    def _fetch_where_due(self) -> None:
        if monotonic() < self._next_fetch:
            return
        try:
            keys = _fetch_keys()
        # PyJWT does not catch errors of reading and parsing
        except (jwt.PyJWTError, OSError, ValueError, RecursionError) as error:
            unreachable = isinstance(error, jwt.PyJWKClientConnectionError | OSError)
            self._failure = UNREACHABLE if unreachable else NO_KEYS
            logger.warning("cannot fetch the keys of the identity provider", extra={"error": str(error)})
        else:
            # in this order, so that a thread that sees the new expiry sees the new keys
            self._keys, self._failure = keys, ""
            self._expire = monotonic() + KEYS_LIFETIME_SECONDS
        self._next_fetch = monotonic() + FETCH_INTERVAL_SECONDS


def _fetch_keys() -> dict[str, jwt.PyJWK]:
    url = conf.ORTHANC_OIDC_JWKS_URL or _discovered_url(conf.ORTHANC_OIDC_ISSUER)
    return {key.key_id: key for key in _client(url).get_signing_keys() if key.key_id}


def _discovered_url(issuer: str) -> str:
    document = _client(f"{issuer.rstrip('/')}/.well-known/openid-configuration").fetch_data()
    if document.get("issuer") != issuer:
        raise ValueError("its configuration names another issuer than ORTHANC_OIDC_ISSUER")
    url = str(document.get("jwks_uri"))
    if urlsplit(issuer).scheme == "https" != urlsplit(url).scheme:
        raise ValueError("its configuration names a key URL without https")
    return url


def _client(url: str) -> jwt.PyJWKClient:
    """Return PyJWT's client, which follows no redirects and supports http and https only; it caches nothing."""
    return jwt.PyJWKClient(
        url,
        cache_jwk_set=False,
        headers={"Accept": "application/json", "User-Agent": "orthanc-graphql-gateway"},
        timeout=FETCH_TIMEOUT_SECONDS,
        ssl_context=ssl.create_default_context(cafile=conf.ORTHANC_OIDC_CA_BUNDLE or None),
    )


_keys = _Keys()


def _forget_keys(*, setting: str, **_: Any) -> None:
    if setting.startswith("ORTHANC_OIDC_"):
        _keys.forget()


setting_changed.connect(_forget_keys)
