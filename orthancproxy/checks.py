"""Django system checks of the settings, beyond those that Setting declares."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004  Django's name for it
from jwt.algorithms import requires_cryptography

from orthancproxy.access.actions import FOR_ANYONE, Action
from orthancproxy.audit.syslog import parse_url
from orthancproxy.conf import SETTINGS, conf
from orthancproxy.dicom.text import FALLBACK_CODECS
from orthancproxy.dicom.validation import long_string
from orthancproxy.errors import InvalidRequest
from orthancproxy.logs import LOG_FORMATS
from orthancproxy.resolvers.viewer_urls import PLACEHOLDERS, unknown_placeholders
from orthancproxy.setting import Setting

MIN_SECRET_CHARACTERS = 32
_LOCATION = re.compile(r"(/[\w.-]+)+/?", re.ASCII)


@register(Tags.security)
def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Return a message for each problem in the gateway's settings."""
    unreadable = [
        Error(problem, hint="Correct or remove the environment variable.", id="orthancproxy.E001")
        for problem in getattr(settings, "ORTHANC_ENVIRONMENT_PROBLEMS", ())
    ]
    # the other checks rely on the types
    return [*unreadable, *(list(_types()) or [message for check in CHECKS for message in check()])]


def _types() -> Iterator[CheckMessage]:
    for setting, value in _values():
        if not setting.has_type(value):
            message = f"{setting.name} is of type {type(value).__name__}."
            yield Error(message, hint=f"It must be {setting.expected}.", id="orthancproxy.E002")


def _bounds() -> Iterator[CheckMessage]:
    for setting, value in _values():
        if not setting.is_within_bounds(value):
            message = f"{setting.name} is {setting.display(value)}."
            yield Error(message, hint=f"It must be {setting.expected}.", id="orthancproxy.E005")


def _values() -> Iterator[tuple[Setting[Any], object]]:
    return ((setting, getattr(conf, setting.name)) for setting in SETTINGS)


def _base_url() -> Iterator[CheckMessage]:
    message = ""
    try:
        url = urlsplit(conf.ORTHANC_BASE_URL)
        if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
            message = "ORTHANC_BASE_URL is not an http or https URL."
        elif url.username is not None or url.password is not None:
            message = "ORTHANC_BASE_URL contains credentials."
        elif url.query or url.fragment:
            message = "ORTHANC_BASE_URL has a query or a fragment."
    except ValueError:
        message = "ORTHANC_BASE_URL is not a URL."
    if message:
        hint = "Use the form http://host:8042, and set credentials in ORTHANC_USERNAME and ORTHANC_PASSWORD."
        yield Error(message, hint=hint, id="orthancproxy.E003")


def _ca_bundle() -> Iterator[CheckMessage]:
    if conf.ORTHANC_CA_BUNDLE and not Path(conf.ORTHANC_CA_BUNDLE).is_file():
        yield Error(
            f"ORTHANC_CA_BUNDLE names a file that does not exist: {conf.ORTHANC_CA_BUNDLE}.",
            hint="Set the path of a PEM file, or leave it empty to trust the public certificate authorities.",
            id="orthancproxy.E004",
        )


def _default_study_description() -> Iterator[CheckMessage]:
    try:
        long_string(conf.ORTHANC_DEFAULT_STUDY_DESCRIPTION, "study description")
    except InvalidRequest as error:
        yield Error(
            f"ORTHANC_DEFAULT_STUDY_DESCRIPTION: {error.message}",
            hint="Use at most 64 characters that the VR LO allows, or leave it empty.",
            id="orthancproxy.E016",
        )


def _default_encoding() -> Iterator[CheckMessage]:
    if conf.ORTHANC_DEFAULT_ENCODING not in FALLBACK_CODECS:
        yield Error(
            f"ORTHANC_DEFAULT_ENCODING is {conf.ORTHANC_DEFAULT_ENCODING!r}.",
            hint=f"It must be one of {', '.join(FALLBACK_CODECS)}.",
            id="orthancproxy.E032",
        )


def _log_format() -> Iterator[CheckMessage]:
    if conf.ORTHANC_LOG_FORMAT not in LOG_FORMATS:
        yield Error(
            f"ORTHANC_LOG_FORMAT is {conf.ORTHANC_LOG_FORMAT!r}.",
            hint=f"It must be {' or '.join(LOG_FORMATS)}.",
            id="orthancproxy.E009",
        )


