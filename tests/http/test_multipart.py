"""The ranges of the files of a form in its body, whatever the files contain."""

import random
import tempfile
from typing import IO, Any

import pytest

from orthancproxy.dicom.sources import chunks
from orthancproxy.http.multipart import receive

BOUNDARY = "a-boundary"
# easily mistaken for the end of a part
HARD = (b"\r", b"\n", b"\r\n", b"\r\n-", b"\r\n--", b"\r\n--a", b"\r\n--a-boundar", b"--a-boundary", b"x", b"\0" * 40)


class Request:
    """The part of Django's request that `receive` uses."""

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
    """A file that is full of near-boundaries, and contains none."""
    while True:
        found = b"".join(dice.choices(HARD, k=dice.randrange(9)))
        if b"\r\n--a-boundary" not in b"\r\n" + found:
            return found


def form(files: list[bytes]) -> bytes:
    head = b'--a-boundary\r\nContent-Disposition: form-data; name="files"; filename="%d"\r\n\r\n'
    return b"".join(head % number + file + b"\r\n" for number, file in enumerate(files)) + b"--a-boundary--\r\n"


@pytest.mark.parametrize("is_file", [True, False], ids=["of ASGI", "of WSGI"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 31, 64, 200, 4096, 2**20])
def test_a_form_parsed_in_chunks_of_any_size_has_the_same_files(size: int, is_file: bool) -> None:
    dice = random.Random(size)
    for _ in range(40):
        files = [content(dice) for _ in range(dice.randrange(1, 6))]
        request: Any = Request(form(files), is_file=is_file)
        found = receive(request, size).files.getlist("files")
        # Django closes its own file when the client goes away
        request.close()
        assert [file.name for file in found] == [str(number) for number in range(len(files))]
        assert [b"".join(chunks(file.source)) for file in found] == files
        assert [file.source.size for file in found] == [len(file) for file in files]
        for file in found:
            file.close()
