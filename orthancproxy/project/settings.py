"""Django settings of the stand-alone deployment, read from the environment."""

from pathlib import Path

from orthancproxy.conf import SETTINGS
from orthancproxy.logs import logging_config
from orthancproxy.project.environment import Environment
from orthancproxy.project.static import add_headers
from orthancproxy.project.variables import DEPLOYMENT_VARIABLES, DeploymentVariables

BASE_DIR = Path(__file__).resolve().parents[2]

environment = Environment()
read = environment.read
_gateway = {setting.name: read(setting) for setting in SETTINGS}
globals().update(_gateway)
globals().update({one.name: read(one) for one in DEPLOYMENT_VARIABLES if one.name.startswith("ORTHANC_OIDC_")})

DATA_DIR = environment.folder(BASE_DIR / read(DeploymentVariables.DJANGO_DATA_DIR))
SECRET_KEY = environment.secret_key(read(DeploymentVariables.DJANGO_SECRET_KEY), DATA_DIR)
DEBUG = read(DeploymentVariables.DJANGO_DEBUG)
ALLOWED_HOSTS = [*read(DeploymentVariables.DJANGO_ALLOWED_HOSTS)]
CSRF_TRUSTED_ORIGINS = [*read(DeploymentVariables.DJANGO_CSRF_TRUSTED_ORIGINS)]
CSRF_FAILURE_VIEW = "orthancproxy.http.error_responses.csrf_failure"

INSTALLED_APPS = [
    # before staticfiles, so that `runserver` leaves static files to the middleware
    "servestatic",
    "corsheaders",
    "django.contrib.admin",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "strawberry_django",
    "axes",
    "knox",
    "orthancproxy",
    "orthancproxy.project.sso",
]

