"""Verification of access tokens: tokens of a real OpenID Connect provider, and forged ones."""

import json
import os
import signal
import subprocess
import threading
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pytest_django import Settings

from orthancproxy.access import identity_provider, oidc
from orthancproxy.access.identity_provider import MAX_WAITING_THREADS
from orthancproxy.access.oidc import Identity, verify
from orthancproxy.errors import GatewayUnavailable, NotAuthenticated
from orthancproxy.sandbox.orthanc import free_port
from tests.identity.provider import AUDIENCE, DISCOVERY, JWKS, IdentityProvider
from tests.manual_clock import ManualClock

EXPIRED = "The access token has expired."
EARLY = "The access token is not valid yet."
OTHER_ISSUER = "The access token was issued by another provider."
OTHER_AUDIENCE = "The access token is for another audience."
LACKING = "The access token lacks one of the claims exp, iss, aud and sub."
OTHER_ALGORITHM = "The access token is signed with a disallowed algorithm."
WRONG_SIGNATURE = "The access token has an invalid signature."
WEAK_KEY = "The access token is signed with a key that is too short."
MALFORMED = "The access token is malformed."
TOO_LONG = "The access token is too long."
UNKNOWN_KEY = "The access token is signed by an unknown key."
OTHER_KIND = "This is not an access token."
NO_NAME = "The token has no user name."
BAD_NAME = "The token has an invalid user name."
UNREACHABLE = "The identity provider cannot be reached: try again later."
NO_KEYS = "The identity provider has no usable keys: try again later."
BUSY = "Too many tokens with unknown keys are being checked: try again later."
OUTAGES = (UNREACHABLE, NO_KEYS, BUSY)
NOT_CONFIGURED = "No identity provider is configured."


Sign = Callable[[dict[str, Any], dict[str, Any]], str]


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with IdentityProvider() as running:
        yield running


