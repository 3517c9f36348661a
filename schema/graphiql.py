"""The page that browsers get at the GraphQL endpoint: GraphiQL, and who is logged in."""

from django.contrib.auth.views import redirect_to_login
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware, get_token
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.cache import add_never_cache_headers

from orthancproxy.http.content_security import policy

BUNDLE = "orthancproxy/graphiql/graphiql.js"
CONTENT_SECURITY_POLICY = policy(
    "script-src 'self'",
    "worker-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    "connect-src 'self'",
)


def page(request: HttpRequest) -> HttpResponse:
    """The GraphiQL bundle, or how to build it. It asks the database who is logged in."""
    if finders.find(BUNDLE) is None:
        response = render(request, "graphql/graphiql_missing.html", {"rest_docs_url": _address("orthanc:docs")})
    else:
        response = _graphiql(request)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    add_never_cache_headers(response)
    return response


def _graphiql(request: HttpRequest) -> HttpResponse:
    user = getattr(request, "user", None)
    username = user.get_username() if user is not None and user.is_authenticated else ""
    context = {
        "endpoint": request.path,
        "username": username,
        # a project that knows no users has nothing to log in to
        "login_url": _login_address(request) if user is not None else "",
        "logout_url": _address("logout"),
    }
    response = render(request, "graphql/graphiql.html", context)
    if username:
        # what a session changes needs the token, which the page reads from its cookie
        csrf = CsrfViewMiddleware(lambda _: response)
        csrf.process_request(request)
        get_token(request)
        csrf.process_response(request, response)
    return response


def _login_address(request: HttpRequest) -> str:
    """The project's page to log in on, which leads back here."""
    try:
        return redirect_to_login(request.path).url
    except NoReverseMatch:
        return ""


def _address(name: str) -> str:
    """Where the project has something mounted; empty where it has not."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
