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
    ORTHANC_CLIENT_TIMEOUT = Setting(
        "ORTHANC_CLIENT_TIMEOUT",
        60.0,
        "number",
        "Seconds within which a client must have sent a request's head, and as often 500 bytes a second of its body, "
        "or taken as many of the answer. Slower ones are cut off.",
    )
    ORTHANC_MAX_DOWNLOADS = Setting(
        "ORTHANC_MAX_DOWNLOADS",
        20,
        "integer",
        "Files and archives that each worker process sends at once; each keeps one of Orthanc's threads "
        "(HttpThreadsCount, 50) busy. Others wait, and end those whose clients read too slowly.",
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
    ORTHANC_COMPILED_EXECUTION = Setting(
        "ORTHANC_COMPILED_EXECUTION",
        True,
        "flag",
        "Compile GraphQL selections into Python expressions. The answers are the same without, and slower.",
    )
    ORTHANC_MAX_PAGE_SIZE = Setting(
        "ORTHANC_MAX_PAGE_SIZE",
        1000,
        "integer",
        "The most items that one page of a list may have (1 to 1000).",
    )
    ORTHANC_MAX_OBJECTS = Setting(
        "ORTHANC_MAX_OBJECTS",
        100_000,
        "integer",
        "The most patients, studies, series and instances, counted together, that one request may ask for.",
    )
    ORTHANC_MAX_SECONDS = Setting(
        "ORTHANC_MAX_SECONDS",
        60.0,
        "number",
        "Seconds after which a request that reads is not continued. Uploads, deletions and downloads may take longer.",
    )
    ORTHANC_MAX_QUERY_TOKENS = Setting(
        "ORTHANC_MAX_QUERY_TOKENS",
        4000,
        "integer",
        "The most tokens (names, values, brackets, comments) that a GraphQL query may have; and 25 characters each.",
    )
    ORTHANC_MAX_QUERY_DEPTH = Setting(
        "ORTHANC_MAX_QUERY_DEPTH",
        20,
        "integer",
        "How deep its fields may be nested, or lists and objects in an argument; introspection takes 15.",
    )
    ORTHANC_MAX_QUERY_FIELDS = Setting(
        "ORTHANC_MAX_QUERY_FIELDS",
        500,
        "integer",
        "The most fields that it may select, its fragments spread out; each time one is spread counts as a field, too.",
    )
    ORTHANC_MAX_QUERY_ALIASES = Setting(
        "ORTHANC_MAX_QUERY_ALIASES",
        50,
        "integer",
        "The most aliases that it may have, its fragments spread out.",
    )
    ORTHANC_MAX_QUERY_REPEATS = Setting(
        "ORTHANC_MAX_QUERY_REPEATS",
        50,
        "integer",
        "The most directives, fragments and operations that it may have, of each, and times that it may select one "
        "field in one place of the answer.",
    )
    ORTHANC_INTROSPECTION = Setting(
        "ORTHANC_INTROSPECTION",
        False,
        "flag",
        "Let clients read the GraphQL schema, as GraphiQL does to complete what is typed, and suggest names for "
        "those that they got wrong. On also where Django's DEBUG is, and with `make run`.",
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
        "Believe `X-Forwarded-Host`, `-Proto`, `-Port` and `-Prefix` when absolute URLs are made, and `-For` as "
        "the client's address. Only behind a proxy that sets or removes all five.",
    )
    ORTHANC_CORS_ORIGINS: Setting[Sequence[str]] = Setting(
        "ORTHANC_CORS_ORIGINS",
        (),
        "list",
        "Origins whose pages may call the gateway from a browser, with credentials, separated by commas: "
        "`https://viewer.example.org`.",
    )
    ORTHANC_OIDC_ISSUER = Setting(
        "ORTHANC_OIDC_ISSUER",
        "",
        "text",
        "The OpenID Connect provider whose access tokens are accepted, written exactly as their claim `iss` has "
        "it: `https://login.example.org/realms/hospital`; empty for none.",
    )
    ORTHANC_OIDC_AUDIENCE = Setting(
        "ORTHANC_OIDC_AUDIENCE",
        "",
        "text",
        "What their claim `aud` must hold: the gateway's name at the provider (in Keycloak, an audience mapper "
        "of the client adds it).",
    )
    ORTHANC_OIDC_ALGORITHMS: Setting[Sequence[str]] = Setting(
        "ORTHANC_OIDC_ALGORITHMS",
        ("RS256", "PS256", "ES256", "EdDSA"),
        "list",
        "Algorithms that they may be signed with, separated by commas; none with a shared secret.",
    )
    ORTHANC_OIDC_JWKS_URL = Setting(
        "ORTHANC_OIDC_JWKS_URL",
        "",
        "text",
        "Where the provider's keys are; empty to ask its `/.well-known/openid-configuration`. They are kept for "
        "5 minutes.",
    )
    ORTHANC_OIDC_CA_BUNDLE = Setting(
        "ORTHANC_OIDC_CA_BUNDLE",
        "",
        "text",
        "A PEM file with the authorities to trust for the provider's certificate; empty for the system's.",
    )
    ORTHANC_OIDC_USERNAME_CLAIM = Setting(
        "ORTHANC_OIDC_USERNAME_CLAIM",
        "preferred_username",
        "text",
        "The claim with the user name. Only the default gives way to `sub` in tokens without it; any other must "
        "be there.",
    )
    ORTHANC_OIDC_ROLES_CLAIM = Setting(
        "ORTHANC_OIDC_ROLES_CLAIM",
        "realm_access.roles",
        "text",
        "The claim with the roles, a text or a list of them; dots lead into objects "
        "(`resource_access.gateway.roles`) where no claim has the whole name.",
    )
    ORTHANC_OIDC_ROLE_GROUPS: Setting[Sequence[str]] = Setting(
        "ORTHANC_OIDC_ROLE_GROUPS",
        (),
        "list",
        "Which role means which of Django's groups, as `role=Group` separated by commas; other roles mean "
        "nothing. Empty: each role is the name of a group.",
    )
    ORTHANC_ANONYMOUS_ACTIONS: Setting[Sequence[str]] = Setting(
        "ORTHANC_ANONYMOUS_ACTIONS",
        (),
        "list",
        "What callers may do who are not logged in, of `view`, `download`, `upload`, `delete` and `view_audit`, "
        "separated by commas.",
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
        "DJANGO_SECURE_COOKIES",
        True,
        "flag",
        "Send session cookies over HTTPS only; Chromium makes an exception of its own machine.",
    ),
    Setting(
        "DJANGO_SESSION_HOURS", 12.0, "number", "Hours after which who has logged in with a password must do so again."
    ),
    Setting(
        "DJANGO_SECURE_HSTS_SECONDS",
        0,
        "integer",
        "How long browsers that came over HTTPS are to use nothing else for this host name, on any port (HSTS); "
        "0 does not tell them.",
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
