"""Where the files of a form are in its body, whatever they look like."""

import random
import tempfile
from typing import IO, Any

import pytest

from orthancproxy.dicom.sources import pieces
from orthancproxy.http import multipart
from orthancproxy.http.multipart import receive

BOUNDARY = "a-boundary"
# what is easily taken for the end of a part
HARD = (b"\r", b"\n", b"\r\n", b"\r\n-", b"\r\n--", b"\r\n--a", b"\r\n--a-boundar", b"--a-boundary", b"x", b"\0" * 40)


class Request:
    """What `receive` takes of Django's."""

    def __init__(self, body: bytes, *, is_file: bool) -> None:
        self.content_params = {"boundary": BOUNDARY}
        self._file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=1000)  # noqa: SIM115  closed by the test
        self._file.write(body)
        self._file.seek(0)
        if is_file:
            self._stream = self._file

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def close(self) -> None:
        self._file.close()


def content(dice: random.Random) -> bytes:
    """A file that looks much like boundaries, and has none in it."""
    while True:
        found = b"".join(dice.choices(HARD, k=dice.randrange(9)))
        if b"\r\n--a-boundary" not in b"\r\n" + found:
            return found


def form(files: list[bytes]) -> bytes:
    head = b'--a-boundary\r\nContent-Disposition: form-data; name="files"; filename="%d"\r\n\r\n'
    return b"".join(head % number + file + b"\r\n" for number, file in enumerate(files)) + b"--a-boundary--\r\n"


@pytest.mark.parametrize("is_file", [True, False], ids=["of ASGI", "of WSGI"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 31, 64, 200, 4096, 2**20])
def test_files_are_found_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch, size: int, is_file: bool) -> None:
    monkeypatch.setattr(multipart, "PIECE", size)
    dice = random.Random(size)
    for _ in range(40):
        files = [content(dice) for _ in range(dice.randrange(1, 6))]
        request: Any = Request(form(files), is_file=is_file)
        found = receive(request).files.getlist("files")
        # Django closes its own file when the client goes away
        request.close()
        assert [file.name for file in found] == [str(number) for number in range(len(files))]
        assert [b"".join(pieces(file.source)) for file in found] == files
        assert [file.source.size for file in found] == [len(file) for file in files]
        for file in found:
            file.close()
