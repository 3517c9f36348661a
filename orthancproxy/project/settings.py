"""Django settings of the stand-alone deployment, all of them from the environment."""

from pathlib import Path

from orthancproxy import conf
from orthancproxy.logs import logging_config
from orthancproxy.project.environment import Environment
from orthancproxy.project.static import cache_for_good

BASE_DIR = Path(__file__).resolve().parents[2]

environment = Environment()
_gateway = {setting.name: environment.read(setting) for setting in conf.SETTINGS}
_deployment = {variable.name: environment.read(variable) for variable in conf.DEPLOYMENT_VARIABLES}
globals().update(_gateway)

DATA_DIR = environment.folder(BASE_DIR / _deployment["DJANGO_DATA_DIR"])
SECRET_KEY = environment.secret_key(_deployment["DJANGO_SECRET_KEY"], DATA_DIR)
DEBUG = _deployment["DJANGO_DEBUG"]
ALLOWED_HOSTS = list(_deployment["DJANGO_ALLOWED_HOSTS"])
CSRF_TRUSTED_ORIGINS = list(_deployment["DJANGO_CSRF_TRUSTED_ORIGINS"])
CSRF_FAILURE_VIEW = "orthancproxy.http.error_responses.csrf_failure"

INSTALLED_APPS = [
    # before staticfiles, so that `runserver` leaves the files to its middleware as well
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
]

# each of them runs on the event loop, so that no request waits for a thread before its view
MIDDLEWARE = [
    "orthancproxy.http.request_log.observability_middleware",
    "orthancproxy.project.edge.middleware.Refusals",
    "orthancproxy.http.forwarded.forwarded_middleware",
    "orthancproxy.project.edge.middleware.SecurityHeaders",
    "orthancproxy.project.edge.middleware.FrameOptions",
    "corsheaders.middleware.CorsMiddleware",
    "orthancproxy.project.edge.middleware.HostAndLength",
    "orthancproxy.project.edge.compression.Compression",
    "servestatic.middleware.ServeStaticMiddleware",
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

DATABASES = {"default": environment.database(_deployment["DATABASE_URL"], DATA_DIR)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = environment.time_zone(_deployment["TZ"])

AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "graphql"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_AGE = round(_deployment["DJANGO_SESSION_HOURS"] * 3600)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _deployment["DJANGO_SECURE_COOKIES"]
# what does not fit into a cookie would be saved to the session, which blocks
MESSAGE_STORAGE = "django.contrib.messages.storage.cookie.CookieStorage"
# by user and address, so that nobody can lock others out
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "orthancproxy.project.login.locked_out"
AXES_DISABLE_ACCESS_LOG = True  # the audit has it
AXES_VERBOSE = False

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "static"
STORAGES = {"staticfiles": {"BACKEND": "orthancproxy.project.static.StaticStorage"}}
# what collectstatic made (a container image) goes first; without it, the apps' own folders serve
SERVESTATIC_USE_STATIC_ROOT = STATIC_ROOT.is_dir()
SERVESTATIC_USE_FINDERS = not SERVESTATIC_USE_STATIC_ROOT
SERVESTATIC_ALLOW_ALL_ORIGINS = False
SERVESTATIC_ADD_HEADERS_FUNCTION = cache_for_good

# a proxy that is trusted here must set or remove each of these headers: a client could send them too
USE_X_FORWARDED_HOST = _gateway["ORTHANC_TRUST_FORWARDED"]
USE_X_FORWARDED_PORT = _gateway["ORTHANC_TRUST_FORWARDED"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _gateway["ORTHANC_TRUST_FORWARDED"] else None
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = _deployment["DJANGO_SECURE_HSTS_SECONDS"]
X_FRAME_OPTIONS = "DENY"

CORS_ALLOWED_ORIGINS = list(_gateway["ORTHANC_CORS_ORIGINS"])
CORS_URLS_REGEX = r"^/(graphql|api)(/|$)"
CORS_ALLOW_CREDENTIALS = True
CORS_ALLOW_HEADERS = [
    "accept",
    "authorization",
    "content-type",
    "if-none-match",
    "range",
    "x-csrftoken",
    "x-request-id",
]
CORS_EXPOSE_HEADERS = ["Content-Disposition", "ETag", "Retry-After", "X-Request-ID"]

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
    # the gateway's own checks say the same of ORTHANC_CORS_ORIGINS, by the name that the operator knows
    "corsheaders.E013",
    "corsheaders.E014",
    # these middlewares are there, as subclasses that run on the event loop
    "security.W001",
    "security.W002",
    # the authenticator looks for forged requests, and the pages with forms do; a token can't be forged
    "security.W003",
]
