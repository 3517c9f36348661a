"""The OpenID Connect provider: its configuration (OpenID Connect Discovery 1.0), its keys, and requests to it.

A token names the key that signed it. The provider's keys are cached for five minutes, so that a withdrawn key is
accepted no longer than that. While the provider does not answer, those that are known stay good for
ORTHANC_OIDC_KEYS_HOURS. A token with an unknown key causes another fetch, but at most one every few seconds: anyone
can send tokens with made-up keys.
"""

import json
import logging
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

import jwt
from django.core.signals import setting_changed

from orthancproxy.conf import conf
from orthancproxy.errors import GatewayUnavailable

logger = logging.getLogger(__name__)

KEYS_LIFETIME_SECONDS = 300.0
FETCH_INTERVAL_SECONDS = 5.0
FETCH_TIMEOUT_SECONDS = 5.0
FETCH_WAIT_SECONDS = 2.0  # for which a thread waits while another fetches
MAX_WAITING_THREADS = 8  # with an unknown key, at the same time
MAX_RESPONSE_BYTES = 1024**2
HEADERS = {"Accept": "application/json", "User-Agent": "orthanc-graphql-gateway"}

UNREACHABLE = "The identity provider cannot be reached: try again later."
NO_KEYS = "The identity provider has no usable keys: try again later."
NO_CONFIGURATION = "The identity provider has no usable configuration: try again later."
BUSY = "Too many tokens with unknown keys are being checked: try again later."

# PyJWT does not catch errors of reading and parsing
_FAILURES = (jwt.PyJWTError, OSError, ValueError, RecursionError)


def endpoint(name: str, *, is_optional: bool = False) -> str:
    """Return the URL of an endpoint in the provider's configuration, empty if an optional one is not in it.

    The configuration is at most five seconds old: whoever logs in is not sent to a provider that is down. Raises
    GatewayUnavailable.
    """
    url = _configuration.read().get(name)
    if (
        isinstance(url, str)
        and urlsplit(url).scheme in ("http", "https")
        and _is_as_safe_as(conf.ORTHANC_OIDC_ISSUER, url)
    ):
        return url
    if is_optional:
        return ""
    logger.warning("the configuration of the identity provider lacks an endpoint", extra={"endpoint": name})
    raise GatewayUnavailable(NO_CONFIGURATION)


def supports(name: str, value: str) -> bool:
    """Return whether a list in the provider's configuration contains a value. Raises GatewayUnavailable."""
    values = _configuration.read().get(name)
    return isinstance(values, list) and value in values


def key(kid: str) -> jwt.PyJWK | None:
    """Return the provider's key with an id, None if it has no such key. Raises GatewayUnavailable."""
    return _keys.find(kid)


def exchange(url: str, form: Mapping[str, str] | None = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON object of a response: of a POST with a form, else of a GET.

    Raises GatewayUnavailable if the provider does not answer, or with something else. Follows no redirects.
    """
    data = urlencode(form).encode() if form is not None else None
    request = Request(url, data, {**HEADERS, **headers})  # noqa: S310  checked by `endpoint`
    opener = build_opener(HTTPSHandler(context=_tls()), _NoRedirects)
    try:
        try:
            with opener.open(request, timeout=FETCH_TIMEOUT_SECONDS) as response:
                status, body = response.status, response.read(MAX_RESPONSE_BYTES)
        except HTTPError as error:
            with error:
                status, body = error.code, error.read(MAX_RESPONSE_BYTES)
        answer = json.loads(body)
    except _FAILURES as error:
        logger.warning("the identity provider does not answer", extra={"error": str(error)})
        raise GatewayUnavailable(UNREACHABLE) from None
    if status >= 500 or not isinstance(answer, dict):
        raise GatewayUnavailable(UNREACHABLE)
    return status, answer


class _NoRedirects(HTTPRedirectHandler):
    """Follows none: they could lead to any URL."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(slots=True)
class _Keys:
    """The cache of the provider's public keys by id. Thread-safe."""

    _keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict)
    _fetched_at: float = 0.0
    _expire: float = 0.0
    _next_fetch: float = 0.0
    _failure: str = ""
    _fetching: threading.Lock = field(default_factory=threading.Lock)
    _waiting: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(MAX_WAITING_THREADS)
    )

    def find(self, kid: str) -> jwt.PyJWK | None:
        """Return the key with an id, None if the provider has no such key. Raises GatewayUnavailable."""
        # a caller with a known key never waits for the fetch of another key
        return self._known(kid) or self._fetched(kid)

    def _fetched(self, kid: str) -> jwt.PyJWK | None:
        """Return the key after a fetch, by this thread or by another that is fetching already."""
        # untrusted callers with made-up keys must not occupy all threads; before the first fetch, every key is unknown
        waiting = self._waiting if monotonic() < self._expire else None
        if waiting and not waiting.acquire(blocking=False):
            raise GatewayUnavailable(BUSY)
        try:
            # the provider did not answer the last time: one thread finds out whether it does, and no other waits
            is_kept = bool(self._failure) and self._kept(kid) is not None
            failure = UNREACHABLE
            if self._fetching.acquire(timeout=0 if is_kept else FETCH_WAIT_SECONDS):
                try:
                    key = self._known(kid)
                    if key is None:
                        self._fetch_where_due()
                        key = self._known(kid)
                    failure = self._failure
                finally:
                    self._fetching.release()
                if key is not None or not failure:
                    return key
            if (kept := self._kept(kid)) is not None:
                return kept
            raise GatewayUnavailable(failure)
        finally:
            if waiting:
                waiting.release()

    def forget(self) -> None:
        """Discard the keys: the next token causes a fetch."""
        with self._fetching:
            self._keys, self._failure = {}, ""
            self._expire = self._next_fetch = 0.0

    def _known(self, kid: str) -> jwt.PyJWK | None:
        return self._keys.get(kid) if monotonic() < self._expire else None

    def _kept(self, kid: str) -> jwt.PyJWK | None:
        """Return a key that the provider had when it last answered, unless that is too long ago."""
        lifetime = max(conf.ORTHANC_OIDC_KEYS_HOURS * 3600, KEYS_LIFETIME_SECONDS)
        return self._keys.get(kid) if monotonic() < self._fetched_at + lifetime else None

    def _fetch_where_due(self) -> None:
        if monotonic() < self._next_fetch:
            return
        try:
            keys = _fetch_keys()
        except _FAILURES as error:
            self._failure = _failure(error, NO_KEYS)
            logger.warning("cannot fetch the keys of the identity provider", extra={"error": str(error)})
        else:
            # in this order, so that a thread that sees the new expiry sees the new keys
            self._keys, self._failure = keys, ""
            self._fetched_at = monotonic()
            self._expire = self._fetched_at + KEYS_LIFETIME_SECONDS
        self._next_fetch = monotonic() + FETCH_INTERVAL_SECONDS


