"""What comes out of Orthanc's storage: DICOM files, and ZIP archives of everything below a resource."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from orthancproxy.archive.levels import Level
from orthancproxy.errors import ArchiveUnavailable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.body import Body
from orthancproxy.orthanc.client import OrthancClient

# the last record of a ZIP (APPNOTE.TXT 4.3.16): 22 bytes, whose last two tell the length of the comment after them
_END_OF_ZIP = b"PK\x05\x06"
_END_OF_ZIP_LENGTH = 22
# Orthanc's comment is "Created by Orthanc" where it has one
_LONGEST_COMMENT = 256


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes on their way: an iterable of pieces, read once, with their media type, and their number where it is known.

    Whoever takes the pieces calls `close`, at the end or before it; a second time does no harm.
    """

    pieces: Iterable[bytes]
    media_type: str
    length: int | None
    close: Callable[[], None]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.pieces)

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Self:
        """Content that is in memory."""
        return cls((data,), media_type, len(data), lambda: None)

    @classmethod
    def headers(cls, media_type: str, length: int | None) -> Self:
        """What is told of content that nobody wants to read."""
        return cls((), media_type, length, lambda: None)


def open_file(client: OrthancClient, orthanc_id: str) -> Content:
    """The DICOM file (PS3.10) of an instance as it is stored."""
    body = client.open(endpoints.INSTANCE_FILE, id=orthanc_id)
    return Content(body, "application/dicom", body.length, body.close)


def open_archive(client: OrthancClient, level: Level, orthanc_id: str) -> Content:
    """A ZIP archive of all files below a resource, which Orthanc makes while it is read."""
    body = client.open(endpoints.LEVEL_ARCHIVE, level=level.path, id=orthanc_id)
    return Content(_complete_zip(body), "application/zip", body.length, body.close)


def _complete_zip(body: Body) -> Iterator[bytes]:
    """Pass a ZIP on. Raises ArchiveUnavailable when it breaks off: Orthanc sends it without a length."""
    end = b""
    for piece in body:
        end = (end + piece)[-(_END_OF_ZIP_LENGTH + _LONGEST_COMMENT) :]
        yield piece
    _, found, record = end.rpartition(_END_OF_ZIP)
    comment_length = int.from_bytes(record[16:18], "little")
    if not found or len(found) + len(record) != _END_OF_ZIP_LENGTH + comment_length:
        raise ArchiveUnavailable("The archive broke off while it sent the files.")
