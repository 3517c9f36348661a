"""The page for people. It reads its URL and asks the GraphQL API for everything that it shows."""

from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.views.decorators.http import require_safe

from orthancproxy.access.actions import Action
from orthancproxy.access.authentication import has_permission
from orthancproxy.http import pages
from orthancproxy.http.content_security import policy

BUNDLE = "orthancproxy/explorer/explorer.js"
CONTENT_SECURITY_POLICY = policy(
    # the viewer's codecs are WebAssembly
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "font-src 'self'",
    "connect-src 'self'",
    "media-src 'self' blob:",
    # the browser's own viewer of PDFs
    "frame-src 'self' blob:",
    "object-src 'self' blob:",
)


@require_safe
def page(request: HttpRequest, orthanc_id: str = "") -> HttpResponseBase:
    """Return the page, or how to build it; anonymous callers who cannot view anything log in first."""
    if url := _login_needed(request):
        return redirect(url)
    if finders.find(BUNDLE) is None:
        return pages.render_not_built(request, "The page", "the worklist and the upload of studies")
    return _render(request)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponseBase:
    """Answer a request for an unknown URL, as a project's `handler404`.

    Browsers get the page, which says so in its frame, where it is mounted and the caller can open it.
    """
    answer = pages.not_found(request, exception)
    home = pages.url_of("explorer:home")
    is_for_people = answer["Content-Type"].startswith("text/html") and request.method in ("GET", "HEAD")
    is_below = bool(home) and request.path.startswith(home)
    if not is_for_people or not is_below or finders.find(BUNDLE) is None or _login_needed(request):
        return answer
    with pages.in_language_of(request):
        response = _render(request, status=404)
    patch_vary_headers(response, ["Accept", "Accept-Language"])
    return response


def _username(request: HttpRequest) -> str:
    user = getattr(request, "user", None)
    return user.get_username() if user is not None and user.is_authenticated else ""


def _login_needed(request: HttpRequest) -> str:
    """Return where an anonymous caller who cannot view anything logs in; empty for others, and without a login page."""
    # a project without users has no login page
    if not hasattr(request, "user") or _username(request) or has_permission(request, Action.VIEW):
        return ""
    return pages.login_url(request.get_full_path())


def _render(request: HttpRequest, status: int = 200) -> HttpResponse:
    username = _username(request)
    config = _config(username, is_staff=_is_staff(getattr(request, "user", None)))
    response = render(request, "explorer/page.html", {"config": config}, status=status)
    if username:
        pages.set_csrf_cookie(request, response)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    add_never_cache_headers(response)
    return response


def _is_staff(user: object) -> bool:
    return bool(getattr(user, "is_staff", False))


def _config(username: str, *, is_staff: bool) -> dict[str, str]:
    """Return what the page reads from its element `config` (web/src/explorer/app/config.ts)."""
    return {
        "base": pages.url_of("explorer:home").removesuffix("/"),
        "username": username,
        "graphqlUrl": pages.url_of("graphql"),
        "restUrl": pages.url_of("orthanc:patients").removesuffix("patients/"),
        "dicomwebUrl": pages.url_of("dicomweb:studies").removesuffix("studies"),
        "loginUrl": pages.login_url(),
        "logoutUrl": pages.url_of("logout"),
        "tokensUrl": pages.url_of("tokens"),
        "adminUrl": pages.url_of("admin:index") if is_staff else "",
        "docsUrl": pages.url_of("orthanc:docs"),
        "languageCookie": settings.LANGUAGE_COOKIE_NAME,
    }
