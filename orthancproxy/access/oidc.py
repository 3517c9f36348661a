"""Tokens of an OpenID Connect provider, such as Keycloak, and their claims.

Access tokens (RFC 9068, RFC 8725) authenticate requests, ID tokens (OpenID Connect Core 1.0) logins, and logout tokens
(OpenID Connect Back-Channel Logout 1.0) end sessions. None counts as one of the others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import time
from typing import Any

import jwt
from jwt.types import Options

from orthancproxy.access import identity_provider
from orthancproxy.conf import Configuration, conf
from orthancproxy.errors import NotAuthenticated

LEEWAY_SECONDS = 30.0  # for the difference between the clocks
MAX_LOGOUT_TOKEN_AGE_SECONDS = 300.0
MAX_TOKEN_CHARACTERS = 16_384  # servers accept hardly more in one header
MAX_USERNAME_CHARACTERS = 150  # as in Django's User

MAX_ID_CHARACTERS = 255  # of a subject: OpenID Connect Core 1.0, section 2
SHARE_LINKS = "share:"
"""With this begins what the audit log calls those who open share links: no user has such a name."""

OTHER_TOKENS = ("ID", "Refresh", "Offline", "Logout")
"""The types (`typ` of the payload) of Keycloak's other tokens."""
OTHER_CLAIMS = frozenset({"at_hash", "c_hash", "events"})
"""Claims that no access token has, but ID tokens (OpenID Connect Core 1.0, 3.3.2.11) and logout tokens do."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

REASONS: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "The {name} has expired."),
    (jwt.ImmatureSignatureError, "The {name} is not valid yet."),
    (jwt.InvalidIssuerError, "The {name} was issued by another provider."),
    (jwt.InvalidAudienceError, "The {name} is for another audience."),
    (jwt.MissingRequiredClaimError, "The {name} lacks one of the claims {claims}."),
    (jwt.InvalidAlgorithmError, "The {name} is signed with a disallowed algorithm."),
    (jwt.InvalidSignatureError, "The {name} has an invalid signature."),
    (jwt.InvalidKeyError, "The {name} is signed with a key that is too short."),
    (jwt.PyJWTError, "The {name} is malformed."),
)

# PyJWT would otherwise skip these checks along with the signature
_UNSIGNED: Options = {
    "verify_signature": False,
    "verify_exp": True,
    "verify_nbf": True,
    "verify_iat": True,
    "verify_aud": True,
    "verify_iss": True,
    "verify_sub": True,
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of token: its name, the types (`typ` of the header) that it may have, and the claims that it must have."""

    name: str
    types: frozenset[str]
    claims: tuple[str, ...]

    def reason(self, error: jwt.PyJWTError) -> str:
        """Return why a token is rejected."""
        text = next(text for kind, text in REASONS if isinstance(error, kind))
        return text.format(name=self.name, claims=f"{', '.join(self.claims[:-1])} and {self.claims[-1]}")


_ACCESS = _Kind("access token", frozenset({"jwt", "at+jwt"}), ("exp", "iss", "aud", "sub"))
_ID = _Kind("ID token", frozenset({"jwt"}), ("exp", "iat", "iss", "aud", "sub", "nonce"))
_LOGOUT = _Kind("logout token", frozenset({"jwt", "logout+jwt"}), ("iat", "iss", "aud", "jti", "events"))


@dataclass(frozen=True, slots=True)
class Identity:
    """The user of a token. `groups` are names of Django groups, each once."""

    username: str
    groups: tuple[str, ...]


def is_configured() -> bool:
    """Return whether access tokens of a provider are accepted."""
    return bool(conf.ORTHANC_OIDC_ISSUER and conf.ORTHANC_OIDC_AUDIENCE)


def verify(token: str) -> Identity:
    """Return the identity of an access token. Raises NotAuthenticated with the reason, without quoting the token.

    Raises GatewayUnavailable if the provider's key is not known, and the provider does not answer.
    """
    if not is_configured():
        raise NotAuthenticated("No identity provider is configured.")
    claims = _verified(token, _ACCESS, conf.ORTHANC_OIDC_AUDIENCE)
    if claims.get("typ") in OTHER_TOKENS or OTHER_CLAIMS & claims.keys() or _is_of_a_login(token, claims):
        raise NotAuthenticated("This is not an access token.")
    return Identity(username(claims), tuple(groups(roles(claims))))


def verify_id_token(token: str, client_id: str, nonce: str) -> dict[str, Any]:
    """Return the claims of an ID token that the provider issued to a client, for the login with this nonce.

    `sub`, and `sid` if there is one, are text that databases take. Raises what `verify` raises.
    """
    claims = _verified(token, _ID, client_id)
    if claims["nonce"] != nonce:
        raise NotAuthenticated("The ID token is of another login.")
    if claims.get("azp", client_id) != client_id:
        raise NotAuthenticated(_ID.reason(jwt.InvalidAudienceError()))
    if not all(_is_id(claims[name]) for name in ("sub", "sid") if name in claims):
        raise NotAuthenticated("The ID token has an invalid subject or session.")
    return claims


