"""dev/pin_images.py writes the digests that a registry has for the tags, here a stand-in on this machine."""

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dev.pin_images import IMAGE, digest, main, repository
from orthancproxy.sandbox.gateway import CHECKOUT

FILES = ("docker-compose.yml", "Dockerfile")


@dataclass
class Registry:
    """A registry as of the OCI distribution specification, which gives tokens to everybody, as Docker Hub does."""

    url: str = ""
    manifests: dict[str, bytes] = field(default_factory=dict)
    claimed: str | None = None
    asked: list[str] = field(default_factory=list)

    def manifest(self, name: str, tag: str) -> bytes | None:
        """Any image, but for those that have none."""
        if "missing" in tag:
            return None
        return self.manifests.get(f"{name}:{tag}", json.dumps({"schemaVersion": 2, "of": f"{name}:{tag}"}).encode())


@pytest.fixture
def registry() -> Iterator[Registry]:
    found = Registry()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/token":
                assert parse_qs(url.query)["service"] == ["registry.example"]
                self.answer(200, json.dumps({"token": f"for {parse_qs(url.query)['scope'][0]}"}).encode())
                return
            [(name, tag)] = re.findall("^/v2/(.+)/manifests/(.+)$", url.path)
            scope = f"repository:{name}:pull"
            if self.headers["Authorization"] != f"Bearer for {scope}":
                challenge = f'Bearer realm="{found.url}/token",service="registry.example",scope="{scope}"'
                self.answer(401, b"{}", {"WWW-Authenticate": challenge})
                return
            assert "application/vnd.oci.image.index.v1+json" in self.headers["Accept"]
            found.asked.append(f"{name}:{tag}")
            manifest = found.manifest(name, tag)
            if manifest is None:
                self.answer(404, b"{}")
            else:
                self.answer(200, manifest, {"Docker-Content-Digest": found.claimed or sha256(manifest)})

        def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in FILES:
        shutil.copy(CHECKOUT / name, tmp_path)
        # as they were before the first run
        (tmp_path / name).write_text(re.sub("@sha256:[0-9a-f]{64}", "", (tmp_path / name).read_text()))
    return tmp_path


def sha256(manifest: bytes) -> str:
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"


def texts(checkout: Path) -> list[str]:
    return [(checkout / name).read_text() for name in FILES]


def test_every_image_of_others_gets_the_digest_of_its_tag(registry: Registry, checkout: Path) -> None:
    before = texts(checkout)
    main(["--mirror", registry.url], checkout)
    images = re.findall(r"(?:image: (?:&\S+ )?|FROM )([a-z]\S+)", "\n".join(texts(checkout)))
    own = [image for image in images if image.startswith("orthanc-graphql-gateway")]
    assert len(own) == 2
    others = [image for image in images if image not in own]
    assert len(others) == 3 + 4
    for image in others:
        tagged, _, found = image.partition("@")
        name, _, tag = tagged.rpartition(":")
        manifest = registry.manifest(name if "/" in name else f"library/{name}", tag)
        assert manifest
        assert found == sha256(manifest)
    # nothing else is touched
    assert [re.sub("@sha256:[0-9a-f]{64}", "", text) for text in texts(checkout)] == before
    assert len(registry.asked) == len(set(registry.asked)) == len(set(others))


def test_it_follows_a_tag_that_has_moved(registry: Registry, checkout: Path) -> None:
    main(["--mirror", registry.url], checkout)
    main(["--mirror", registry.url, "--check"], checkout)
    before = texts(checkout)
    [(name, tag)] = re.findall(r"image: (postgres):([^@\s]+)", before[0])
    registry.manifests[f"library/{name}:{tag}"] = b"{}"
    with pytest.raises(SystemExit, match=r"Not up to date: docker-compose\.yml"):
        main(["--mirror", registry.url, "--check"], checkout)
    assert texts(checkout) == before
    main(["--mirror", registry.url], checkout)
    assert f"{name}:{tag}@{sha256(b'{}')}" in texts(checkout)[0]
    assert texts(checkout)[1] == before[1]


def test_nothing_is_written_if_one_image_is_missing(registry: Registry, checkout: Path) -> None:
    compose = checkout / "docker-compose.yml"
    compose.write_text(re.sub("(image: postgres:).*", r"\1missing", compose.read_text()))
    before = texts(checkout)
    with pytest.raises(SystemExit, match=r"postgres:missing: .*404"):
        main(["--mirror", registry.url], checkout)
    assert texts(checkout) == before


def test_a_registry_that_sends_something_else_than_it_claims_is_not_believed(registry: Registry) -> None:
    registry.claimed = sha256(b"another")
    with pytest.raises(SystemExit, match="claims another digest"):
        digest("postgres:16", registry.url)


def test_a_registry_is_not_asked_without_tls() -> None:
    with pytest.raises(SystemExit, match="over HTTPS only"):
        digest("postgres:16", "http://registry.example.org")


@pytest.mark.parametrize(
    ("tagged", "expected"),
    [
        ("postgres:16", ("https://registry-1.docker.io", "library/postgres", "16")),
        ("orthancteam/orthanc:25.12.3", ("https://registry-1.docker.io", "orthancteam/orthanc", "25.12.3")),
        ("ghcr.io/a/b:1", ("https://ghcr.io", "a/b", "1")),
        ("registry.example.org:5000/b:1-x", ("https://registry.example.org:5000", "b", "1-x")),
    ],
)
def test_the_registry_is_that_of_the_name(tagged: str, expected: tuple[str, str, str]) -> None:
    assert repository(tagged) == expected
    assert [found["tagged"] for found in IMAGE.finditer(f"    image: {tagged}\n")] == [tagged]