@pytest.fixture(scope="module")
def foreign() -> Iterator[IdentityProvider]:
    """Yield a provider that the gateway does not trust."""
    with IdentityProvider() as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the files of a key and of its self-signed certificate for this machine."""
    folder = tmp_path_factory.mktemp("certificate")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -days 2 -config /dev/null"
    files = ("-subj", "/CN=provider", "-keyout", "server.key", "-out", "server.pem")
    names = ("-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([*command.split(), *files, *names], cwd=folder, check=True, capture_output=True)
    return folder / "server.key", folder / "server.pem"


@pytest.fixture(autouse=True)
def _use_provider(provider: IdentityProvider, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    use_provider(settings, provider)
    # a proxy of the developer's environment must not get local requests
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    clock = ManualClock()
    monkeypatch.setattr(identity_provider, "monotonic", clock)
    return clock


@pytest.fixture
def sign_with_trusted_key(settings: Settings) -> Iterator[Sign]:
    """Yield a function that signs claims and a header with a key that the gateway trusts."""
    with trusted_key(generate_key(), settings) as sign:
        yield sign


@pytest.fixture
def rejection(caplog: pytest.LogCaptureFixture) -> Callable[[str], str]:
    """Return a function that returns why a token is rejected; neither the error nor the log may contain the token."""
    caplog.set_level("DEBUG")

    def rejection(token: str) -> str:
        with pytest.raises((NotAuthenticated, GatewayUnavailable)) as caught:
            verify(token)
        # an outage is none of the token
        assert isinstance(caught.value, GatewayUnavailable) == (caught.value.message in OUTAGES)
        assert caught.value.__cause__ is None
        logged = json.dumps([vars(record) for record in caplog.records], default=repr)
        for part in (token, *token.split("."), "anna", AUDIENCE):
            assert len(part) < 4 or part not in f"{logged}{caught.value}"
        return caught.value.message

    return rejection


def use_provider(settings: Settings, provider: IdentityProvider) -> None:
    for name, value in provider.settings.items():
        setattr(settings, name, value)


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def key_id(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def generate_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


class TestIdentities:
    def test_token_has_the_username_and_the_groups(self, provider: IdentityProvider) -> None:
        assert verify(provider.token("anna", ["Readers", "Editors"])) == Identity("anna", ("Readers", "Editors"))

    @pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256"])
    def test_token_may_be_signed_with_each_algorithm_of_the_settings(
        self, provider: IdentityProvider, alg: Literal["RS256", "PS256", "ES256"]
    ) -> None:
        provider.rotate(alg)
        token = provider.token()
        assert jwt.get_unverified_header(token)["alg"] == alg
        assert verify(token).username == "anna"

    @pytest.mark.parametrize("type_", [None, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"])
    def test_each_spelling_of_the_token_type_is_accepted(self, provider: IdentityProvider, type_: str | None) -> None:
        assert verify(provider.token(header={"typ": type_})).username == "anna"

    @pytest.mark.parametrize(("type_", "header_type"), [("Bearer", "JWT"), (None, "at+jwt")])
    def test_access_token_may_have_the_nonce_of_a_login(
        self, provider: IdentityProvider, type_: str | None, header_type: str
    ) -> None:
        token = provider.token(claims={"nonce": "n", "typ": type_}, header={"typ": header_type})
        assert verify(token).username == "anna"

    def test_audience_may_be_one_of_several(self, provider: IdentityProvider) -> None:
        assert verify(provider.token(claims={"aud": ["account", AUDIENCE]})).username == "anna"

    def test_clocks_may_differ_by_20_seconds(self, provider: IdentityProvider) -> None:
        now = int(time.time())
        for token in (
            provider.token(lifetime=-20),
            provider.token(claims={"iat": now + 20}),
            provider.token(claims={"nbf": now + 20}),
        ):
            assert verify(token).username == "anna"

    @pytest.mark.parametrize(
        ("claims", "setting", "username"),
        [
            ({"preferred_username": "김철수"}, None, "김철수"),
            ({"preferred_username": "a" * 150}, None, "a" * 150),
            ({"preferred_username": None}, None, "id-of-anna"),
            ({"email": "anna@example.org"}, "email", "anna@example.org"),
            ({"https://example.org/name": "anna2"}, "https://example.org/name", "anna2"),
        ],
    )
    def test_username_is_the_claim_of_the_setting(
        self, provider: IdentityProvider, settings: Settings, claims: dict[str, Any], setting: str | None, username: str
    ) -> None:
        if setting:
            settings.ORTHANC_OIDC_USERNAME_CLAIM = setting
        assert verify(provider.token(claims=claims)).username == username

    def test_token_without_the_username_claim_of_the_setting_is_rejected(
        self, provider: IdentityProvider, settings: Settings, rejection: Callable[[str], str]
    ) -> None:
        settings.ORTHANC_OIDC_USERNAME_CLAIM = "email"
        assert rejection(provider.token()) == NO_NAME

    @pytest.mark.parametrize(
        ("claims", "setting", "groups"),
        [
            ({"realm_access": None}, "realm_access.roles", ()),
            ({"realm_access": "Readers"}, "realm_access.roles", ()),
            ({"realm_access": {"roles": {"Readers": True}}}, "realm_access.roles", ()),
            (
                {"realm_access": {"roles": ["Readers", 7, None, "Rea\0ders", "\ud800", "Readers"]}},
                "realm_access.roles",
                ("Readers",),
            ),
            ({"groups": ["Readers", "/Editors"]}, "groups", ("Readers", "/Editors")),
            ({"role": "Readers"}, "role", ("Readers",)),
            ({"https://example.org/roles": ["Readers"]}, "https://example.org/roles", ("Readers",)),
            ({"a.b": ["Readers"], "a": {"b": ["Editors"]}}, "a.b", ("Readers",)),
            (
                {"resource_access": {"gateway": {"roles": ["Readers"]}}},
                "resource_access.gateway.roles",
                ("Readers",),
            ),
            (
                {"resource_access": {"gateway.example.org": {"roles": ["Readers"]}}},
                "resource_access.gateway.example.org.roles",
                ("Readers",),
            ),
            ({"groups": ["Readers"]}, "", ()),
        ],
    )
    def test_roles_are_the_claim_of_the_setting(
        self,
        provider: IdentityProvider,
        settings: Settings,
        claims: dict[str, Any],
        setting: str,
        groups: tuple[str, ...],
    ) -> None:
        settings.ORTHANC_OIDC_ROLES_CLAIM = setting
        assert verify(provider.token(roles=["Unused"], claims=claims)).groups == groups

    def test_roles_are_mapped_to_the_groups_of_the_setting(
        self, provider: IdentityProvider, settings: Settings
    ) -> None:
        settings.ORTHANC_OIDC_ROLE_GROUPS = [
            "radiologist=Readers",
            "radiologist=Uploaders",
            "cn=admins=Editors",
            "head=Readers",
            "intern=Interns",
        ]
        token = provider.token(roles=["offline_access", "Interns", "cn=admins", "head", "radiologist"])
        assert verify(token).groups == ("Readers", "Uploaders", "Editors")

    def test_token_is_rejected_if_no_provider_is_configured(
        self, provider: IdentityProvider, settings: Settings, rejection: Callable[[str], str]
    ) -> None:
        assert oidc.is_configured()
        settings.ORTHANC_OIDC_ISSUER = ""
        assert not oidc.is_configured()
        assert rejection(provider.token()) == NOT_CONFIGURED


class TestInvalidTokens:
    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            ({"lifetime": -31}, EXPIRED),
            ({"claims": {"exp": "soon"}}, MALFORMED),
            ({"audience": "https://other.example.org"}, OTHER_AUDIENCE),
            ({"claims": {"aud": [f"{AUDIENCE}/"]}}, OTHER_AUDIENCE),
            ({"claims": {"aud": []}}, LACKING),
            ({"claims": {"iss": "https://login.example.org"}}, OTHER_ISSUER),
            ({"claims": {"exp": None}}, LACKING),
            ({"claims": {"iss": None}}, LACKING),
            ({"claims": {"sub": None}}, LACKING),
            ({"claims": {"sub": 7}}, MALFORMED),
            ({"claims": {"typ": "ID"}}, OTHER_KIND),
            ({"claims": {"typ": "Refresh"}}, OTHER_KIND),
            ({"claims": {"typ": "Offline"}}, OTHER_KIND),
            ({"claims": {"typ": "Logout"}}, OTHER_KIND),
            ({"claims": {"at_hash": "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"}}, OTHER_KIND),
            ({"claims": {"events": {}}}, OTHER_KIND),
            ({"claims": {"nonce": "n", "typ": None}, "header": {"typ": "JWT"}}, OTHER_KIND),
            ({"claims": {"nonce": "n", "typ": None}, "header": {"typ": None}}, OTHER_KIND),
            ({"header": {"typ": "logout+jwt"}}, OTHER_KIND),
            ({"header": {"typ": "dpop+jwt"}}, OTHER_KIND),
            ({"header": {"typ": ["JWT"]}}, OTHER_KIND),
            ({"header": {"kid": None}}, UNKNOWN_KEY),
            ({"claims": {"preferred_username": ""}}, NO_NAME),
            ({"claims": {"preferred_username": " "}}, NO_NAME),
            ({"claims": {"preferred_username": ["anna"]}}, NO_NAME),
            ({"claims": {"preferred_username": "a" * 151}}, BAD_NAME),
            ({"claims": {"preferred_username": "anna\n"}}, BAD_NAME),
            ({"claims": {"preferred_username": "an\x00na"}}, BAD_NAME),
            ({"claims": {"preferred_username": "an\u202ena"}}, BAD_NAME),
            ({"claims": {"preferred_username": " anna"}}, BAD_NAME),
            ({"claims": {"preferred_username": "share:1"}}, BAD_NAME),
        ],
    )
    def test_rejection_of_a_token_of_the_provider_has_the_reason(
        self, provider: IdentityProvider, rejection: Callable[[str], str], token: dict[str, Any], reason: str
    ) -> None:
        assert rejection(provider.token(**token)) == reason

    @pytest.mark.parametrize("claim", ["iat", "nbf"])
    def test_token_issued_in_the_future_is_rejected(
        self, provider: IdentityProvider, rejection: Callable[[str], str], claim: str
    ) -> None:
        assert rejection(provider.token(claims={claim: int(time.time()) + 60})) == EARLY

    def test_algorithm_outside_the_setting_is_rejected(
        self, provider: IdentityProvider, settings: Settings, rejection: Callable[[str], str]
    ) -> None:
        provider.rotate("RS256")
        settings.ORTHANC_OIDC_ALGORITHMS = ["ES256"]
        assert rejection(provider.token()) == OTHER_ALGORITHM

    def test_token_of_an_untrusted_provider_is_rejected(
        self, provider: IdentityProvider, foreign: IdentityProvider, rejection: Callable[[str], str]
    ) -> None:
        assert rejection(foreign.token()) == OTHER_ISSUER
        assert rejection(foreign.token(claims={"iss": provider.issuer})) == UNKNOWN_KEY
        known = key_id(provider.token())
        assert rejection(foreign.token(claims={"iss": provider.issuer}, header={"kid": known})) == WRONG_SIGNATURE

    def test_keys_are_not_fetched_for_a_token_that_is_invalid_without_them(
        self, provider: IdentityProvider, foreign: IdentityProvider, rejection: Callable[[str], str]
    ) -> None:
        asked = provider.requests(JWKS)
        assert rejection(foreign.token()) == OTHER_ISSUER
        assert rejection(provider.token(lifetime=-60)) == EXPIRED
        assert rejection(provider.token(audience="https://other.example.org")) == OTHER_AUDIENCE
        assert rejection(provider.token(claims={"nbf": int(time.time()) + 60})) == EARLY
        assert rejection(jwt.encode(claims_of(provider.token()), "s" * 32, "HS256", {"kid": "own"})) == OTHER_ALGORITHM
        assert provider.requests(JWKS) == asked


class TestIdTokens:
    """ID tokens come from the provider's token endpoint; these are of its making, with other claims."""

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({}, ""),
            ({"aud": ["gateway", "other"], "azp": "gateway"}, ""),
            ({"aud": ["gateway", "other"], "azp": "other"}, "The ID token is for another audience."),
            ({"aud": "other"}, "The ID token is for another audience."),
            ({"aud": AUDIENCE}, "The ID token is for another audience."),
            ({"iss": "https://login.example.org"}, "The ID token was issued by another provider."),
            ({"nonce": "another"}, "The ID token is of another login."),
            ({"nonce": None}, "The ID token lacks one of the claims exp, iat, iss, aud, sub and nonce."),
            ({"sub": "a" * 256}, "The ID token has an invalid subject or session."),
            ({"sub": "a\x00"}, "The ID token has an invalid subject or session."),
            ({"sid": 7}, "The ID token has an invalid subject or session."),
            ({"sid": ""}, "The ID token has an invalid subject or session."),
            ({"exp": 1}, "The ID token has expired."),
            ({"header": {"typ": "at+jwt"}}, "This is not an ID token."),
            ({"header": {"typ": "logout+jwt"}}, "This is not an ID token."),
            ({"header": {"kid": "unknown"}}, "The ID token is signed by an unknown key."),
        ],
        ids=str,
    )
    def test_id_token_is_verified(self, provider: IdentityProvider, changed: dict[str, Any], reason: str) -> None:
        header = {"typ": "JWT", **changed.get("header", {})}
        claims = {name: value for name, value in changed.items() if name != "header"}
        token = provider.token(claims={"aud": "gateway", "nonce": "n", "typ": None, **claims}, header=header)
        if not reason:
            assert oidc.verify_id_token(token, "gateway", "n")["sub"] == "id-of-anna"
            return
        with pytest.raises(NotAuthenticated) as caught:
            oidc.verify_id_token(token, "gateway", "n")
        assert caught.value.message == reason

    def test_id_token_of_another_provider_or_without_a_signature_is_rejected(
        self, provider: IdentityProvider, foreign: IdentityProvider
    ) -> None:
        claims = {"aud": "gateway", "nonce": "n", "iss": provider.issuer}
        unsigned = provider.token(claims=claims, header={"typ": "JWT"}).rpartition(".")[0] + "."
        for token in (foreign.token(claims=claims, header={"typ": "JWT"}), unsigned, "", "a.b.c"):
            with pytest.raises(NotAuthenticated):
                oidc.verify_id_token(token, "gateway", "n")


