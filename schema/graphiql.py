"""GraphiQL's page, for browsers that open the GraphQL endpoint."""

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
    """Return the GraphiQL page, or how to build it. Reads the session from the database."""
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
        # a project without users has no login page
        "login_url": _login_address(request) if user is not None else "",
        "logout_url": _address("logout"),
        "tokens_url": _address("tokens"),
    }
    response = render(request, "graphql/graphiql.html", context)
    if username:
        # requests with a session need the CSRF token, which the page reads from its cookie
        csrf = CsrfViewMiddleware(lambda _: response)
        csrf.process_request(request)
        get_token(request)
        csrf.process_response(request, response)
    return response


def _login_address(request: HttpRequest) -> str:
    """Return the URL of the project's login page, which leads back here."""
    try:
        return redirect_to_login(request.path).url
    except NoReverseMatch:
        return ""


def _address(name: str) -> str:
    """Return the URL of a route; empty if the project has not mounted it."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