@dataclass(slots=True)
class _Configuration:
    """The provider's configuration, fetched at most once in FETCH_INTERVAL_SECONDS. Thread-safe."""

    _document: Mapping[str, Any] = field(default_factory=dict)
    _failure: str = ""
    _next_fetch: float = 0.0
    _fetching: threading.Lock = field(default_factory=threading.Lock)

    def read(self) -> Mapping[str, Any]:
        """Return the configuration. Raises GatewayUnavailable."""
        if not self._fetching.acquire(timeout=FETCH_WAIT_SECONDS):
            raise GatewayUnavailable(UNREACHABLE)
        try:
            if monotonic() >= self._next_fetch:
                self._fetch()
            if self._failure:
                raise GatewayUnavailable(self._failure)
            return self._document
        finally:
            self._fetching.release()

    def forget(self) -> None:
        """Fetch it again when it is next needed."""
        self._next_fetch = 0.0

    def _fetch(self) -> None:
        try:
            self._document, self._failure = _fetch_configuration(conf.ORTHANC_OIDC_ISSUER), ""
        except _FAILURES as error:
            self._failure = _failure(error, NO_CONFIGURATION)
            logger.warning("cannot fetch the configuration of the identity provider", extra={"error": str(error)})
        self._next_fetch = monotonic() + FETCH_INTERVAL_SECONDS


def _failure(error: Exception, otherwise: str) -> str:
    """Return what callers are told of an error: that the provider does not answer, or what its answer lacks."""
    return UNREACHABLE if isinstance(error, jwt.PyJWKClientConnectionError | OSError) else otherwise


def _fetch_keys() -> dict[str, jwt.PyJWK]:
    url = conf.ORTHANC_OIDC_JWKS_URL or _discovered_url(conf.ORTHANC_OIDC_ISSUER)
    return {key.key_id: key for key in _client(url).get_signing_keys() if key.key_id}


def _discovered_url(issuer: str) -> str:
    url = str(_fetch_configuration(issuer).get("jwks_uri"))
    if not _is_as_safe_as(issuer, url):
        raise ValueError("its configuration names a key URL without https")
    return url


def _fetch_configuration(issuer: str) -> dict[str, Any]:
    document: Any = _client(f"{issuer.rstrip('/')}/.well-known/openid-configuration").fetch_data()
    if document.get("issuer") != issuer:
        raise ValueError("its configuration names another issuer than ORTHANC_OIDC_ISSUER")
    return dict(document)


def _is_as_safe_as(issuer: str, url: str) -> bool:
    return urlsplit(issuer).scheme != "https" or urlsplit(url).scheme == "https"


def _client(url: str) -> jwt.PyJWKClient:
    """Return PyJWT's client, which follows no redirects and supports http and https only; it caches nothing."""
    return jwt.PyJWKClient(url, cache_jwk_set=False, headers=HEADERS, timeout=FETCH_TIMEOUT_SECONDS, ssl_context=_tls())


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=conf.ORTHANC_OIDC_CA_BUNDLE or None)


_keys = _Keys()
_configuration = _Configuration()


def _forget(*, setting: str, **_: Any) -> None:
    if setting.startswith("ORTHANC_OIDC_"):
        _keys.forget()
        _configuration.forget()


setting_changed.connect(_forget)
