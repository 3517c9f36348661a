"""Forms with files (RFC 7578), whose files are ranges of the request body on disk.

Django's own parser keeps files of less than 2.5 MB in memory, opens a file for each larger one, accepts 100 of them,
and takes five times as long.
"""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from django.utils.http import parse_header_parameters
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from orthancproxy.conf import conf
from orthancproxy.dicom.sources import FileRange, InMemory, disk_full_as_limit
from orthancproxy.errors import InvalidRequest, LimitExceeded
from orthancproxy.uploads.files import SentFile

CHUNK_BYTES = 1024**2
MAX_FIELD_BYTES = 8 * 1024**2  # of all fields without files: 10,000 files with their folders take two
FIELDS_TOO_LONG = "The fields of the form are too long."
MAX_OTHER_FIELDS = 100  # besides one or two for each file


@dataclass(frozen=True, slots=True)
class Form:
    """The fields and files of a form by field name, in the order they were sent. File names have no folders."""

    fields: MultiValueDict[str, str] = field(default_factory=MultiValueDict)
    files: MultiValueDict[str, SentFile] = field(default_factory=MultiValueDict)

    def text(self, name: str) -> str:
        """Return a field, which a browser sends as a file if it is a Blob; empty without one. Raises InvalidRequest."""
        blobs = [file.source for file in self.files.getlist(name)]
        if sum(blob.size for blob in blobs) > MAX_FIELD_BYTES:
            raise LimitExceeded(FIELDS_TOO_LONG)
        try:
            texts = [*self.fields.getlist(name), *(blob.read_at(0, blob.size).decode() for blob in blobs)]
        except UnicodeError as error:
            raise InvalidRequest("The form is malformed.") from error
        if len(texts) > 1:
            raise InvalidRequest(f"The form has {len(texts)} fields named {name}: send one.")
        return texts[0] if texts else ""


def receive(request: HttpRequest, chunk_bytes: int = CHUNK_BYTES) -> Form:
    """Parse the body of a request. Raises InvalidRequest for a malformed form, and LimitExceeded."""
    boundary = (request.content_params or {}).get("boundary", "")
    if not boundary:
        raise InvalidRequest("The Content-Type has no boundary.")
    body = _body(request)
    builder = _FormBuilder(body)
    try:
        parser = MultipartParser(boundary.encode("latin-1"), builder.callbacks())
        while chunk := os.pread(body.fileno(), chunk_bytes, builder.offset + len(builder.chunk)):
            builder.offset += len(builder.chunk)
            builder.chunk = chunk
            parser.write(chunk)
    except (MultipartParseError, UnicodeError, ValueError) as error:
        raise InvalidRequest("The form is malformed.") from error
    if not builder.ended:
        raise InvalidRequest("The form is incomplete.")
    return builder.form


def _body(request: HttpRequest) -> IO[bytes]:
    """Return the request body as a file: the one on disk that Django has under ASGI (`_stream`), else a copy."""
    stream = getattr(request, "_stream", None)
    with suppress(AttributeError, OSError):
        stream.flush()  # type: ignore[union-attr]
        # Django closes its own when the client disconnects, which can be before the files are read
        return os.fdopen(os.dup(stream.fileno()), "rb", buffering=0)  # type: ignore[union-attr]
    spool = tempfile.TemporaryFile()  # noqa: SIM115  open as long as what is read from it
    with disk_full_as_limit():
        while chunk := request.read(CHUNK_BYTES):
            spool.write(chunk)
        spool.flush()
    return spool


class _Limit:
    """A limit on the sum of several amounts. Raises LimitExceeded."""

    def __init__(self, maximum: int, message: str) -> None:
        self._left = maximum
        self._message = message

    def use(self, amount: int = 1) -> None:
        self._left -= amount
        if self._left < 0:
            raise LimitExceeded(self._message)


class _FormBuilder:
    """The callbacks of the parser. `chunk` is the part of the body that is being parsed, from `offset`."""

    def __init__(self, body: IO[bytes]) -> None:
        self.form = Form()
        self.ended = False
        self.chunk = b""
        self.offset = 0
        self._body = body
        max_files, max_bytes = conf.ORTHANC_MAX_UPLOAD_FILES, conf.ORTHANC_MAX_UPLOAD_BYTES
        self._files = _Limit(max_files, f"At most {max_files} files can be uploaded at once.")
        self._file_bytes = _Limit(max_bytes, f"At most {max_bytes} bytes can be uploaded at once.")
        self._fields = _Limit(2 * max_files + MAX_OTHER_FIELDS, "The form has too many fields.")
        self._field_bytes = _Limit(MAX_FIELD_BYTES, FIELDS_TOO_LONG)
        self._start: int | None = None  # of a file in the body
        self._size = 0
        self._held_back = b""
        self._header: list[bytes] = []
        self._value: list[bytes] = []
        self._headers: dict[str, str] = {}
        self._name = ""
        self._filename: str | None = None

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": _appending_to(self._header),
            "on_header_value": _appending_to(self._value),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._end_form,
        }

    def _begin(self) -> None:
        self._headers.clear()
        self._start, self._size, self._held_back = None, 0, b""

    def _end_header(self) -> None:
        self._headers[_take_text(self._header).lower()] = _take_text(self._value)

    def _end_headers(self) -> None:
        _, parameters = parse_header_parameters(self._headers.get("content-disposition", ""))
        if "name" not in parameters:
            raise InvalidRequest("A part of the form has no name.")
        self._name = parameters["name"]
        self._filename = parameters.get("filename")
        (self._fields if self._filename is None else self._files).use()

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._filename is None:
            self._field_bytes.use(end - start)
            self._value.append(data[start:end])
            return
        self._file_bytes.use(end - start)
        if self._start is None and data is self.chunk:
            self._start = self.offset + start - self._size
        elif self._start is None:
            # the parser held it back because it looked like the start of a boundary; it does not say where it was
            self._held_back += data[start:end]
        self._size += end - start

    def _end(self) -> None:
        if self._filename is None:
            self.form.fields.appendlist(self._name, _take_text(self._value))
            return
        name = self._filename.replace("\\", "/").rpartition("/")[2]
        source = InMemory(self._held_back) if self._start is None else FileRange(self._body, self._start, self._size)
        # browsers send an empty file without a name for a field in which no file was chosen
        if name or source.size:
            self.form.files.appendlist(self._name, SentFile(name, source))

    def _end_form(self) -> None:
        self.ended = True


def _appending_to(pieces: list[bytes]) -> Callable[[bytes, int, int], None]:
    return lambda data, start, end: pieces.append(data[start:end])


def _take_text(pieces: list[bytes]) -> str:
    """Return the collected text in UTF-8, and clear it."""
    text = b"".join(pieces).decode()
    pieces.clear()
    return text
