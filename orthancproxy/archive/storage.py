"""What goes into Orthanc's storage and comes out of it: DICOM files, and ZIP archives of all below a resource."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from orthancproxy.archive.levels import Level
from orthancproxy.errors import ArchiveProtocolError, ArchiveRejected, ArchiveUnavailable, NotFound, NotRenderable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient, RequestBody
from orthancproxy.orthanc.response_body import ResponseBody

# the last record of a ZIP (APPNOTE.TXT 4.3.16): 22 bytes, whose last two tell the length of the comment after them
_END_OF_ZIP = b"PK\x05\x06"
_END_OF_ZIP_BYTES = 22
# Orthanc's comment is "Created by Orthanc" where it has one
_MAX_ZIP_COMMENT_BYTES = 256


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes on their way: an iterable of pieces, read once, with their media type, and their number where it is known.

    Whoever takes the pieces calls `close`, at the end or before it; a second time does no harm.
    """

    chunks: Iterable[bytes]
    media_type: str
    length: int | None
    close: Callable[[], None]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

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


def open_zip(client: OrthancClient, level: Level, orthanc_id: str) -> Content:
    """A ZIP archive of all files below a resource, which Orthanc makes while it is read."""
    body = client.open(endpoints.LEVEL_ARCHIVE, level=level.path, id=orthanc_id)
    return Content(_complete_zip(body), "application/zip", body.length, body.close)


def open_zip_of(client: OrthancClient, orthanc_ids: Sequence[str]) -> Content:
    """A ZIP archive of all files below several resources."""
    body = client.open(endpoints.CREATE_ARCHIVE, body={"Resources": list(orthanc_ids), "Synchronous": True})
    return Content(_complete_zip(body), "application/zip", body.length, body.close)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a file is in the archive: Orthanc ids. `before` says that it was there already."""

    instance_id: str
    series_id: str
    study_id: str
    already_stored: bool


def store(client: OrthancClient, file: RequestBody) -> Stored:
    """Store a DICOM file, once, however often it is sent. Raises ArchiveError."""
    try:
        answer = client.call(endpoints.STORE, content=file)
    except (NotFound, NotRenderable) as error:
        # 404 is Orthanc's word for a file without one of the UIDs, 415 may be that of a proxy before it
        raise ArchiveRejected("The archive refused the file.") from error
    match answer:
        case {
            "ID": str(instance_id),
            "ParentSeries": str(series_id),
            "ParentStudy": str(study_id),
            "Status": "Success" | "AlreadyStored" as status,
        }:
            return Stored(instance_id, series_id, study_id, already_stored=status == "AlreadyStored")
        case {"Status": str(status)}:
            raise ArchiveRejected(f"The archive did not store the file: {status}.")
    raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.")


def delete(client: OrthancClient, level: Level, orthanc_id: str) -> tuple[Level, str] | None:
    """Delete a resource, all below it, and the parents that become empty.

    Return the nearest parent that is left, by level and Orthanc id. Raises NotFound.
    """
    answer = client.call(endpoints.DELETE, level=level.path, id=orthanc_id)
    match answer:
        case {"RemainingAncestor": None}:
            return None
        case {"RemainingAncestor": {"ID": str(remaining), "Type": "Patient" | "Study" | "Series" as kind}}:
            return Level(kind), remaining
    raise ArchiveProtocolError("The archive's answer is not what Orthanc answers.")


def _complete_zip(body: ResponseBody) -> Iterator[bytes]:
    """Pass a ZIP on. Raises ArchiveUnavailable when it breaks off: Orthanc sends it without a length."""
    end = b""
    for piece in body:
        end = (end + piece)[-(_END_OF_ZIP_BYTES + _MAX_ZIP_COMMENT_BYTES) :]
        yield piece
    _, found, record = end.rpartition(_END_OF_ZIP)
    comment_length = int.from_bytes(record[16:18], "little")
    if not found or len(found) + len(record) != _END_OF_ZIP_BYTES + comment_length:
        raise ArchiveUnavailable("The archive broke off while it sent the files.")