# all run on the event loop, so that no request waits for a thread before its view
MIDDLEWARE = [
    "orthancproxy.http.request_log.request_log_middleware",
    "orthancproxy.project.edge.middleware.RejectedRequests",
    "orthancproxy.http.forwarded.forwarded_middleware",
    "orthancproxy.project.edge.middleware.SecurityHeaders",
    "orthancproxy.project.edge.middleware.FrameOptions",
    "corsheaders.middleware.CorsMiddleware",
    "orthancproxy.project.edge.middleware.HostAndLength",
    "orthancproxy.project.edge.compression.Compression",
    "orthancproxy.project.ohif.StaticFiles",
    "orthancproxy.project.edge.middleware.Languages",
    "orthancproxy.project.edge.middleware.Sessions",
    "orthancproxy.project.edge.middleware.Users",
    "orthancproxy.project.edge.middleware.Messages",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "orthancproxy.project.urls"
ASGI_APPLICATION = "orthancproxy.project.asgi.application"
APPEND_SLASH = False
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # extends templates of the admin site, whose app is found first
        "DIRS": [BASE_DIR / "orthancproxy/project/templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# what is longer is spooled to disk: with Django's 2.5 MB, 150 unfinished bodies took 370 MB
FILE_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024

# what renders or deletes holds a connection while Orthanc does so; authentication, the audit and the rest share eight
_pool_size = 8 + _gateway["ORTHANC_MAX_CALLS"] // _gateway["WEB_CONCURRENCY"]
DATABASES = {
    "default": environment.database(
        read(DeploymentVariables.DATABASE_URL), DATA_DIR, read(DeploymentVariables.DATABASE_POOL_SIZE) or _pool_size
    )
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# of pages; the APIs are in English
LANGUAGES = [("en", "English"), ("ko", "한국어"), ("ja", "日本語")]
LANGUAGE_CODE = "en"
# before the catalogs of the other apps, some of which have the same texts with other translations
LOCALE_PATHS = [BASE_DIR / "orthancproxy/locale"]
USE_TZ = True
TIME_ZONE = environment.time_zone(read(DeploymentVariables.TZ))

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "orthancproxy.project.sso.backend.ProviderBackend",
    "orthancproxy.project.login.PasswordBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "explorer:home"
LOGOUT_REDIRECT_URL = "login"
# whose sessions are found by the user and the session of the provider
SESSION_ENGINE = "orthancproxy.project.sso.sessions"
# of logins that one browser has begun, which are in a cookie
OIDC_MAX_STATES = 5
SESSION_COOKIE_AGE = round(read(DeploymentVariables.DJANGO_SESSION_HOURS) * 3600)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = read(DeploymentVariables.DJANGO_SECURE_COOKIES)
# the default falls back to the session, which blocks
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
# by user and address, so that no attacker can lock other users out
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "orthancproxy.project.login.locked_out"
AXES_HANDLER = "orthancproxy.project.login.LoginAttempts"
# nothing is written for a client that is locked out
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # logins are in the audit log
AXES_VERBOSE = False

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"
STORAGES = {"staticfiles": {"BACKEND": "orthancproxy.project.static.StaticStorage"}}
# the output of collectstatic (in the image) if there is one, else the static folders of the apps
SERVESTATIC_USE_STATIC_ROOT = STATIC_ROOT.is_dir()
SERVESTATIC_USE_FINDERS = not SERVESTATIC_USE_STATIC_ROOT
SERVESTATIC_ALLOW_ALL_ORIGINS = False
SERVESTATIC_ADD_HEADERS_FUNCTION = add_headers
# `serve` reads it, too: a wrong one is a problem to report here
METRICS_ADDRESS = environment.address(read(DeploymentVariables.ORTHANC_METRICS_ADDRESS))
# for OpenTelemetry, which reads variables and no files
OTLP_HEADERS_SECRET = read(DeploymentVariables.OTEL_EXPORTER_OTLP_HEADERS)
OHIF_DIR = read(DeploymentVariables.OHIF_DIR)

# a trusted proxy must set or remove each of these headers, since clients can send them too
USE_X_FORWARDED_HOST = _gateway["ORTHANC_TRUST_FORWARDED"]
USE_X_FORWARDED_PORT = _gateway["ORTHANC_TRUST_FORWARDED"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _gateway["ORTHANC_TRUST_FORWARDED"] else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = read(DeploymentVariables.DJANGO_SECURE_HSTS_SECONDS)
X_FRAME_OPTIONS = "DENY"

CORS_ALLOWED_ORIGINS = list(_gateway["ORTHANC_CORS_ORIGINS"])
CORS_URLS_REGEX = r"^/(graphql|api|dicom-web)(/|$)"
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "if-none-match",
    "if-range",
    "last-event-id",
    "range",
    "x-csrftoken",
    "x-request-id",
    # of Apollo Client, and of tracing (W3C Trace Context and Baggage, Sentry)
    "apollo-require-preflight",
    "apollographql-client-name",
    "apollographql-client-version",
    "baggage",
    "sentry-trace",
    "traceparent",
    "tracestate",
    *(name.lower() for name in _gateway["ORTHANC_CORS_HEADERS"]),
]
CORS_EXPOSE_HEADERS = [
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Retry-After",
    "Warning",
    "X-Request-ID",
    "X-Total-Count",
]

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "orthancproxy.rest.errors.exception_handler",
}
STRAWBERRY_DJANGO = {"PAGINATION_DEFAULT_LIMIT": 50, "PAGINATION_MAX_LIMIT": 1000}
SPECTACULAR_SETTINGS = {
    "TITLE": "Orthanc gateway",
    "DESCRIPTION": "Patients, studies, series and instances of an Orthanc archive.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

LOGGING = logging_config(_gateway["ORTHANC_LOG_FORMAT"])

ORTHANC_ENVIRONMENT_PROBLEMS = environment.problems
SILENCED_SYSTEM_CHECKS = [
    # the gateway's checks report the same for ORTHANC_CORS_ORIGINS, the name that the administrator knows
    "corsheaders.E013",
    "corsheaders.E014",
    # these middlewares are installed, as subclasses that run on the event loop
    "security.W001",
    "security.W002",
    # the authenticator and the pages with forms check for cross-site request forgery, which tokens are immune to
    "security.W003",
]
