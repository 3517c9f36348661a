"""The files of a form are ranges of its body, whatever they contain; forms have limits."""

import random
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest
from pytest_django import Settings

from orthancproxy.dicom.sources import chunks
from orthancproxy.errors import InsufficientStorage, LimitExceeded
from orthancproxy.http.multipart import MAX_FIELD_BYTES, MAX_OTHER_FIELDS, Form, receive
from orthancproxy.uploads.files import close
from tests.faults.disks import filled, small_disk

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
        close(found)


def received(*parts: tuple[str, bytes]) -> Form:
    """Receive a form of parts: the parameters of their Content-Disposition, and their content."""
    head = "--a-boundary\r\nContent-Disposition: form-data; {}\r\n\r\n"
    encoded = (head.format(parameters).encode() + content + b"\r\n" for parameters, content in parts)
    request: Any = Request(b"".join(encoded) + b"--a-boundary--\r\n", is_file=True)
    return receive(request)


def test_a_file_without_a_name_is_one_if_it_has_content() -> None:
    unnamed = 'name="files"; filename=""'
    found = received((unnamed, b""), (unnamed, b"content"), ('name="files"; filename="a"', b"")).files.getlist("files")
    assert [(file.name, file.source.size) for file in found] == [("", 7), ("a", 0)]


@pytest.mark.parametrize("path", ["folder/name", "C:\\\\folder\\\\name", "../name", "name"])
def test_the_name_of_a_file_has_no_folders(path: str) -> None:
    [file] = received((f'name="files"; filename="{path}"', b"")).files.getlist("files")
    assert file.name == "name"


def test_the_fields_of_a_form_have_a_limit_together() -> None:
    half = b"x" * (MAX_FIELD_BYTES // 2)
    form = received(('name="a"', half), ('name="b"', half))
    assert len(form.text("a")) + len(form.text("b")) == MAX_FIELD_BYTES
    with pytest.raises(LimitExceeded, match="fields of the form are too long"):
        received(('name="a"', half), ('name="b"', half + b"x"))


def test_a_field_sent_as_a_file_has_the_same_limit() -> None:
    blob = 'name="operations"; filename="blob"'
    assert received((blob, b"x" * MAX_FIELD_BYTES)).text("operations") == "x" * MAX_FIELD_BYTES
    with pytest.raises(LimitExceeded, match="fields of the form are too long"):
        received((blob, b"x" * (MAX_FIELD_BYTES + 1))).text("operations")


def test_a_form_has_a_maximum_number_of_files_of_bytes_and_of_fields(settings: Settings) -> None:
    settings.ORTHANC_MAX_UPLOAD_FILES, settings.ORTHANC_MAX_UPLOAD_BYTES = 2, 10
    file, field = 'name="files"; filename="a"', 'name="series_path"'
    most = [(file, b"12345")] * 2 + [(field, b"")] * (2 * 2 + MAX_OTHER_FIELDS)
    assert len(received(*most).files.getlist("files")) == 2
    for one_more, message in (
        ((file, b""), "At most 2 files"),
        ((field, b""), "too many fields"),
    ):
        with pytest.raises(LimitExceeded, match=message):
            received(*most, one_more)
    with pytest.raises(LimitExceeded, match="At most 10 bytes"):
        received((file, b"12345"), (file, b"123456"))


def test_a_short_body_for_which_the_disk_has_no_room_is_told_even_if_there_is_room_again(tmp_path: Path) -> None:
    request: Any = Request(b"", is_file=True)
    request.close()
    with small_disk(tmp_path, megabytes=1) as disk, filled(disk, leaving=4096):
        # in memory, as Django keeps a short body; it goes to disk when it is read
        request._file = tempfile.SpooledTemporaryFile(max_size=100_000, dir=str(disk))  # noqa: SIM115  as above
        request._stream = request._file
        request._file.write(form([b"x" * 20_000]))
        request._file.seek(0)
        # the folder for temporary files has room
        with pytest.raises(InsufficientStorage):
            receive(request)
