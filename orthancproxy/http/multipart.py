"""Multipart bodies (RFC 2046 section 5.1) whose parts are ranges of the body on disk, and forms (RFC 7578) among them.

Django's own parser keeps files of less than 2.5 MB in memory, opens a file for each larger one, accepts 100 of them,
and takes five times as long.
"""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import UnsupportedOperation
from typing import IO, Any, ClassVar

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from django.utils.http import parse_header_parameters
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser

from orthancproxy.conf import conf
from orthancproxy.dicom.sources import FileRange, InMemory, Source, disk_full_as_error
from orthancproxy.errors import GatewayError, InvalidRequest, LimitExceeded
from orthancproxy.uploads.files import SentFile

CHUNK_BYTES = 1024**2
# in the ASGI scope of a request whose form has been parsed: a list of it, or of the error. The view takes it out, since
# Django's requests refer to themselves and would keep the spool of the form open
FORM = "orthancproxy.form"
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
    parsed: list[Form | GatewayError] | None = getattr(request, "scope", {}).get(FORM)
    if parsed is None:
        reader = FormReader(spooled_body(request))
        reader.read(request, chunk_bytes)
        return reader.form
    if not parsed:
        raise InvalidRequest("The client has disconnected.")
    outcome = parsed.pop()
    if isinstance(outcome, GatewayError):
        raise outcome
    return outcome


def spooled_body(request: HttpRequest) -> IO[bytes]:
    """Return the request body as a file: the one on disk that Django has under ASGI (`_stream`), else a copy.

    Raises InsufficientStorage.
    """
    stream = getattr(request, "_stream", None)
    # what has no descriptor is copied
    with suppress(AttributeError, UnsupportedOperation), disk_full_as_error():
        # a short body goes from memory to disk here
        descriptor = stream.fileno()  # type: ignore[union-attr]
        stream.flush()  # type: ignore[union-attr]
        # Django closes its own when the client disconnects, which can be before the files are read
        return os.fdopen(os.dup(descriptor), "rb", buffering=0)
    spool = tempfile.TemporaryFile()  # noqa: SIM115  open as long as what is read from it
    with disk_full_as_error():
        while chunk := request.read(CHUNK_BYTES):
            spool.write(chunk)
        spool.flush()
    return spool


class Limit:
    """A limit on the sum of several amounts. Raises LimitExceeded."""

    def __init__(self, maximum: int, message: str) -> None:
        self._left = maximum
        self._message = message

    def use(self, amount: int = 1) -> None:
        """Count an amount. Raises LimitExceeded above the maximum."""
        self._left -= amount
        if self._left < 0:
            raise LimitExceeded(self._message)


