"""The page for people. It reads its URL and asks the GraphQL API for everything that it shows."""

from django.conf import settings
from django.contrib.staticfiles import finders
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.cache import add_never_cache_headers
from django.views.decorators.http import require_safe

from orthancproxy.access.actions import Action
from orthancproxy.access.authentication import has_permission
from orthancproxy.http.content_security import policy
from orthancproxy.http.pages import login_url, render_not_built, set_csrf_cookie, url_of

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
    user = getattr(request, "user", None)
    username = user.get_username() if user is not None and user.is_authenticated else ""
    # a project without users has no login page
    if (
        user is not None
        and not username
        and not has_permission(request, Action.VIEW)
        and (url := login_url(request.get_full_path()))
    ):
        return redirect(url)
    if finders.find(BUNDLE) is None:
        return render_not_built(request, "The page", "the worklist and the upload of studies")
    response = render(request, "explorer/page.html", {"config": _config(username, is_staff=_is_staff(user))})
    if username:
        set_csrf_cookie(request, response)
    response["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    add_never_cache_headers(response)
    return response


def _is_staff(user: object) -> bool:
    return bool(getattr(user, "is_staff", False))


def _config(username: str, *, is_staff: bool) -> dict[str, str]:
    """Return what the page reads from its element `config` (web/src/explorer/app/config.ts)."""
    return {
        "base": url_of("explorer:home").removesuffix("/"),
        "username": username,
        "graphqlUrl": url_of("graphql"),
        "restUrl": url_of("orthanc:patients").removesuffix("patients/"),
        "dicomwebUrl": url_of("dicomweb:studies").removesuffix("studies"),
        "loginUrl": login_url(),
        "logoutUrl": url_of("logout"),
        "tokensUrl": url_of("tokens"),
        "adminUrl": url_of("admin:index") if is_staff else "",
        "docsUrl": url_of("orthanc:docs"),
        "languageCookie": settings.LANGUAGE_COOKIE_NAME,
    }
