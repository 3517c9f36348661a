"""Write the digests of the images of others into docker-compose.yml and the Dockerfile: `name:tag@sha256:…`.

    python3 -m dev.pin_images [--check] [--mirror URL]

A tag can be moved to another image; a digest cannot. Run it again to take what the tags have become.
Needs access to the registries, and nothing but Python.

--check       change nothing; fail if an image has no digest, or its tag has another one by now
--mirror URL  ask this registry, such as http://127.0.0.1:5000, for the images of Docker Hub
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

CHECKOUT = Path(__file__).resolve().parents[1]
FILES = ("docker-compose.yml", "Dockerfile")
DOCKER_HUB = "https://registry-1.docker.io"
TIMEOUT_SECONDS = 30
# an index of images for several architectures if there is one, as Docker asks for
ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
# not those that are built here, which have no registry
IMAGE = re.compile(
    r"^(?P<before>\s+image: (?:&\S+ )?|FROM )(?!orthanc-graphql-gateway)(?P<tagged>[\w./-]+(?::\d+/[\w./-]+)?:[\w.-]+)"
    r"(?:@sha256:[0-9a-f]{64})?(?=\s|$)",
    re.MULTILINE,
)


def repository(tagged: str, docker_hub: str = DOCKER_HUB) -> tuple[str, str, str]:
    """Return the URL of an image's registry, its name there, and its tag."""
    name, _, tag = tagged.rpartition(":")
    host, slash, rest = name.partition("/")
    if slash and ("." in host or ":" in host):
        return f"https://{host}", rest, tag
    return docker_hub, name if slash else f"library/{name}", tag


def digest(tagged: str, docker_hub: str = DOCKER_HUB) -> str:
    """Return `sha256:…` of the image that a tag names now, which is the hash of its manifest."""
    registry, name, tag = repository(tagged, docker_hub)
    manifest, claimed = _manifest(f"{registry}/v2/{name}/manifests/{tag}")
    found = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    if claimed not in (None, found):
        raise SystemExit(f"{tagged}: the registry claims another digest than that of what it sends.")
    return found


def pinned(text: str, find: Callable[[str], str]) -> str:
    """Return a file's text with the digest of each image after its tag."""
    return IMAGE.sub(lambda image: f"{image['before']}{image['tagged']}@{find(image['tagged'])}", text)


def _manifest(url: str) -> tuple[bytes, str | None]:
    headers = {"Accept": ACCEPT}
    try:
        return _get(url, headers)
    except HTTPError as error:
        challenge = dict(re.findall(r'(\w+)="([^"]*)"', error.headers.get("WWW-Authenticate", "")))
        if error.code != 401 or "realm" not in challenge:
            raise
    # public images need a token, too, which everybody gets
    query = urlencode({name: challenge[name] for name in ("service", "scope") if name in challenge})
    answer = json.loads(_get(f"{challenge['realm']}?{query}", {})[0])
    token = answer.get("token") or answer["access_token"]
    return _get(url, {**headers, "Authorization": f"Bearer {token}"})


def _get(url: str, headers: dict[str, str]) -> tuple[bytes, str | None]:
    if not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise SystemExit(f"{url}: a registry is asked over HTTPS only.")
    with urlopen(Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  checked above
        return answer.read(), answer.headers.get("Docker-Content-Digest")


def main(arguments: list[str] | None = None, checkout: Path = CHECKOUT) -> None:
    """Write the digests, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--mirror", default=DOCKER_HUB)
    options = parser.parse_args(arguments)
    known: dict[str, str] = {}

    def find(tagged: str) -> str:
        if tagged not in known:
            try:
                known[tagged] = digest(tagged, options.mirror.rstrip("/"))
            except URLError as error:
                raise SystemExit(f"{tagged}: {error}") from error
        return known[tagged]

    changed = {}
    for name in FILES:
        path = checkout / name
        before = path.read_text()
        after = pinned(before, find)
        if after != before:
            changed[path] = after
    for tagged, found in known.items():
        print(f"{tagged} {found}")  # noqa: T201  what the script is for
    if options.check and changed:
        sys.exit(f"Not up to date: {', '.join(path.name for path in changed)}.")
    # all or none: every image was found
    for path, text in changed.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
