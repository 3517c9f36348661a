"""System checks: what is wrong in the configuration, and how to put it right."""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's name for it
from jwt.algorithms import requires_cryptography

from orthancproxy.access.actions import Action
from orthancproxy.conf import SETTINGS, Kind, conf
from orthancproxy.dicom.validation import long_string
from orthancproxy.errors import InvalidRequest
from orthancproxy.logs import LOG_FORMATS

TYPES: dict[Kind, tuple[type, ...]] = {
    "text": (str,),
    "secret": (str,),
    "number": (int, float),
    "integer": (int,),
    "flag": (bool,),
    "list": (list, tuple),
}


@register(Tags.security)
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return every problem of the gateway's settings."""
    unreadable = [
        Error(problem, hint="Correct or remove the environment variable.", id="orthancproxy.E001")
        for problem in getattr(settings, "ORTHANC_ENVIRONMENT_PROBLEMS", ())
    ]
    # the other checks take the types for granted
    wrong = list(_wrong_types()) or [message for check in CHECKS for message in check()]
    return [*unreadable, *wrong]


def _wrong_types() -> Iterator[CheckMessage]:
    for setting in SETTINGS:
        value = getattr(settings, setting.name, setting.default)
        wanted = TYPES[setting.kind]
        # bool is an int to Python, and no number of seconds
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            yield Error(
                f"{setting.name} is of type {type(value).__name__}.",
                hint=f"It must be of type {' or '.join(kind.__name__ for kind in wanted)}.",
                id="orthancproxy.E002",
            )


def _base_url() -> Iterator[CheckMessage]:
    message = ""
    try:
        url = urlsplit(conf.ORTHANC_BASE_URL)
        if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
            message = "ORTHANC_BASE_URL is not an http or https URL."
        elif url.username is not None or url.password is not None:
            message = "ORTHANC_BASE_URL holds credentials."
        elif url.query or url.fragment:
            message = "ORTHANC_BASE_URL has a query or a fragment."
    except ValueError:
        message = "ORTHANC_BASE_URL is not a URL."
    if message:
        hint = "Give it as http://host:8042, and the credentials in ORTHANC_USERNAME and ORTHANC_PASSWORD."
        yield Error(message, hint=hint, id="orthancproxy.E003")


def _ca_bundle() -> Iterator[CheckMessage]:
    if conf.ORTHANC_CA_BUNDLE and not Path(conf.ORTHANC_CA_BUNDLE).is_file():
        yield Error(
            f"ORTHANC_CA_BUNDLE: there is no file {conf.ORTHANC_CA_BUNDLE}.",
            hint="Name a PEM file, or leave it empty to trust the public authorities.",
            id="orthancproxy.E004",
        )


def _timeouts() -> Iterator[CheckMessage]:
    for name, seconds in (
        ("ORTHANC_CONNECT_TIMEOUT", conf.ORTHANC_CONNECT_TIMEOUT),
        ("ORTHANC_READ_TIMEOUT", conf.ORTHANC_READ_TIMEOUT),
        ("ORTHANC_CLIENT_TIMEOUT", conf.ORTHANC_CLIENT_TIMEOUT),
        ("ORTHANC_MAX_SECONDS", conf.ORTHANC_MAX_SECONDS),
    ):
        # also false of NaN; a day is far above what any proxy in between would wait for
        if not 0 < seconds <= 86400:
            yield Error(f"{name} is {seconds}.", hint="Give seconds, such as 30.", id="orthancproxy.E005")