class TestForgedTokens:
    def test_token_without_a_signature_is_rejected(
        self, provider: IdentityProvider, rejection: Callable[[str], str]
    ) -> None:
        token = provider.token()
        for alg in ("none", "None", "NONE"):
            header = base64url(json.dumps({"alg": alg, "kid": key_id(token)}).encode())
            assert rejection(f"{header}.{token.split('.')[1]}.") == OTHER_ALGORITHM
        header, payload, _ = token.split(".")
        assert rejection(f"{header}.{payload}.") == WRONG_SIGNATURE

    @pytest.mark.parametrize("allowed", [["RS256"], ["RS256", "HS256"]])
    def test_token_signed_with_the_public_key_as_a_shared_secret_is_rejected(
        self, provider: IdentityProvider, settings: Settings, rejection: Callable[[str], str], allowed: list[str]
    ) -> None:
        provider.rotate("RS256")
        settings.ORTHANC_OIDC_ALGORITHMS = allowed
        token = provider.token()
        public = jwt.PyJWK(provider.public_keys()[0]).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        # PyJWT would not sign with it
        header = {"alg": "HS256", "typ": "JWT", "kid": key_id(token)}
        signed = f"{base64url(json.dumps(header).encode())}.{token.split('.')[1]}"
        algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
        assert rejection(f"{signed}.{base64url(algorithm.sign(signed.encode(), public))}") == OTHER_ALGORITHM

    def test_token_with_an_embedded_key_is_rejected(
        self, provider: IdentityProvider, foreign: IdentityProvider, rejection: Callable[[str], str]
    ) -> None:
        token = provider.token()
        key = generate_key()
        public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        asked = foreign.requests(JWKS)
        for kid, reason in ((key_id(token), WRONG_SIGNATURE), ("own", UNKNOWN_KEY)):
            headers = {"kid": kid, "jwk": public, "jku": f"{foreign.base_url}{JWKS}", "x5u": foreign.base_url}
            assert rejection(jwt.encode(claims_of(token), key, "RS256", headers)) == reason
        assert foreign.requests(JWKS) == asked

    def test_token_with_the_payload_of_another_token_is_rejected(
        self, provider: IdentityProvider, rejection: Callable[[str], str]
    ) -> None:
        anna = provider.token("anna").split(".")
        root = provider.token("root").split(".")
        assert rejection(f"{anna[0]}.{root[1]}.{anna[2]}") == WRONG_SIGNATURE

    def test_token_with_an_unsupported_critical_header_is_rejected(
        self, provider: IdentityProvider, rejection: Callable[[str], str]
    ) -> None:
        token = provider.token()
        headers = {"kid": key_id(token), "crit": ["exp"], "exp": 0}
        assert rejection(jwt.encode(claims_of(token), generate_key(), "RS256", headers)) == MALFORMED

    @pytest.mark.parametrize(
        ("token", "reason"),
        [
            ("", MALFORMED),
            ("..", MALFORMED),
            ("garbage", MALFORMED),
            ("gar.ba.ge", MALFORMED),
            ("a.b.c.d.e", MALFORMED),
            ("bnVsbA.bnVsbA.", MALFORMED),
            ("é.é.é", MALFORMED),
            ("\ud800.a.b", MALFORMED),
            ("eyJhbGciOiJSUzI1NiJ9.bnVsbA.", MALFORMED),
            ("eyJhbGciOiJSUzI1NiIsImtpZCI6N30.e30.", MALFORMED),
            ("eyJhbGciOltdfQ.e30.", LACKING),
            ("a" * 16_385, TOO_LONG),
            ("a." * 5_000_000, TOO_LONG),
        ],
        ids=lambda value: value[:20],
    )
    def test_malformed_token_is_rejected(self, rejection: Callable[[str], str], token: str, reason: str) -> None:
        assert rejection(token) == reason

    def test_token_with_deeply_nested_json_is_rejected(
        self, provider: IdentityProvider, rejection: Callable[[str], str]
    ) -> None:
        header, _, signature = provider.token().split(".")
        nested = base64url(b"[" * 6_000)
        assert rejection(f"{header}.{nested}.{signature}") == MALFORMED
        assert rejection(f"{nested}.{nested}.") == MALFORMED

    @hypothesis_settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_signed_token_with_arbitrary_claims_is_verified_or_rejected(
        self, sign_with_trusted_key: Sign, settings: Settings, data: st.DataObject
    ) -> None:
        now = int(time.time())
        values = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([now, "anna"]),
            lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
            max_leaves=4,
        )
        names = ["iss", "aud", "sub", "exp", "iat", "nbf", "jti", "typ", "preferred_username", "realm_access"]
        claims = {"iss": settings.ORTHANC_OIDC_ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": now + 60}
        claims |= data.draw(st.dictionaries(st.sampled_from(names), values, max_size=2))
        header = data.draw(st.dictionaries(st.sampled_from(["typ", "kid", "b64", "crit", "x"]), values, max_size=1))
        try:
            identity = verify(sign_with_trusted_key(claims, header))
        except NotAuthenticated:
            return
        assert identity.username in (claims.get("preferred_username"), claims["sub"])
        assert isinstance(identity.groups, tuple)


class TestSigningKeys:
    def test_keys_are_fetched_once(self, provider: IdentityProvider) -> None:
        asked = provider.requests(JWKS), provider.requests(DISCOVERY)
        for name in ("anna", "ben", "anna"):
            assert verify(provider.token(name)).username == name
        assert (provider.requests(JWKS), provider.requests(DISCOVERY)) == (asked[0] + 1, asked[1] + 1)

    def test_keys_are_fetched_once_for_many_threads(self, provider: IdentityProvider) -> None:
        asked = provider.requests(JWKS)
        tokens = [provider.token(f"user{number}") for number in range(16)]
        with ThreadPoolExecutor(16) as threads:
            names = [identity.username for identity in threads.map(verify, tokens)]
        assert names == [f"user{number}" for number in range(16)]
        assert provider.requests(JWKS) == asked + 1

    def test_keys_at_the_url_of_the_setting_need_no_discovery(
        self, provider: IdentityProvider, settings: Settings
    ) -> None:
        settings.ORTHANC_OIDC_JWKS_URL = f"{provider.base_url}{JWKS}"
        asked = provider.requests(DISCOVERY)
        assert verify(provider.token()).username == "anna"
        assert provider.requests(DISCOVERY) == asked

    def test_new_key_is_accepted_at_once_and_the_withdrawn_one_is_rejected(
        self, provider: IdentityProvider, clock: ManualClock, rejection: Callable[[str], str]
    ) -> None:
        old = provider.token()
        assert verify(old).username == "anna"
        clock.now += 60
        provider.rotate()
        assert verify(old).username == "anna"
        assert verify(provider.token("ben")).username == "ben"
        assert rejection(old) == UNKNOWN_KEY

    def test_withdrawn_key_is_accepted_for_at_most_five_minutes(
        self, provider: IdentityProvider, clock: ManualClock, rejection: Callable[[str], str]
    ) -> None:
        old = provider.token()
        assert verify(old).username == "anna"
        provider.rotate()
        clock.now += 299
        assert verify(old).username == "anna"
        clock.now += 2
        assert rejection(old) == UNKNOWN_KEY

    def test_old_key_is_accepted_as_long_as_the_provider_publishes_it(
        self, provider: IdentityProvider, clock: ManualClock
    ) -> None:
        old = provider.token()
        assert verify(old).username == "anna"
        provider.rotate("ES256", withdraw=False)
        clock.now += 301
        assert verify(old).username == "anna"
        assert verify(provider.token("ben")).username == "ben"

    def test_unknown_key_ids_are_fetched_at_most_every_five_seconds_and_keep_known_keys(
        self, provider: IdentityProvider, clock: ManualClock, rejection: Callable[[str], str]
    ) -> None:
        token = provider.token()
        assert verify(token).username == "anna"
        asked = provider.requests(JWKS)
        key, claims = generate_key(), claims_of(token)
        for attempt in range(60):
            made_up = jwt.encode(claims, key, "RS256", {"kid": f"made-up-{attempt}"})
            assert rejection(made_up) == UNKNOWN_KEY
            assert verify(token).username == "anna"
            clock.now += 0.5
        # 30 seconds with one fetch every 5 seconds
        assert provider.requests(JWKS) == asked + 5

    def test_short_key_is_rejected(self, settings: Settings, rejection: Callable[[str], str]) -> None:
        claims = {"iss": settings.ORTHANC_OIDC_ISSUER, "aud": AUDIENCE, "sub": "anna", "exp": int(time.time()) + 60}
        with trusted_key(generate_key(1024), settings) as sign:
            assert rejection(sign(claims, {})) == WEAK_KEY


class TestProviderOutages:
    @pytest.mark.parametrize(("hours", "seconds"), [(0.0, 300), (1.0, 3600), (24.0, 86_400)])
    def test_known_keys_are_accepted_for_the_time_of_the_setting(
        self, settings: Settings, clock: ManualClock, rejection: Callable[[str], str], hours: float, seconds: int
    ) -> None:
        settings.ORTHANC_OIDC_KEYS_HOURS = hours
        with IdentityProvider() as provider:
            use_provider(settings, provider)
            token, unknown = provider.token(), provider.token(header={"kid": "unknown"})
            assert verify(token).username == "anna"
            provider.kill()
            for passed in (seconds / 2, seconds / 2 - 1):
                clock.now += passed
                assert verify(token).username == "anna"
                assert rejection(unknown) == UNREACHABLE
            clock.now += 2
            assert rejection(token) == UNREACHABLE

    def test_withdrawn_key_is_rejected_as_soon_as_the_provider_is_back(
        self, settings: Settings, clock: ManualClock, rejection: Callable[[str], str]
    ) -> None:
        with IdentityProvider() as provider:
            use_provider(settings, provider)
            token = provider.token()
            assert verify(token).username == "anna"
            provider.kill()
            clock.now += 301
            assert verify(token).username == "anna"
            # it has new keys
            provider.start()
            clock.now += identity_provider.FETCH_INTERVAL_SECONDS
            assert rejection(token) == UNKNOWN_KEY

    def test_hanging_provider_occupies_one_thread_while_known_keys_are_accepted(
        self, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(identity_provider, "FETCH_TIMEOUT_SECONDS", 2.0)
        with IdentityProvider() as provider:
            use_provider(settings, provider)
            token = provider.token()
            assert verify(token).username == "anna"
            clock.now += 301
            os.kill(provider.pid, signal.SIGSTOP)
            try:
                assert verify(token).username == "anna"
                clock.now += identity_provider.FETCH_INTERVAL_SECONDS

                def seconds(_: int) -> float:
                    started = time.monotonic()
                    assert verify(token).username == "anna"
                    return time.monotonic() - started

                with ThreadPoolExecutor(16) as threads:
                    waited = sorted(threads.map(seconds, range(64)))
            finally:
                os.kill(provider.pid, signal.SIGCONT)
        assert sum(one > 1 for one in waited) == 1

    def test_provider_that_is_down_is_asked_at_most_every_five_seconds(
        self, settings: Settings, clock: ManualClock, rejection: Callable[[str], str], caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.ORTHANC_OIDC_KEYS_HOURS = 0.0
        with IdentityProvider() as provider:
            use_provider(settings, provider)
            token, later = provider.token(), provider.token("ben")
            assert verify(token).username == "anna"
            provider.kill()
            clock.now += 299
            assert verify(later).username == "ben"
            clock.now += 2
            assert rejection(token) == UNREACHABLE

            # the provider is not requested, or logged, for each token
            for _ in range(9):
                clock.now += 0.5
                assert rejection(token) == UNREACHABLE
            assert [record.levelname for record in caplog.records if record.name == identity_provider.__name__] == [
                "WARNING"
            ]

            provider.start()
            clock.now += 0.5
            assert verify(provider.token("ben")).username == "ben"

    def test_provider_that_cannot_be_reached_is_the_reason_of_a_rejection(
        self, settings: Settings, rejection: Callable[[str], str]
    ) -> None:
        with IdentityProvider() as provider:
            use_provider(settings, provider)
            token = provider.token()
        assert rejection(token) == UNREACHABLE
        settings.ORTHANC_OIDC_JWKS_URL = f"http://127.0.0.1:{free_port()}/jwks"
        assert rejection(token) == UNREACHABLE

    def test_hanging_provider_does_not_block_tokens_with_known_keys(
        self, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(identity_provider, "FETCH_TIMEOUT_SECONDS", 2.0)
        with IdentityProvider() as provider:
            use_provider(settings, provider)
            token = provider.token()
            assert verify(token).username == "anna"
            clock.now += 60
            made_up = jwt.encode(claims_of(token), generate_key(), "RS256", {"kid": "made-up"})
            os.kill(provider.pid, signal.SIGSTOP)
            reasons: list[str] = []
            waiting = threading.Thread(target=lambda: reasons.append(rejection_of(made_up)))
            try:
                waiting.start()
                started = time.monotonic()
                while time.monotonic() < started + 0.5:
                    assert verify(token).username == "anna"
                assert waiting.is_alive()
                waiting.join(10)
            finally:
                os.kill(provider.pid, signal.SIGCONT)
            assert reasons == [UNREACHABLE]

    def test_hanging_provider_blocks_a_limited_number_of_threads(
        self, settings: Settings, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.ORTHANC_OIDC_KEYS_HOURS = 0.0
        monkeypatch.setattr(identity_provider, "FETCH_TIMEOUT_SECONDS", 3.0)
        with IdentityProvider() as provider:
            use_provider(settings, provider)
            token = provider.token()
            assert verify(token).username == "anna"
            clock.now += 60
            key, claims = generate_key(), claims_of(token)
            made_up = [jwt.encode(claims, key, "RS256", {"kid": f"made-up-{number}"}) for number in range(64)]

            def seconds(token: str) -> float:
                started = time.monotonic()
                assert rejection_of(token) == UNREACHABLE
                return time.monotonic() - started

            os.kill(provider.pid, signal.SIGSTOP)
            try:
                # none stops waiting before the last has begun
                monkeypatch.setattr(identity_provider, "FETCH_WAIT_SECONDS", 3.0)
                with ThreadPoolExecutor(64) as threads:
                    reasons = Counter(threads.map(rejection_of, made_up))
                monkeypatch.setattr(identity_provider, "FETCH_WAIT_SECONDS", 0.5)
                clock.now += 301
                with ThreadPoolExecutor(16) as threads:
                    together = sorted(threads.map(seconds, [token] * 16))
            finally:
                os.kill(provider.pid, signal.SIGCONT)
        # all but the waiting threads are rejected at once
        assert reasons == {UNREACHABLE: MAX_WAITING_THREADS, BUSY: 64 - MAX_WAITING_THREADS}
        # one thread fetches; the others stop waiting before it ends
        assert [one for one in together[:-1] if one > 2] == []

    def test_provider_with_another_issuer_in_its_discovery_document_is_not_trusted(
        self, settings: Settings, rejection: Callable[[str], str], caplog: pytest.LogCaptureFixture
    ) -> None:
        with IdentityProvider(issuer="https://login.example.org") as provider:
            use_provider(settings, provider)
            settings.ORTHANC_OIDC_ISSUER = provider.base_url
            assert rejection(provider.token()) == OTHER_ISSUER
            assert rejection(provider.token(claims={"iss": provider.base_url})) == NO_KEYS
            assert provider.requests(JWKS) == 0
        [record] = [record for record in caplog.records if record.name == identity_provider.__name__]
        assert "another issuer" in vars(record)["error"]

    @pytest.mark.parametrize(
        ("status", "headers", "body", "reason"),
        [
            (500, {}, "", UNREACHABLE),
            (302, {"Location": "file:///proc/self/environ"}, "", UNREACHABLE),
            (302, {"Location": "/elsewhere"}, "", UNREACHABLE),
            (200, {"Content-Length": "100"}, "{", UNREACHABLE),
            (200, {}, "<html>", NO_KEYS),
            (200, {}, "\xff", NO_KEYS),
            (200, {}, "[" * 100_000, NO_KEYS),
            (200, {}, "[]", NO_KEYS),
            (200, {}, "{}", NO_KEYS),
            (200, {}, '{"keys": 7}', NO_KEYS),
            (200, {}, '{"keys": [{"kty": "RSA", "kid": "own"}]}', NO_KEYS),
        ],
    )
    def test_invalid_response_with_keys_is_the_reason_of_a_rejection(
        self,
        provider: IdentityProvider,
        settings: Settings,
        rejection: Callable[[str], str],
        status: int,
        headers: dict[str, str],
        body: str,
        reason: str,
    ) -> None:
        with serving_responses({JWKS: (status, headers, body)}) as address:
            settings.ORTHANC_OIDC_JWKS_URL = f"{address}{JWKS}"
            assert rejection(provider.token()) == reason

    def test_keys_at_a_file_url_are_not_read(
        self, provider: IdentityProvider, settings: Settings, rejection: Callable[[str], str], tmp_path: Path
    ) -> None:
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": provider.public_keys()}))
        settings.ORTHANC_OIDC_JWKS_URL = (tmp_path / "jwks.json").as_uri()
        assert rejection(provider.token()) == NO_KEYS


class TestProviderHTTPS:
    def test_certificate_of_the_provider_must_be_trusted(
        self, settings: Settings, certificate: tuple[Path, Path], rejection: Callable[[str], str]
    ) -> None:
        with IdentityProvider(tls=certificate) as provider:
            use_provider(settings, provider)
            assert provider.issuer.startswith("https://")
            assert rejection(provider.token()) == UNREACHABLE
            settings.ORTHANC_OIDC_CA_BUNDLE = str(certificate[1])
            assert verify(provider.token()).username == "anna"
            settings.ORTHANC_OIDC_CA_BUNDLE = "/nowhere/ca.pem"
            assert rejection(provider.token()) == UNREACHABLE

    def test_https_provider_cannot_have_keys_at_an_http_url(self, monkeypatch: pytest.MonkeyPatch) -> None:
        issuer = "https://login.example.org"
        document = {"issuer": issuer, "jwks_uri": "http://login.example.org/keys"}
        monkeypatch.setattr(jwt.PyJWKClient, "fetch_data", lambda _: document)
        with pytest.raises(ValueError, match="without https"):
            identity_provider._discovered_url(issuer)


@contextmanager
def trusted_key(key: rsa.RSAPrivateKey, settings: Settings) -> Iterator[Sign]:
    """Let the gateway trust a key, and yield a function that signs with it, including claims that PyJWT rejects."""
    public = {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": "own", "use": "sig"}

    def sign(claims: dict[str, Any], header: dict[str, Any]) -> str:
        header = {"alg": "RS256", "kid": "own", **header}
        signed = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(claims).encode())}"
        return f"{signed}.{base64url(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"

    with serving_responses({JWKS: (200, {}, json.dumps({"keys": [public]}))}) as address:
        settings.ORTHANC_OIDC_JWKS_URL = f"{address}{JWKS}"
        yield sign


def base64url(part: bytes) -> str:
    """Return the base64url encoding without padding, as in a token."""
    return urlsafe_b64encode(part).decode().rstrip("=")


def rejection_of(token: str) -> str:
    try:
        verify(token)
    except (NotAuthenticated, GatewayUnavailable) as error:
        return error.message
    return ""


@contextmanager
def serving_responses(answers: dict[str, tuple[int, dict[str, str], str]]) -> Iterator[str]:
    """Yield the URL of a server with these responses: status, headers and body by path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answers[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode("latin-1"))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
