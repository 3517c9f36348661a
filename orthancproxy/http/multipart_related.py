"""Bodies of several DICOM objects: `multipart/related` (RFC 2387, PS3.18 section 8.6.1.2)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from django.http import HttpRequest
from django.utils.http import parse_header_parameters

from orthancproxy.archive.contents import NamedContent
from orthancproxy.archive.storage import Content
from orthancproxy.conf import conf
from orthancproxy.dicom.sources import FileRange, Source
from orthancproxy.errors import InvalidRequest
from orthancproxy.http.multipart import CHUNK_BYTES, Limit, PartReader, spooled_body

MULTIPART_RELATED = "multipart/related"
UNENCODED = frozenset({"7bit", "8bit", "binary"})  # values of Content-Transfer-Encoding (RFC 2045 section 6.1)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a body: its media type in lower case, empty if it has none, and its content, which stays on disk."""

    media_type: str
    content: Source


def receive_parts(request: HttpRequest, chunk_bytes: int = CHUNK_BYTES) -> list[Part]:
    """Return the parts of a body of `multipart/related`; a body of another type is one part.

    Raises InvalidRequest for a malformed body, and LimitExceeded for more parts or bytes than can be uploaded at once.
    """
    body = spooled_body(request)
    reader = _RelatedReader(body)
    if request.content_type == MULTIPART_RELATED:
        reader.read(request, chunk_bytes)
    else:
        size = body.seek(0, 2)
        reader.begin_part({"content-type": request.content_type or ""})
        reader.count(size)
        reader.end_part(FileRange(body, 0, size))
    return reader.parts


def multipart_related(
    parts: Iterable[NamedContent], media_type: str, boundary: str, service: str, close: Callable[[], None]
) -> Content:
    """Return a body of parts of one media type, which are asked for one after the other while it is read.

    `service` is the URL that their paths are below. `close` ends what is being read, from any thread.
    """
    header = f'{MULTIPART_RELATED}; type="{media_type}"; boundary={boundary}'
    return Content(_body(parts, boundary, service), header, None, close)


def _body(parts: Iterable[NamedContent], boundary: str, service: str) -> Iterator[bytes]:
    for part in parts:
        content = part.content
        lines = [f"--{boundary}", f"Content-Type: {content.media_type}", f"Content-Location: {service}/{part.path}"]
        if content.length is not None:
            lines.append(f"Content-Length: {content.length}")
        yield "\r\n".join([*lines, "", ""]).encode()
        try:
            yield from content
        finally:
            content.close()
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


class _RelatedReader(PartReader):
    def __init__(self, body: IO[bytes]) -> None:
        super().__init__(body)
        self.parts: list[Part] = []
        max_files, max_bytes = conf.ORTHANC_MAX_UPLOAD_FILES, conf.ORTHANC_MAX_UPLOAD_BYTES
        self._count = Limit(max_files, f"At most {max_files} files can be uploaded at once.")
        self._bytes = Limit(max_bytes, f"At most {max_bytes} bytes can be uploaded at once.")
        self._media_type = ""

    def begin_part(self, headers: Mapping[str, str]) -> None:
        self._count.use()
        if headers.get("content-transfer-encoding", "binary").lower() not in UNENCODED:
            raise InvalidRequest("Send the parts of the body without a Content-Transfer-Encoding.")
        self._media_type = parse_header_parameters(headers.get("content-type", ""))[0]

    def count(self, size: int) -> None:
        self._bytes.use(size)

    def end_part(self, content: Source) -> None:
        self.parts.append(Part(self._media_type, content))