def _sizes() -> Iterator[CheckMessage]:
    for name, value, most, id_ in (
        ("ORTHANC_POOL_SIZE", conf.ORTHANC_POOL_SIZE, 1000, "orthancproxy.E006"),
        ("ORTHANC_MAX_DOWNLOADS", conf.ORTHANC_MAX_DOWNLOADS, 1000, "orthancproxy.E050"),
        ("ORTHANC_MAX_PAGE_SIZE", conf.ORTHANC_MAX_PAGE_SIZE, 1000, "orthancproxy.E007"),
        ("ORTHANC_THUMBNAIL_SIZE", conf.ORTHANC_THUMBNAIL_SIZE, 2048, "orthancproxy.E008"),
        ("ORTHANC_MAX_UPLOAD_FILES", conf.ORTHANC_MAX_UPLOAD_FILES, 1_000_000, "orthancproxy.E013"),
        ("ORTHANC_MAX_UPLOAD_BYTES", conf.ORTHANC_MAX_UPLOAD_BYTES, 1024**4, "orthancproxy.E014"),
        ("ORTHANC_UPLOAD_THREADS", conf.ORTHANC_UPLOAD_THREADS, 64, "orthancproxy.E015"),
        ("ORTHANC_MAX_OBJECTS", conf.ORTHANC_MAX_OBJECTS, 10_000_000, "orthancproxy.E040"),
        ("ORTHANC_MAX_QUERY_TOKENS", conf.ORTHANC_MAX_QUERY_TOKENS, 100_000, "orthancproxy.E041"),
        # graphql-core reads none that is nested deeper
        ("ORTHANC_MAX_QUERY_DEPTH", conf.ORTHANC_MAX_QUERY_DEPTH, 200, "orthancproxy.E042"),
        ("ORTHANC_MAX_QUERY_FIELDS", conf.ORTHANC_MAX_QUERY_FIELDS, 100_000, "orthancproxy.E043"),
        ("ORTHANC_MAX_QUERY_ALIASES", conf.ORTHANC_MAX_QUERY_ALIASES, 100_000, "orthancproxy.E044"),
        ("ORTHANC_MAX_QUERY_REPEATS", conf.ORTHANC_MAX_QUERY_REPEATS, 100_000, "orthancproxy.E045"),
    ):
        if not 1 <= value <= most:
            yield Error(f"{name} is {value}.", hint=f"Give a number from 1 to {most}.", id=id_)


def _default_study_description() -> Iterator[CheckMessage]:
    try:
        long_string(conf.ORTHANC_DEFAULT_STUDY_DESCRIPTION, "study description")
    except InvalidRequest as error:
        yield Error(
            f"ORTHANC_DEFAULT_STUDY_DESCRIPTION: {error.message}",
            hint="Give a text of at most 64 characters (the VR LO), or leave it empty.",
            id="orthancproxy.E016",
        )


def _log_format() -> Iterator[CheckMessage]:
    if conf.ORTHANC_LOG_FORMAT not in LOG_FORMATS:
        yield Error(
            f"ORTHANC_LOG_FORMAT is {conf.ORTHANC_LOG_FORMAT!r}.",
            hint=f"Give {' or '.join(LOG_FORMATS)}.",
            id="orthancproxy.E009",
        )


def _cors_origins() -> Iterator[CheckMessage]:
    for origin in conf.ORTHANC_CORS_ORIGINS:
        if not _is_origin(origin):
            yield Error(
                f"ORTHANC_CORS_ORIGINS: {origin!r} is not an origin.",
                hint="Give scheme and host without a path or wildcard, such as https://viewer.example.org.",
                id="orthancproxy.E010",
            )


def _is_origin(origin: object) -> bool:
    if not isinstance(origin, str):
        return False
    try:
        url = urlsplit(origin)
        port = "" if url.port is None else f":{url.port}"
    except ValueError:
        return False
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return (
        bool(host)
        and "*" not in origin
        and url.scheme in ("http", "https")
        and origin == f"{url.scheme}://{host}{port}"
    )


def _anonymous_actions() -> Iterator[CheckMessage]:
    known = [action.value for action in Action]
    for name in conf.ORTHANC_ANONYMOUS_ACTIONS:
        if name not in known:
            yield Error(
                f"ORTHANC_ANONYMOUS_ACTIONS: {name!r} is not an action.",
                hint=f"Give some of {', '.join(known)}, or nothing.",
                id="orthancproxy.E030",
            )


def _credentials() -> Iterator[CheckMessage]:
    for name, given, other, missing in (
        ("ORTHANC_USERNAME", conf.ORTHANC_USERNAME, "ORTHANC_PASSWORD", not conf.ORTHANC_PASSWORD),
        ("ORTHANC_PASSWORD", conf.ORTHANC_PASSWORD, "ORTHANC_USERNAME", not conf.ORTHANC_USERNAME),
    ):
        if given and missing:
            yield Error(f"{name} is set and {other} is not.", hint="Set both or neither.", id="orthancproxy.E011")
    if ":" in conf.ORTHANC_USERNAME:
        hint = "HTTP basic authentication has no way to send one: rename the user in Orthanc."
        yield Error("ORTHANC_USERNAME has a colon.", hint=hint, id="orthancproxy.E012")


