"""Static files: their URLs, and how long they are cached."""

import re
from collections.abc import MutableMapping

from django.urls import get_script_prefix
from servestatic.storage import CompressedStaticFilesStorage  # type: ignore[import-untyped]

NAMED_BY_CONTENT = re.compile(r"/orthancproxy/graphiql/assets/.+-[\w-]{8}\.\w+$")
"""Files built by vite, whose names change with their content."""


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
