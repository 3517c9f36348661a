"""Static files: their addresses, and how long they may be cached."""

import re
from collections.abc import MutableMapping

from django.urls import get_script_prefix
from servestatic.storage import CompressedStaticFilesStorage  # type: ignore[import-untyped]

NAMED_BY_CONTENT = re.compile(r"/orthancproxy/graphiql/assets/.+-[\w-]{8}\.\w+$")
"""What vite builds: another content has another name."""


class StaticStorage(CompressedStaticFilesStorage):  # type: ignore[misc]
    """Static files under the prefix of the request at hand; Django would fix the first request's for good."""

    def url(self, name: str | None) -> str:
        """Return the path of a static file as the client must ask for it."""
        path: str = super().url(name)
        return get_script_prefix().rstrip("/") + path


def cache_for_good(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """Let clients keep a file whose name changes with its content.

    As an added header, since servestatic's middleware takes no notice of SERVESTATIC_IMMUTABLE_FILE_TEST.
    """
    if NAMED_BY_CONTENT.search(url):
        headers["Cache-Control"] = "max-age=31536000, public, immutable"