def _oidc_urls() -> Iterator[CheckMessage]:
    for name, value, example in (
        ("ORTHANC_OIDC_ISSUER", conf.ORTHANC_OIDC_ISSUER, "https://login.example.org/realms/hospital"),
        ("ORTHANC_OIDC_JWKS_URL", conf.ORTHANC_OIDC_JWKS_URL, "https://login.example.org/keys"),
    ):
        if not value:
            continue
        url = _web_url(value)
        if url is None:
            yield Error(
                f"{name} is not an http or https URL without credentials, query and fragment.",
                hint=f"Give it as {example}.",
                id="orthancproxy.E017",
            )
        elif url.scheme == "http" and not _is_loopback(url.hostname or ""):
            yield Warning(
                f"{name} has no https: who is in between can sign tokens of his own.",
                hint="Give the provider's https URL, and its authority in ORTHANC_OIDC_CA_BUNDLE if need be.",
                id="orthancproxy.W003",
            )


def _web_url(text: str) -> SplitResult | None:
    try:
        url = urlsplit(text)
        is_web = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return None
    return url if is_web and not (url.username or url.password or url.query or url.fragment) else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _oidc() -> Iterator[CheckMessage]:
    if conf.ORTHANC_OIDC_ISSUER and not conf.ORTHANC_OIDC_AUDIENCE:
        yield Error(
            "ORTHANC_OIDC_ISSUER is set and ORTHANC_OIDC_AUDIENCE is not: tokens for other services would do.",
            hint="Give what the provider puts into the claim aud of tokens for the gateway.",
            id="orthancproxy.E018",
        )
    wrong = [name for name in conf.ORTHANC_OIDC_ALGORITHMS if name not in requires_cryptography]
    if wrong or not conf.ORTHANC_OIDC_ALGORITHMS:
        yield Error(
            f"ORTHANC_OIDC_ALGORITHMS: {wrong[0]!r} is not an asymmetric algorithm that is known."
            if wrong
            else "ORTHANC_OIDC_ALGORITHMS is empty.",
            hint="Give those that the provider signs with, such as RS256.",
            id="orthancproxy.E019",
        )
    if conf.ORTHANC_OIDC_CA_BUNDLE and not Path(conf.ORTHANC_OIDC_CA_BUNDLE).is_file():
        yield Error(
            f"ORTHANC_OIDC_CA_BUNDLE: there is no file {conf.ORTHANC_OIDC_CA_BUNDLE}.",
            hint="Name a PEM file, or leave it empty to trust the system's authorities.",
            id="orthancproxy.E020",
        )
    for pair in conf.ORTHANC_OIDC_ROLE_GROUPS:
        if not _is_pair(pair):
            yield Error(
                f"ORTHANC_OIDC_ROLE_GROUPS: {pair!r} is not a role and a group.",
                hint="Give pairs, separated by commas: radiologist=Readers.",
                id="orthancproxy.E021",
            )


def _is_pair(pair: object) -> bool:
    return isinstance(pair, str) and all(pair.rpartition("="))


def _exposure() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        return
    if "*" in settings.ALLOWED_HOSTS:
        yield Warning(
            "ALLOWED_HOSTS holds '*': who sets the Host header decides where the gateway's links lead.",
            hint="Name the hosts, separated by commas, in DJANGO_ALLOWED_HOSTS.",
            id="orthancproxy.W001",
        )
    if len(settings.SECRET_KEY) < 50 or len(set(settings.SECRET_KEY)) < 5:
        yield Warning(
            "SECRET_KEY is short: sessions signed with it can be forged.",
            hint="Leave DJANGO_SECRET_KEY empty to have one made, or give 50 random characters.",
            id="orthancproxy.W002",
        )


CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    _base_url,
    _ca_bundle,
    _timeouts,
    _sizes,
    _default_study_description,
    _log_format,
    _cors_origins,
    _anonymous_actions,
    _credentials,
    _oidc_urls,
    _oidc,
    _exposure,
)
