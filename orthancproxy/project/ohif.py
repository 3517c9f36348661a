"""The OHIF viewer at `/ohif/`, from the folder OHIF_DIR, which `dev/install-ohif` makes. Off without that setting."""

import re
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix
from django.utils.cache import add_never_cache_headers
from servestatic.middleware import ServeStaticMiddleware  # type: ignore[import-untyped]

from orthancproxy.access.actions import Action
from orthancproxy.access.authentication import has_permission
from orthancproxy.project.static import OHIF_PREFIX, ohif_policy

_INLINE_SCRIPT = re.compile(r"<script>(.+?)</script>", re.DOTALL)
_ROOT_URL = re.compile(r'"/(?!>)')


class StaticFiles(ServeStaticMiddleware):  # type: ignore[misc]
    """Serves the static files of the apps, and those of OHIF."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        if _page_file().is_file():
            self.add_files(settings.OHIF_DIR, prefix=f"/{OHIF_PREFIX}")


def page(request: HttpRequest, path: str) -> HttpResponseBase:
    """Return OHIF's page, which reads the rest of its URL itself; users who cannot view anything log in first.

    OHIF has its own way to send an access token: the parameter `token`.
    """
    if "." in path or not _page_file().is_file():
        raise Http404
    if "token" not in request.GET and not has_permission(request, Action.VIEW):
        return redirect_to_login(request.get_full_path())
    html = _html(get_script_prefix() + OHIF_PREFIX)
    response = HttpResponse(html)
    response["Content-Security-Policy"] = ohif_policy(*_INLINE_SCRIPT.findall(html))
    add_never_cache_headers(response)
    return response


def _page_file() -> Path:
    """Return the file of OHIF's page, which exists if there is an OHIF."""
    return Path(settings.OHIF_DIR or "/nonexistent", "index.html")


@lru_cache(maxsize=16)
def _html(prefix: str) -> str:
    """Return OHIF's page, which is built for the root of a site, for another path."""
    return _ROOT_URL.sub(f'"{prefix}', _page_file().read_text(encoding="utf-8"))
