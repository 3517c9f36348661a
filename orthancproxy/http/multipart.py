"""Forms with files in them (RFC 7578): the files stay in the body, on disk where Django put it, until they are read.

Django's own parser keeps files of less than 2.5 MB in memory, opens a file for each larger one, takes 100 of them, and
needs five times as long.
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
from orthancproxy.dicom.sources import FileRange, InMemory, Source, disk_full_as_limit
from orthancproxy.errors import InvalidRequest, LimitExceeded

PIECE = 1024**2  # bytes
MAX_FIELDS = 8 * 1024**2  # bytes of all fields that are no files: 10,000 files with their folders need two
FIELDS_BESIDES = 100  # fields, besides one or two for each file


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """A file of a form: the name that the sender gave it, without folders, and its bytes."""

    name: str
    source: Source

    def close(self) -> None:
        """Free the disk that this and the other files of its form take."""
        self.source.close()


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent, by the names of the form's fields, in its order."""

    fields: MultiValueDict[str, str] = field(default_factory=MultiValueDict)
    files: MultiValueDict[str, ReceivedFile] = field(default_factory=MultiValueDict)


def receive(request: HttpRequest) -> Form:
    """Read the body of a request. Raises InvalidRequest where it is no form, and LimitExceeded."""
    boundary = (request.content_params or {}).get("boundary", "")
    if not boundary:
        raise InvalidRequest("The Content-Type has no boundary.")
    body = _body(request)
    reading = _Reading(body)
    try:
        parser = MultipartParser(boundary.encode("latin-1"), reading.callbacks())
        while piece := os.pread(body.fileno(), PIECE, reading.offset + len(reading.piece)):
            reading.offset += len(reading.piece)
            reading.piece = piece
            parser.write(piece)
    except (MultipartParseError, UnicodeError, ValueError) as error:
        raise InvalidRequest("The form can't be understood.") from error
    if not reading.ended:
        raise InvalidRequest("The form breaks off.")
    return reading.form


def _body(request: HttpRequest) -> IO[bytes]:
    """The body of a request as a file of our own: that on disk which Django has under ASGI, else a copy."""
    stream = getattr(request, "_stream", None)
    with suppress(AttributeError, OSError):
        stream.flush()  # type: ignore[union-attr]
        # Django closes its own when the client goes away, perhaps before the files are read
        return os.fdopen(os.dup(stream.fileno()), "rb", buffering=0)  # type: ignore[union-attr]
    spool = tempfile.TemporaryFile()  # noqa: SIM115  open as long as what is read from it
    with disk_full_as_limit():
        while piece := request.read(PIECE):
            spool.write(piece)
        spool.flush()
    return spool


class _Reading:
    """What the parser calls. `piece` is what it has been given, which begins at `offset` of the body."""

    def __init__(self, body: IO[bytes]) -> None:
        self.form = Form()
        self.ended = False
        self.piece = b""
        self.offset = 0
        self._body = body
        self._total = 0
        self._start: int | None = None  # of a file in the body
        self._size = 0
        self._before = b""
        self._files = 0
        self._fields = 0
        self._field_bytes = 0
        self._header: list[bytes] = []
        self._value: list[bytes] = []
        self._headers: dict[str, str] = {}
        self._name = ""
        self._filename: str | None = None

    def callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": _collecting(self._header),
            "on_header_value": _collecting(self._value),
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._end_form,
        }

    def _begin(self) -> None:
        self._headers.clear()
        self._start, self._size, self._before = None, 0, b""

    def _end_header(self) -> None:
        self._headers[_joined(self._header).lower()] = _joined(self._value)

    def _end_headers(self) -> None:
        _, parameters = parse_header_parameters(self._headers.get("content-disposition", ""))
        if "name" not in parameters:
            raise InvalidRequest("A part of the form has no name.")
        self._name = parameters["name"]
        self._filename = parameters.get("filename")
        if self._filename is not None:
            self._files += 1
            if self._files > conf.ORTHANC_MAX_UPLOAD_FILES:
                raise LimitExceeded(f"At most {conf.ORTHANC_MAX_UPLOAD_FILES} files can be sent at once.")
        else:
            self._fields += 1
            if self._fields > 2 * conf.ORTHANC_MAX_UPLOAD_FILES + FIELDS_BESIDES:
                raise LimitExceeded("The form has too many fields.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._filename is None:
            self._field_bytes += end - start
            if self._field_bytes > MAX_FIELDS:
                raise LimitExceeded("The fields of the form are too long.")
            self._value.append(data[start:end])
            return
        self._total += end - start
        if self._total > conf.ORTHANC_MAX_UPLOAD_BYTES:
            raise LimitExceeded(f"At most {conf.ORTHANC_MAX_UPLOAD_BYTES} bytes can be sent at once.")
        if self._start is None and data is self.piece:
            self._start = self.offset + start - self._size
        elif self._start is None:
            # the parser held it back, since it looked like the beginning of a boundary; it does not say where it was
            self._before += data[start:end]
        self._size += end - start

    def _end(self) -> None:
        if self._filename is None:
            self.form.fields.appendlist(self._name, _joined(self._value))
            return
        name = self._filename.replace("\\", "/").rpartition("/")[2]
        source = InMemory(self._before) if self._start is None else FileRange(self._body, self._start, self._size)
        # a browser sends this for a field in which no file was chosen
        if name or source.size:
            self.form.files.appendlist(self._name, ReceivedFile(name, source))

    def _end_form(self) -> None:
        self.ended = True


def _collecting(pieces: list[bytes]) -> Callable[[bytes, int, int], None]:
    return lambda data, start, end: pieces.append(data[start:end])


def _joined(pieces: list[bytes]) -> str:
    """The text in UTF-8 that was collected; begins anew."""
    text = b"".join(pieces).decode()
    pieces.clear()
    return text
