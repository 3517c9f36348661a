"""The environment variables of the deployment, besides those of the gateway's settings."""

from collections.abc import Sequence

from orthancproxy.setting import Setting, declared

_DAY_SECONDS = 86_400


class DeploymentVariables:
    """Environment variables that only this deployment reads."""

    DJANGO_SECRET_KEY = Setting(
        "",
        "Django's signing key. If empty, one is generated and kept in the data folder (`secret-key`, mode 0600).",
        secret=True,
    )
    DJANGO_DEBUG = Setting(False, "Show Django's debug pages, with stack traces, instead of JSON errors.")
    DJANGO_ALLOWED_HOSTS: Setting[Sequence[str]] = Setting(
        ("localhost", "127.0.0.1", "[::1]"), "Host names under which the gateway may be called."
    )
    DJANGO_CSRF_TRUSTED_ORIGINS: Setting[Sequence[str]] = Setting(
        (), "Origins that may submit forms with a session, such as `https://viewer.example.org`."
    )
    DJANGO_SECURE_COOKIES = Setting(
        True, "Send session cookies over HTTPS only; Chromium makes an exception for localhost."
    )
    DJANGO_SESSION_HOURS = Setting(12.0, "Hours after which users must log in again.", above=0, maximum=87_600)
    DJANGO_SECURE_HSTS_SECONDS = Setting(
        0,
        "Seconds for which browsers that connected over HTTPS must use it for this host name, on any port (HSTS); "
        "0 to turn HSTS off.",
        minimum=0,
    )
    ORTHANC_DRAIN_SECONDS = Setting(
        120.0,
        "Seconds that requests in progress, such as uploads, may take after SIGTERM or SIGHUP. What stops the "
        "gateway, such as Docker's `stop_grace_period`, must wait longer than this and "
        "`ORTHANC_SHUTDOWN_DELAY_SECONDS` together.",
        above=0,
        maximum=_DAY_SECONDS,
    )
    ORTHANC_SHUTDOWN_DELAY_SECONDS = Setting(
        0.0,
        "Seconds after SIGTERM in which `/readyz` answers 503 and all else goes on: as long as a load balancer takes "
        "to notice.",
        minimum=0,
        maximum=3600,
    )
    TZ = Setting("UTC", "Time zone of StudyDate and StudyTime of uploaded files without them, such as `Asia/Seoul`.")
    DJANGO_DATA_DIR = Setting(".data", "Folder for the SQLite database and the secret key; created if missing.")
    OHIF_DIR = Setting(
        "",
        "Folder with the OHIF viewer, to be served at `/ohif/` (`dev/install-ohif`, `make ohif`); empty for none.",
    )
    DATABASE_POOL_SIZE = Setting(
        0,
        "Maximum number of connections to PostgreSQL that each worker process has, besides one to listen for changes. "
        "0: 8, and one for each call to Orthanc that it may make at once (`ORTHANC_MAX_CALLS` / `WEB_CONCURRENCY`), "
        "since rendering holds one.",
        minimum=0,
        maximum=1000,
    )
    ORTHANC_OIDC_CLIENT_ID = Setting(
        "",
        "Client as which the gateway logs users in at the provider of `ORTHANC_OIDC_ISSUER`; empty for logins with "
        "passwords only.",
    )
    ORTHANC_OIDC_CLIENT_SECRET = Setting(
        "", "Secret of that client; empty for a public client, which has PKCE only.", secret=True
    )
    ORTHANC_OIDC_SCOPES: Setting[Sequence[str]] = Setting(
        ("openid", "profile"), "Scopes that a login asks for. `openid` must be among them."
    )
    ORTHANC_OIDC_LABEL = Setting(
        "", "Name of the provider on the login page: “Log in with …”; empty for “single sign-on”."
    )
    ORTHANC_OIDC_STAFF_ROLE = Setting(
        "",
        "Role of those users of the provider who may use the admin site; empty if an administrator decides that there.",
    )
    ORTHANC_OIDC_LINK_USERS = Setting(
        False,
        "Give a user of the gateway to the user of the provider who has the same name and logs in first, unless that "
        "is staff, a superuser, or another's. Only for a provider whose users cannot choose their names.",
    )
    ORTHANC_OIDC_REQUIRED = Setting(
        False, "Allow logins at the provider only: passwords are rejected, and sessions that began with one end."
    )
    ORTHANC_OIDC_PASSWORD_USERS: Setting[Sequence[str]] = Setting(
        (),
        "Users who may still log in with a password if `ORTHANC_OIDC_REQUIRED` is on, for when the provider is down.",
    )
    ORTHANC_METRICS_ADDRESS = Setting(
        "",
        "Address and port at which Prometheus can read the metrics of all workers (`/metrics`), such as "
        "`127.0.0.1:9464`; empty for none. Callers are not authenticated: never publish it.",
    )
    OTEL_EXPORTER_OTLP_HEADERS = Setting(
        "",
        "Headers with which traces are sent to the receiver of `OTEL_EXPORTER_OTLP_ENDPOINT`, such as "
        "`Authorization=Bearer%20…`; separated by commas.",
        secret=True,
    )
    DATABASE_URL = Setting(
        "",
        "Database, such as `postgres://user:password@host/name`; empty for `gateway.sqlite3` in the data folder.",
        secret=True,
    )


deployment = DeploymentVariables()
"""Only for those that `orthancproxy.project.settings` makes Django settings: `ORTHANC_OIDC_…`."""
DEPLOYMENT_VARIABLES = declared(DeploymentVariables)
