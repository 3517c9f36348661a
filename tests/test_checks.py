"""Each invalid setting is reported with a hint."""

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from orthancproxy.checks import check_settings
from orthancproxy.conf import SETTINGS
from orthancproxy.setting import Setting


@pytest.fixture(autouse=True)
def _valid_configuration(settings: Settings) -> None:
    for setting in SETTINGS:
        setattr(settings, setting.name, setting.default)
    settings.ORTHANC_ENVIRONMENT_PROBLEMS = []
    settings.DEBUG = False
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.SECRET_KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def messages() -> list[CheckMessage]:
    return check_settings(app_configs=None)


def test_default_settings_pass() -> None:
    assert messages() == []


@pytest.mark.parametrize(
    ("name", "value", "id_"),
    [
        ("ORTHANC_BASE_URL", "ftp://localhost:8042", "E003"),
        ("ORTHANC_BASE_URL", "localhost:8042", "E003"),
        ("ORTHANC_BASE_URL", "http://", "E003"),
        ("ORTHANC_BASE_URL", "http://localhost:port", "E003"),
        ("ORTHANC_BASE_URL", "http://[::1", "E003"),
        ("ORTHANC_BASE_URL", "http://user:hunter2@localhost:8042", "E003"),
        ("ORTHANC_BASE_URL", "http://localhost:8042/?expand", "E003"),
        ("ORTHANC_BASE_URL", "http://localhost:8042/#top", "E003"),
        ("ORTHANC_CA_BUNDLE", "/nowhere/ca.pem", "E004"),
        ("ORTHANC_CONNECT_TIMEOUT", 0, "E005"),
        ("ORTHANC_READ_TIMEOUT", -1.0, "E005"),
        ("ORTHANC_READ_TIMEOUT", float("nan"), "E005"),
        ("ORTHANC_READ_TIMEOUT", float("inf"), "E005"),
        ("ORTHANC_POOL_SIZE", 0, "E005"),
        ("ORTHANC_POOL_SIZE", 1001, "E005"),
        ("ORTHANC_MAX_PAGE_SIZE", 0, "E005"),
        ("ORTHANC_MAX_PAGE_SIZE", 1001, "E005"),
        ("ORTHANC_THUMBNAIL_SIZE", 0, "E005"),
        ("ORTHANC_MAX_UPLOAD_FILES", 0, "E005"),
        ("ORTHANC_MAX_UPLOAD_BYTES", 0, "E005"),
        ("ORTHANC_UPLOAD_THREADS", 0, "E005"),
        ("ORTHANC_UPLOAD_THREADS", 65, "E005"),
        ("ORTHANC_MAX_OBJECTS", 0, "E005"),
        ("ORTHANC_MAX_QUERY_TOKENS", 0, "E005"),
        ("ORTHANC_MAX_QUERY_DEPTH", 201, "E005"),
        ("ORTHANC_MAX_QUERY_FIELDS", 0, "E005"),
        ("ORTHANC_MAX_QUERY_ALIASES", -1, "E005"),
        ("ORTHANC_MAX_QUERY_REPEATS", 0, "E005"),
        ("ORTHANC_INTROSPECTION", "yes", "E002"),
        ("ORTHANC_DEFAULT_STUDY_DESCRIPTION", "x" * 65, "E016"),
        ("ORTHANC_DEFAULT_ENCODING", "latin1", "E032"),
        ("ORTHANC_DEFAULT_STUDY_DESCRIPTION", "a\\b", "E016"),
        ("ORTHANC_LOG_FORMAT", "xml", "E009"),
        ("ORTHANC_CORS_ORIGINS", ["*"], "E010"),
        ("ORTHANC_CORS_ORIGINS", ["null"], "E010"),
        ("ORTHANC_CORS_ORIGINS", ["viewer.example.org"], "E010"),
        ("ORTHANC_CORS_ORIGINS", ["https://viewer.example.org/"], "E010"),
        ("ORTHANC_CORS_ORIGINS", ["https://*.example.org"], "E010"),
        ("ORTHANC_CORS_ORIGINS", ["https://user@viewer.example.org"], "E010"),
        ("ORTHANC_ANONYMOUS_ACTIONS", ["view", "read"], "E030"),
        ("ORTHANC_ANONYMOUS_ACTIONS", ["*"], "E030"),
        ("ORTHANC_ANONYMOUS_ACTIONS", ["VIEW"], "E030"),
        ("ORTHANC_ANONYMOUS_ACTIONS", ["orthancproxy.view"], "E030"),
        ("ORTHANC_ANONYMOUS_ACTIONS", [""], "E030"),
        ("ORTHANC_ANONYMOUS_ACTIONS", ["view", "label"], "E030"),
        ("ORTHANC_ANONYMOUS_ACTIONS", ["label_scopes"], "E030"),
        ("ORTHANC_EVENTS_SECRET", "hunter2", "E033"),
        ("ORTHANC_PSEUDONYM_KEY", "hunter2", "E041"),
        ("ORTHANC_VIEWER_URL", "/ohif/viewer?StudyInstanceUIDs={study}", "E035"),
        ("ORTHANC_USERNAME", "orthanc", "E011"),
        ("ORTHANC_PASSWORD", "hunter2", "E011"),
        ("ORTHANC_OIDC_JWKS_URL", "file:///etc/passwd", "E017"),
        ("ORTHANC_OIDC_JWKS_URL", "https://user:hunter2@login.example.org/keys", "E017"),
        ("ORTHANC_OIDC_JWKS_URL", "http://login.example.org/keys", "W003"),
        ("ORTHANC_OIDC_ISSUER", "https://login.example.org", "E018"),
        ("ORTHANC_OIDC_ALGORITHMS", ["RS256", "HS256"], "E019"),
        ("ORTHANC_OIDC_ALGORITHMS", ["none"], "E019"),
        ("ORTHANC_OIDC_ALGORITHMS", ["RS265"], "E019"),
        ("ORTHANC_OIDC_ALGORITHMS", [], "E019"),
        ("ORTHANC_OIDC_CA_BUNDLE", "/nowhere/ca.pem", "E020"),
        ("ORTHANC_OIDC_ROLE_GROUPS", ["radiologist"], "E021"),
        ("ORTHANC_OIDC_ROLE_GROUPS", ["=Readers"], "E021"),
        ("ORTHANC_OIDC_ROLE_GROUPS", ["admin=Editors", "radiologist="], "E021"),
        ("ORTHANC_AUDIT_SYSLOG", "https://audit.example.org", "E036"),
        ("ORTHANC_AUDIT_SYSLOG", "tls://", "E036"),
        ("ORTHANC_AUDIT_DAYS", 3650, "E039"),
        ("ORTHANC_AUDIT_ARCHIVE_DIR", "/nowhere", "E040"),
        ("ORTHANC_READ_TIMEOUT", "30", "E002"),
        ("ORTHANC_READ_TIMEOUT", True, "E002"),
        ("ORTHANC_POOL_SIZE", 1.5, "E002"),
        ("ORTHANC_CORS_ORIGINS", "https://viewer.example.org", "E002"),
        ("ALLOWED_HOSTS", ["*"], "W001"),
        ("SECRET_KEY", "short", "W002"),
        ("SECRET_KEY", "abcd" * 20, "W002"),
    ],
)
def test_an_invalid_value_is_reported_with_a_hint_and_without_secrets(
    settings: Settings, name: str, value: Any, id_: str
) -> None:
    setattr(settings, name, value)
    [message] = messages()
    assert message.id == f"orthancproxy.{id_}"
    assert name in message.msg
    assert message.hint
    assert message.is_serious() is id_.startswith("E")
    assert "hunter2" not in f"{message.msg} {message.hint}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ORTHANC_BASE_URL", "https://archive.example.org/orthanc/"),
        ("ORTHANC_BASE_URL", "http://[::1]:8042"),
        ("ORTHANC_READ_TIMEOUT", 30),
        ("ORTHANC_MAX_PAGE_SIZE", 1),
        ("ORTHANC_LOG_FORMAT", "console"),
        ("ORTHANC_ANONYMOUS_ACTIONS", []),
        ("ORTHANC_ANONYMOUS_ACTIONS", ["view", "download", "upload", "delete", "view_audit"]),
        ("ORTHANC_OIDC_JWKS_URL", "http://127.0.0.1:8080/keys"),
        ("ORTHANC_OIDC_ALGORITHMS", ["ES384", "EdDSA"]),
        ("ORTHANC_OIDC_ROLE_GROUPS", ["radiologist=Readers", "cn=admins=Editors"]),
        (
            "ORTHANC_CORS_ORIGINS",
            ["http://localhost:3000", "https://viewer.example.org", "http://[::1]:3000"],
        ),
    ],
)
def test_a_valid_value_passes(settings: Settings, name: str, value: Any) -> None:
    setattr(settings, name, value)
    assert messages() == []


