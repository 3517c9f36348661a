"""Static files: their URLs, and how long they are cached."""

import re
from collections.abc import MutableMapping

from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix
from servestatic.storage import CompressedStaticFilesStorage  # type: ignore[import-untyped]

NAMED_BY_CONTENT = re.compile(r"/orthancproxy/graphiql/assets/.+-[\w-]{8}\.\w+$")
"""Files built by vite, whose names change with their content."""


_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">
<rect width="16" height="16" rx="3" fill="#1d4f7c"/>
<path d="M3 11V5l5 4 5-4v6" fill="none" stroke="#fff" stroke-width="2"/></svg>"""


def favicon(request: HttpRequest) -> HttpResponse:
    """Return the icon that browsers request for every site."""
    return HttpResponse(_ICON, content_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})


class StaticStorage(CompressedStaticFilesStorage):  # type: ignore[misc]
    """Static files whose URLs have the script prefix of the current request; Django keeps that of the first request."""

    def url(self, name: str | None) -> str:
        """Return the path of a static file, with the current script prefix."""
        path: str = super().url(name)
        return get_script_prefix().rstrip("/") + path


def cache_immutable_files(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """Let clients cache a file whose name changes with its content.

    servestatic's middleware ignores SERVESTATIC_IMMUTABLE_FILE_TEST.
    """
    if NAMED_BY_CONTENT.search(url):
        headers["Cache-Control"] = "max-age=31536000, public, immutable"
