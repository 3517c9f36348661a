"""GraphiQL's page, for browsers that open the GraphQL endpoint."""

from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from orthancproxy.http.content_security import policy
from orthancproxy.http.pages import login_url, render_not_built, set_csrf_cookie, url_of

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
        return render_not_built(request, "GraphiQL", "a page to write and try queries")
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
        "login_url": login_url(request.path) if user is not None else "",
        "logout_url": url_of("logout"),
        "tokens_url": url_of("tokens"),
    }
    response = render(request, "graphql/graphiql.html", context)
    if username:
        set_csrf_cookie(request, response)
    return response
