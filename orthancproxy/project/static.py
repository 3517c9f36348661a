"""Static files: their URLs, and how long they are cached."""

import re
from base64 import b64encode
from collections.abc import MutableMapping
from hashlib import sha256

from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix
from servestatic.storage import CompressedStaticFilesStorage  # type: ignore[import-untyped]

from orthancproxy.http.content_security import policy

NAMED_BY_CONTENT = re.compile(
    r"/orthancproxy/(graphiql|explorer)/assets/.+-[\w-]{8}\.\w+$|^/ohif/.+\.bundle\.[0-9a-f]{16}\.js$"
)
"""Files built by vite and of OHIF, whose names change with their content."""
OHIF_PREFIX = "ohif/"
WORKER = re.compile(r"/orthancproxy/explorer/assets/\w*Worker-[\w-]{8}\.js$")
"""The workers of the page for people, which decode images: browsers apply the policy of a worker's own response."""
WORKER_POLICY = policy("script-src 'self' 'wasm-unsafe-eval'", "connect-src 'self'")


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


def ohif_policy(*inline_scripts: str) -> str:
    """Return the policy of OHIF's page: its codecs compile functions, its workers begin as blobs, styles are inline."""
    hashes = (f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in inline_scripts)
    return policy(
        " ".join(("script-src 'self' blob: 'unsafe-eval'", *hashes)),
        "worker-src 'self' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' blob: data:",
        "font-src 'self' data:",
        "media-src 'self' blob:",
        "object-src 'self' blob:",
        "connect-src 'self' blob: data:",
        "manifest-src 'self'",
    )


def add_headers(headers: MutableMapping[str, str], path: str, url: str) -> None:
    """Let clients cache a file whose name changes with its content, and give workers a policy.

    servestatic's middleware ignores SERVESTATIC_IMMUTABLE_FILE_TEST.
    """
    if NAMED_BY_CONTENT.search(url):
        headers["Cache-Control"] = "max-age=31536000, public, immutable"
    if url.startswith(f"/{OHIF_PREFIX}"):
        headers["Content-Security-Policy"] = ohif_policy()
    elif WORKER.search(url):
        headers["Content-Security-Policy"] = WORKER_POLICY
