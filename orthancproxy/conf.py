"""The settings: every one with its default and what it does, in one table.

    from orthancproxy.conf import conf

    conf.ORTHANC_BASE_URL

A value is Django's setting of that name where the project defines it, else the default: the app can be
mounted in a project that knows none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar, cast, overload

from django.conf import settings

Kind = Literal["text", "secret", "number", "integer", "flag", "list"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One setting; read as an attribute of `conf`, it is the setting's value."""

    name: str
    default: T
    kind: Kind
    description: str

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...

    def __get__(self, instance: object | None, owner: type | None = None) -> Self | T:
        """Return the value that is in force, or the Setting itself when asked of the class."""
        if instance is None:
            return self
        return cast("T", getattr(settings, self.name, self.default))


class Configuration:
    """The settings of the gateway, typed."""

    ORTHANC_BASE_URL = Setting(
        "ORTHANC_BASE_URL",
        "http://localhost:8042",
        "text",
        "Where Orthanc's REST API is. No client ever sees it.",
    )
    ORTHANC_USERNAME = Setting("ORTHANC_USERNAME", "", "text", "Orthanc's user (HTTP basic authentication).")
    ORTHANC_PASSWORD = Setting("ORTHANC_PASSWORD", "", "secret", "That user's password.")
    ORTHANC_CA_BUNDLE = Setting(
        "ORTHANC_CA_BUNDLE",
        "",
        "text",
        "A PEM file with the authorities to trust for Orthanc's certificate; empty for the public ones.",
    )
    ORTHANC_CONNECT_TIMEOUT = Setting(
        "ORTHANC_CONNECT_TIMEOUT", 10.0, "number", "Seconds to wait for a connection to Orthanc."
    )
    ORTHANC_READ_TIMEOUT = Setting(
        "ORTHANC_READ_TIMEOUT", 30.0, "number", "Seconds to wait for the next bytes of Orthanc's answer."
    )
    ORTHANC_POOL_SIZE = Setting(
        "ORTHANC_POOL_SIZE", 32, "integer", "Connections to Orthanc that each worker process keeps open."
    )
    ORTHANC_DEBUG_LOG = Setting(
        "ORTHANC_DEBUG_LOG",
        False,
        "flag",
        "Log every call to Orthanc with its duration, and without patient data.",
    )
    ORTHANC_MAX_PAGE_SIZE = Setting(
        "ORTHANC_MAX_PAGE_SIZE",
        1000,
        "integer",
        "The most items that one page of a list may have (1 to 1000).",
    )
    ORTHANC_MAX_UPLOAD_FILES = Setting(
        "ORTHANC_MAX_UPLOAD_FILES",
        10_000,
        "integer",
        "The most files that one request may upload, those within ZIP archives included.",
    )
    ORTHANC_MAX_UPLOAD_BYTES = Setting(
        "ORTHANC_MAX_UPLOAD_BYTES",
        16 * 1024**3,
        "integer",
        "The most bytes that one request may upload, those within ZIP archives included.",
    )
    ORTHANC_UPLOAD_THREADS = Setting(
        "ORTHANC_UPLOAD_THREADS",
        4,
        "integer",
        "Uploaded files that each worker process rewrites and sends to Orthanc at once.",
    )
    ORTHANC_DEFAULT_STUDY_DESCRIPTION = Setting(
        "ORTHANC_DEFAULT_STUDY_DESCRIPTION",
        "Uploaded images",
        "text",
        "StudyDescription of an upload that gives none, and whose files have none or several.",
    )
    ORTHANC_THUMBNAIL_SIZE = Setting(
        "ORTHANC_THUMBNAIL_SIZE", 256, "integer", "The longer side of a thumbnail, in pixels."
    )
    ORTHANC_TRUST_FORWARDED = Setting(
        "ORTHANC_TRUST_FORWARDED",
        False,
        "flag",
        "Believe `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix` when absolute URLs are made. Only "
        "behind a proxy that sets or removes all four.",
    )
    ORTHANC_CORS_ORIGINS: Setting[Sequence[str]] = Setting(
        "ORTHANC_CORS_ORIGINS",
        (),
        "list",
        "Origins whose pages may call the gateway from a browser, with credentials, separated by commas: "
        "`https://viewer.example.org`.",
    )
    ORTHANC_LOG_FORMAT = Setting(
        "ORTHANC_LOG_FORMAT", "json", "text", "`json` for one JSON object a line, `console` for people."
    )


conf = Configuration()
SETTINGS: tuple[Setting[Any], ...] = tuple(
    value for value in vars(Configuration).values() if isinstance(value, Setting)
)

DEPLOYMENT_VARIABLES: tuple[Setting[Any], ...] = (
    Setting(
        "DJANGO_SECRET_KEY",
        "",
        "secret",
        "Django's signing key; empty makes one and keeps it in the data folder (`secret-key`, mode 0600).",
    ),
    Setting("DJANGO_DEBUG", False, "flag", "Django's debug pages, with stack traces, instead of JSON errors."),
    Setting(
        "DJANGO_ALLOWED_HOSTS",
        ("localhost", "127.0.0.1", "[::1]"),
        "list",
        "Host names that the gateway answers to, separated by commas.",
    ),
    Setting(
        "DJANGO_CSRF_TRUSTED_ORIGINS",
        (),
        "list",
        "Origins that may send forms with a session, separated by commas (`https://…`).",
    ),
    Setting(
        "TZ",
        "UTC",
        "text",
        "The time zone of StudyDate and StudyTime where uploaded files have none, such as `Asia/Seoul`.",
    ),
    Setting(
        "DJANGO_DATA_DIR",
        ".data",
        "text",
        "The folder for the SQLite file and the key, made when it is missing.",
    ),
    Setting(
        "DATABASE_URL",
        "",
        "secret",
        "Django's database, such as `postgres://user:password@host/name`; empty for `gateway.sqlite3` in the "
        "data folder.",
    ),
)
"""Environment variables that only the stand-alone deployment (`orthancproxy.project`) reads."""
