"""Files and ZIPs as Orthanc sends them: what is cut off does not look complete."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests

from orthancproxy.archive.levels import Level
from orthancproxy.archive.storage import open_zip
from orthancproxy.errors import ArchiveProtocolError, ArchiveUnavailable
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.response_body import ResponseBody

COMMENT = b"Created by Orthanc"
END = b"PK\x05\x06" + bytes(16)
WHOLE = b"PK\x03\x04" + bytes(100) + END + len(COMMENT).to_bytes(2, "little") + COMMENT


class Client:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def open(self, *_: object, **__: object) -> Any:
        return Body(self._content)


class Body:
    """A body in pieces of seven bytes."""

    length = None

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        yield from (self._content[start : start + 7] for start in range(0, len(self._content), 7))

    def close(self) -> None:
        pass


def read(content: bytes) -> bytes:
    return b"".join(open_zip(cast("OrthancClient", Client(content)), Level.STUDY, "id"))


@pytest.mark.parametrize("content", [WHOLE, bytes(300) + END + b"\0\0", END + b"\0\0"])
def test_a_whole_zip_is_passed_through(content: bytes) -> None:
    assert read(content) == content


@pytest.mark.parametrize("missing", [1, len(COMMENT), len(COMMENT) + 2, len(COMMENT) + 19, len(WHOLE)])
def test_a_zip_that_is_cut_off_is_an_error(missing: int) -> None:
    with pytest.raises(ArchiveUnavailable):
        read(WHOLE[:-missing])


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ({"Content-Length": "10"}, 10),
        # of what was compressed
        ({"Content-Length": "10", "Content-Encoding": "gzip"}, None),
        ({"Content-Length": "-1"}, None),
        ({}, None),
    ],
)
def test_the_length_of_a_body_is_known_if_orthanc_sends_it(headers: dict[str, str], length: int | None) -> None:
    response = requests.Response()
    response.headers.update(headers)
    assert ResponseBody(response, lambda _: ArchiveProtocolError()).length == length