def verify_logout_token(token: str, client_id: str) -> dict[str, Any]:
    """Return the claims of a logout token that the provider issued to a client within the last five minutes.

    They have a `sub` or a `sid`, as text. Raises what `verify` raises.
    """
    claims = _verified(token, _LOGOUT, client_id)
    events = claims["events"]
    named = [claims[name] for name in ("sub", "sid") if name in claims]
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict) or "nonce" in claims:
        raise NotAuthenticated("This is not a logout token.")
    if not named or not all(map(_is_id, (*named, claims["jti"]))):
        raise NotAuthenticated("The logout token names neither a subject nor a session.")
    if claims["iat"] < time() - MAX_LOGOUT_TOKEN_AGE_SECONDS - LEEWAY_SECONDS:
        raise NotAuthenticated(_LOGOUT.reason(jwt.ExpiredSignatureError()))
    return claims


def valid_until(token: str) -> float:
    """Return until when an access token that has been verified is accepted, as a Unix time."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return float(claims["exp"]) + LEEWAY_SECONDS


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARACTERS and value.isprintable()


def _is_of_a_login(token: str, claims: Mapping[str, Any]) -> bool:
    """Return whether a token has the nonce of a login, and does not say that it is an access token.

    Access tokens of Keycloak have the nonce, too (before 25).
    """
    header_type = str(jwt.get_unverified_header(token).get("typ", "")).lower()
    return "nonce" in claims and claims.get("typ") != "Bearer" and not header_type.endswith("at+jwt")


def _verified(token: str, kind: _Kind, audience: str) -> dict[str, Any]:
    try:
        return _decoded(token, kind, audience)
    except jwt.PyJWTError as error:
        # not chained: PyJWT's messages quote the token
        raise NotAuthenticated(kind.reason(error)) from None


def _decoded(token: str, kind: _Kind, audience: str) -> dict[str, Any]:
    if len(token) > MAX_TOKEN_CHARACTERS:
        raise NotAuthenticated(f"The {kind.name} is too long.")
    if not token.isascii():
        raise jwt.DecodeError
    signed: Options = {"require": list(kind.claims), "enforce_minimum_key_length": True}
    # first without the signature, so that an invalid token causes no fetch and is rejected for the actual reason
    header = _decode(token, None, audience, {**signed, **_UNSIGNED})["header"]
    if header.get("alg") not in conf.ORTHANC_OIDC_ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    type_ = header.get("typ", "JWT")
    if not isinstance(type_, str) or type_.lower().removeprefix("application/") not in kind.types:
        raise NotAuthenticated(f"This is not {'an' if kind.name[0] in 'aI' else 'a'} {kind.name}.")
    key = identity_provider.key(header.get("kid", ""))
    if key is None:
        raise NotAuthenticated(f"The {kind.name} is signed by an unknown key.")
    claims: dict[str, Any] = _decode(token, key, audience, signed)["payload"]
    return claims


def _decode(token: str, key: jwt.PyJWK | None, audience: str, options: Options) -> dict[str, Any]:
    return jwt.decode_complete(
        token,
        key or "",
        algorithms=list(conf.ORTHANC_OIDC_ALGORITHMS),
        issuer=conf.ORTHANC_OIDC_ISSUER,
        audience=audience,
        leeway=LEEWAY_SECONDS,
        options=options,
    )


def username(claims: Mapping[str, Any]) -> str:
    """Return the user name in verified claims, of a token or of the provider's UserInfo. Raises NotAuthenticated."""
    name = _claim(claims, conf.ORTHANC_OIDC_USERNAME_CLAIM)
    if name is None and Configuration.ORTHANC_OIDC_USERNAME_CLAIM.default == conf.ORTHANC_OIDC_USERNAME_CLAIM:
        name = claims["sub"]
    if not isinstance(name, str) or not name.strip():
        raise NotAuthenticated("The token has no user name.")
    # a name with surrounding spaces or invisible characters could be mistaken for that of another user
    is_plain = name.isprintable() and name == name.strip() and not name.startswith(SHARE_LINKS)
    if len(name) > MAX_USERNAME_CHARACTERS or not is_plain:
        raise NotAuthenticated("The token has an invalid user name.")
    return name


def roles(claims: Mapping[str, Any]) -> list[str]:
    """Return the roles in verified claims."""
    found = _claim(claims, conf.ORTHANC_OIDC_ROLES_CLAIM)
    named = found if isinstance(found, list) else [found]
    # databases reject surrogates and NUL, and no group has such a name
    return [role for role in named if isinstance(role, str) and role.isprintable()]


def groups(roles: Sequence[str]) -> list[str]:
    """Return the names of the Django groups of roles, each once."""
    return list(dict.fromkeys(_groups(roles)))


def mapped_groups() -> frozenset[str]:
    """Return the names of the groups in ORTHANC_OIDC_ROLE_GROUPS."""
    return frozenset(pair.rpartition("=")[2] for pair in conf.ORTHANC_OIDC_ROLE_GROUPS)


def _groups(roles: Sequence[str]) -> Iterator[str]:
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