class PartReader(ABC):
    """Reads the parts of a multipart body, which is on disk before it is parsed. Their contents stay there.

    A subclass gets each part: its headers, by names in lower case, then the sizes of pieces of its content, then all
    of its content.
    """

    noun: ClassVar = "body"

    def __init__(self, body: IO[bytes]) -> None:
        self._body = body
        self._has_ended = False
        self._chunk = b""  # that is being parsed
        self._offset = 0  # of the chunk in the body
        self._start: int | None = None  # of the part in the body
        self._size = 0
        self._held_back = b""
        self._header: list[bytes] = []
        self._value: list[bytes] = []
        self._headers: dict[str, str] = {}

    @abstractmethod
    def begin_part(self, headers: Mapping[str, str]) -> None:
        """Take the headers of the next part, by names in lower case."""

    @abstractmethod
    def count(self, size: int) -> None:
        """Count a number of bytes of the part."""

    @abstractmethod
    def end_part(self, content: Source) -> None:
        """Take all of the content of the part, which is on disk."""

    def read(self, request: HttpRequest, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Read all parts of a request's body. Raises InvalidRequest if it is malformed, and what the subclass does."""
        parse = self.parser((request.content_params or {}).get("boundary", ""))
        while chunk := os.pread(self._body.fileno(), chunk_bytes, self._offset):
            parse(chunk)
        self.end()

    def parser(self, boundary: str) -> Callable[[bytes], None]:
        """Return the function that parses the next chunk. It refers to the reader, which does not refer to it.

        Both raise like `read`.
        """
        if not boundary:
            raise InvalidRequest("The Content-Type has no boundary.")
        with self._malformed_as_error():
            parser = MultipartParser(boundary.encode("latin-1"), self._callbacks())

        def parse(chunk: bytes) -> None:
            self._chunk = chunk
            with self._malformed_as_error():
                parser.write(chunk)
            self._offset += len(chunk)

        return parse

    def end(self) -> None:
        """Raise InvalidRequest if the end of the body has not been parsed."""
        if not self._has_ended:
            raise InvalidRequest(f"The {self.noun} is incomplete.")

    @contextmanager
    def _malformed_as_error(self) -> Iterator[None]:
        try:
            yield
        except (MultipartParseError, UnicodeError, ValueError) as error:
            raise InvalidRequest(f"The {self.noun} is malformed.") from error

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": _appending_to(self._header),
            "on_header_value": _appending_to(self._value),
            "on_header_end": self._end_header,
            "on_headers_finished": lambda: self.begin_part(self._headers),
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._end_body,
        }

    def _begin(self) -> None:
        self._headers.clear()
        self._start, self._size, self._held_back = None, 0, b""

    def _end_header(self) -> None:
        self._headers[_take_text(self._header).lower()] = _take_text(self._value)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.count(end - start)
        if self._start is None and data is self._chunk:
            self._start = self._offset + start - self._size
        elif self._start is None:
            # the parser held it back because it looked like the start of a boundary; it does not say where it was
            self._held_back += data[start:end]
        self._size += end - start

    def _end(self) -> None:
        is_held_back = self._start is None
        self.end_part(
            InMemory(self._held_back) if is_held_back else FileRange(self._body, self._start or 0, self._size)
        )

    def _end_body(self) -> None:
        self._has_ended = True


class FormReader(PartReader):
    """Reads a form. `form` has the parts that have ended."""

    noun = "form"

    def __init__(self, body: IO[bytes]) -> None:
        super().__init__(body)
        self.form = Form()
        max_files, max_bytes = conf.ORTHANC_MAX_UPLOAD_FILES, conf.ORTHANC_MAX_UPLOAD_BYTES
        self._files = Limit(max_files, f"At most {max_files} files can be uploaded at once.")
        self._file_bytes = Limit(max_bytes, f"At most {max_bytes} bytes can be uploaded at once.")
        self._fields = Limit(2 * max_files + MAX_OTHER_FIELDS, "The form has too many fields.")
        self._field_bytes = Limit(MAX_FIELD_BYTES, FIELDS_TOO_LONG)
        self._name = ""
        self._filename: str | None = None

    def begin_part(self, headers: Mapping[str, str]) -> None:
        """Take the names of a field or file."""
        _, parameters = parse_header_parameters(headers.get("content-disposition", ""))
        if "name" not in parameters:
            raise InvalidRequest("A part of the form has no name.")
        self._name = parameters["name"]
        self._filename = parameters.get("filename")
        (self._fields if self._filename is None else self._files).use()

    def count(self, size: int) -> None:
        """Count bytes of a field or file. Raises LimitExceeded."""
        (self._field_bytes if self._filename is None else self._file_bytes).use(size)

    def end_part(self, content: Source) -> None:
        """Add a field or file to the form."""
        if self._filename is None:
            self.end_field(self._name, content.read_at(0, content.size).decode())
            return
        name = self._filename.replace("\\", "/").rpartition("/")[2]
        # browsers send an empty file without a name for a field in which no file was chosen
        if name or content.size:
            self.end_file(self._name, SentFile(name, content))

    def end_field(self, name: str, text: str) -> None:
        """Add a field to the form."""
        self.form.fields.appendlist(name, text)

    def end_file(self, name: str, file: SentFile) -> None:
        """Add a file to the form."""
        self.form.files.appendlist(name, file)


def _appending_to(pieces: list[bytes]) -> Callable[[bytes, int, int], None]:
    return lambda data, start, end: pieces.append(data[start:end])


def _take_text(pieces: list[bytes]) -> str:
    """Return the collected text in UTF-8, and clear it."""
    text = b"".join(pieces).decode()
    pieces.clear()
    return text