def _cors_origins() -> Iterator[CheckMessage]:
    for origin in conf.ORTHANC_CORS_ORIGINS:
        if not _is_origin(origin):
            yield Error(
                f"ORTHANC_CORS_ORIGINS contains {origin!r}, which is not an origin.",
                hint="Use scheme and host without a path or wildcard, such as https://viewer.example.org.",
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
    permitted = [action.value for action in Action if action in FOR_ANYONE]
    known = [action.value for action in Action]
    for name in conf.ORTHANC_ANONYMOUS_ACTIONS:
        if name not in permitted:
            reason = "which anonymous callers cannot do" if name in known else "which is not an action"
            yield Error(
                f"ORTHANC_ANONYMOUS_ACTIONS contains {name!r}, {reason}.",
                hint=f"Choose from {', '.join(permitted)}, or leave it empty.",
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
        hint = "HTTP basic authentication cannot send one: rename the user in Orthanc."
        yield Error("ORTHANC_USERNAME contains a colon.", hint=hint, id="orthancproxy.E012")


def _accel_redirect() -> Iterator[CheckMessage]:
    if conf.ORTHANC_ACCEL_REDIRECT and not _LOCATION.fullmatch(conf.ORTHANC_ACCEL_REDIRECT):
        yield Error(
            f"ORTHANC_ACCEL_REDIRECT is {conf.ORTHANC_ACCEL_REDIRECT!r}, which is not a location of nginx.",
            hint="Use a path such as /orthanc-files, or leave it empty.",
            id="orthancproxy.E034",
        )


def _secrets() -> Iterator[CheckMessage]:
    for name, secret, number in (
        ("ORTHANC_EVENTS_SECRET", conf.ORTHANC_EVENTS_SECRET, "E033"),
        ("ORTHANC_PSEUDONYM_KEY", conf.ORTHANC_PSEUDONYM_KEY, "E041"),
    ):
        if 0 < len(secret) < MIN_SECRET_CHARACTERS:
            yield Error(
                f"{name} is shorter than {MIN_SECRET_CHARACTERS} characters.",
                hint="Use random letters and digits, as docker/make-env does, or leave it empty.",
                id=f"orthancproxy.{number}",
            )


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
                f"{name} must be an http or https URL without credentials, query or fragment.",
                hint=f"Use a URL such as {example}.",
                id="orthancproxy.E017",
            )
        elif url.scheme == "http" and not _is_loopback(url.hostname or ""):
            yield Warning(
                f"{name} does not use https: an attacker on the network can forge tokens.",
                hint="Use the provider's https URL, with ORTHANC_OIDC_CA_BUNDLE for a private certificate authority.",
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
    # the stand-alone deployment may use the provider for logins only
    logs_in = getattr(settings, "ORTHANC_OIDC_CLIENT_ID", "")
    if conf.ORTHANC_OIDC_ISSUER and not conf.ORTHANC_OIDC_AUDIENCE and not logs_in:
        yield Error(
            "ORTHANC_OIDC_ISSUER is set and ORTHANC_OIDC_AUDIENCE is not: no access token would be accepted.",
            hint="Set it to the claim aud of the tokens that the provider issues for the gateway.",
            id="orthancproxy.E018",
        )
    wrong = [name for name in conf.ORTHANC_OIDC_ALGORITHMS if name not in requires_cryptography]
    if wrong or not conf.ORTHANC_OIDC_ALGORITHMS:
        yield Error(
            f"ORTHANC_OIDC_ALGORITHMS contains {wrong[0]!r}, which is not a supported asymmetric algorithm."
            if wrong
            else "ORTHANC_OIDC_ALGORITHMS is empty.",
            hint="List the algorithms that the provider signs with, such as RS256.",
            id="orthancproxy.E019",
        )
    if conf.ORTHANC_OIDC_CA_BUNDLE and not Path(conf.ORTHANC_OIDC_CA_BUNDLE).is_file():
        yield Error(
            f"ORTHANC_OIDC_CA_BUNDLE names a file that does not exist: {conf.ORTHANC_OIDC_CA_BUNDLE}.",
            hint="Set the path of a PEM file, or leave it empty to trust the system's certificate authorities.",
            id="orthancproxy.E020",
        )
    for pair in conf.ORTHANC_OIDC_ROLE_GROUPS:
        if not _is_pair(pair):
            yield Error(
                f"ORTHANC_OIDC_ROLE_GROUPS contains {pair!r}, which is not a pair of a role and a group.",
                hint="Use pairs such as radiologist=Readers.",
                id="orthancproxy.E021",
            )


def _is_pair(pair: object) -> bool:
    return isinstance(pair, str) and all(pair.rpartition("="))


def _exposure() -> Iterator[CheckMessage]:
    if settings.DEBUG:
        return
    if "*" in settings.ALLOWED_HOSTS:
        yield Warning(
            "ALLOWED_HOSTS contains '*': with a forged Host header, the gateway's URLs lead to another host.",
            hint="List the host names in DJANGO_ALLOWED_HOSTS, separated by commas.",
            id="orthancproxy.W001",
        )
    if len(settings.SECRET_KEY) < 50 or len(set(settings.SECRET_KEY)) < 5:
        yield Warning(
            "SECRET_KEY is weak: sessions signed with it can be forged.",
            hint="Leave DJANGO_SECRET_KEY empty to have one generated, or use at least 50 random characters.",
            id="orthancproxy.W002",
        )


def _viewer_url() -> Iterator[CheckMessage]:
    if unknown := unknown_placeholders(conf.ORTHANC_VIEWER_URL):
        yield Error(
            f"ORTHANC_VIEWER_URL has unknown placeholders: {', '.join(unknown)}.",
            hint=f"Known ones are {', '.join(PLACEHOLDERS)}.",
            id="orthancproxy.E035",
        )


def _audit_repository() -> Iterator[CheckMessage]:
    if not conf.ORTHANC_AUDIT_SYSLOG:
        return
    try:
        parse_url(conf.ORTHANC_AUDIT_SYSLOG)
    except ValueError:
        yield Error(
            "ORTHANC_AUDIT_SYSLOG is not the URL of a syslog receiver with TLS.",
            hint="Use the form tls://audit.example.org:6514.",
            id="orthancproxy.E036",
        )
    for name in ("ORTHANC_AUDIT_CA_BUNDLE", "ORTHANC_AUDIT_CERTIFICATE", "ORTHANC_AUDIT_KEY"):
        file = getattr(conf, name)
        if file and not Path(file).is_file():
            yield Error(
                f"{name} names a file that does not exist: {file}.",
                hint="Set the path of a PEM file, or leave it empty.",
                id="orthancproxy.E037",
            )
    if conf.ORTHANC_AUDIT_KEY and not conf.ORTHANC_AUDIT_CERTIFICATE:
        yield Error(
            "ORTHANC_AUDIT_KEY is set and ORTHANC_AUDIT_CERTIFICATE is not.",
            hint="Set the certificate of the key, or remove the key.",
            id="orthancproxy.E038",
        )


def _audit_retention() -> Iterator[CheckMessage]:
    folder = conf.ORTHANC_AUDIT_ARCHIVE_DIR
    if conf.ORTHANC_AUDIT_DAYS and not folder and not conf.ORTHANC_AUDIT_SYSLOG:
        yield Error(
            "ORTHANC_AUDIT_DAYS is set: events of the audit would be deleted without a copy.",
            hint="Set ORTHANC_AUDIT_ARCHIVE_DIR, or ORTHANC_AUDIT_SYSLOG, or both.",
            id="orthancproxy.E039",
        )
    if folder and not os.access(folder, os.W_OK | os.X_OK):
        yield Error(
            f"ORTHANC_AUDIT_ARCHIVE_DIR is not a folder that the gateway can write to: {folder}.",
            hint="Create the folder, on a disk that has room for years, or correct its owner.",
            id="orthancproxy.E040",
        )


CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    _bounds,
    _base_url,
    _ca_bundle,
    _default_study_description,
    _default_encoding,
    _log_format,
    _cors_origins,
    _anonymous_actions,
    _credentials,
    _accel_redirect,
    _viewer_url,
    _secrets,
    _oidc_urls,
    _oidc,
    _audit_repository,
    _audit_retention,
    _exposure,
)