@pytest.mark.parametrize(
    ("setting", "value", "valid"),
    [
        (Setting(1.0, "", above=0, maximum=10), 0.001, True),
        (Setting(1.0, "", above=0, maximum=10), 0, False),
        (Setting(1.0, "", above=0, maximum=10), 10, True),
        (Setting(1, "", minimum=1, maximum=10), 1, True),
        (Setting(1, "", minimum=1, maximum=10), 11, False),
        (Setting(0, "", minimum=0), 10**400, True),
        (Setting(1.0, ""), float("nan"), False),
        (Setting("", ""), "text", True),
        (Setting((), ""), [], True),
    ],
)
def test_bounds_of_a_setting(setting: Setting[Any], value: object, valid: bool) -> None:
    assert setting.is_within_bounds(value) is valid


def test_an_existing_ca_bundle_passes(settings: Settings, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    settings.ORTHANC_CA_BUNDLE = settings.ORTHANC_OIDC_CA_BUNDLE = str(bundle)
    assert messages() == []


@pytest.mark.parametrize(
    ("issuer", "ids"),
    [
        ("https://login.example.org/realms/hospital", []),
        ("http://localhost:8080/realms/hospital", []),
        ("http://[::1]:8080", []),
        ("http://login.example.org", ["orthancproxy.W003"]),
        ("http://192.168.0.1", ["orthancproxy.W003"]),
        ("login.example.org", ["orthancproxy.E017"]),
        ("file:///etc/passwd", ["orthancproxy.E017"]),
        ("https://", ["orthancproxy.E017"]),
        ("https://login.example.org:port", ["orthancproxy.E017"]),
        ("https://user:hunter2@login.example.org", ["orthancproxy.E017"]),
        ("https://login.example.org/?realm=hospital", ["orthancproxy.E017"]),
        ("https://login.example.org/#hospital", ["orthancproxy.E017"]),
    ],
)
def test_the_oidc_issuer_must_be_an_http_url_and_use_https_unless_it_is_local(
    settings: Settings, issuer: str, ids: list[str]
) -> None:
    settings.ORTHANC_OIDC_ISSUER = issuer
    settings.ORTHANC_OIDC_AUDIENCE = "gateway"
    reported = messages()
    assert [message.id for message in reported] == ids
    assert all(message.hint and "hunter2" not in message.msg for message in reported)


def test_orthancs_user_needs_a_password_and_a_name_without_a_colon(settings: Settings) -> None:
    settings.ORTHANC_PASSWORD = "hunter2"
    settings.ORTHANC_USERNAME = "orthanc"
    assert messages() == []
    settings.ORTHANC_USERNAME = "ort:hanc"
    assert [message.id for message in messages()] == ["orthancproxy.E012"]


def test_problems_in_the_environment_are_reported(settings: Settings) -> None:
    settings.ORTHANC_ENVIRONMENT_PROBLEMS = ["ORTHANC_READ_TIMEOUT must be a number, not 'abc'."]
    [message] = messages()
    assert (message.id, message.msg) == (
        "orthancproxy.E001",
        "ORTHANC_READ_TIMEOUT must be a number, not 'abc'.",
    )


def test_debug_mode_allows_any_host_and_a_short_secret_key(settings: Settings) -> None:
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["*"]
    settings.SECRET_KEY = "short"
    assert messages() == []


@pytest.mark.parametrize(
    ("name", "value", "id_"),
    [
        ("ORTHANC_AUDIT_CA_BUNDLE", "/nowhere/ca.pem", "E037"),
        ("ORTHANC_AUDIT_CERTIFICATE", "/nowhere/gateway.pem", "E037"),
        ("ORTHANC_AUDIT_KEY", __file__, "E038"),
    ],
)
def test_invalid_files_for_the_audit_repository_are_reported_if_there_is_one(
    settings: Settings, name: str, value: str, id_: str
) -> None:
    setattr(settings, name, value)
    assert messages() == []
    settings.ORTHANC_AUDIT_SYSLOG = "tls://audit.example.org:6514"
    [message] = messages()
    assert message.id == f"orthancproxy.{id_}"
    assert name in message.msg


def test_audit_may_be_deleted_if_a_repository_or_a_folder_has_it(settings: Settings, tmp_path: Path) -> None:
    settings.ORTHANC_AUDIT_DAYS = 365
    settings.ORTHANC_AUDIT_SYSLOG = "tls://audit.example.org:6514"
    assert messages() == []
    settings.ORTHANC_AUDIT_SYSLOG = ""
    settings.ORTHANC_AUDIT_ARCHIVE_DIR = str(tmp_path)
    assert messages() == []
