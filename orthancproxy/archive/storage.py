"""Stores, downloads and deletes DICOM files, and downloads ZIPs of all files below a resource."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import attrgetter
from typing import Self

from orthancproxy.archive.byte_ranges import ByteSpan
from orthancproxy.archive.hierarchy import Hierarchy
from orthancproxy.archive.levels import Level
from orthancproxy.archive.plan import LevelPlan, Needs
from orthancproxy.archive.records import Resource
from orthancproxy.errors import ArchiveProtocolError, ArchiveRejected, ArchiveUnavailable, NotFound, NotRenderable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.connections import RequestBody
from orthancproxy.orthanc.response_body import ResponseBody
from orthancproxy.orthanc.responses import DELETE_DECODER, RESOURCE_DECODER, STORE_DECODER, StoreResult

# Orthanc answers nobody while it deletes: 73,000 at once took it more than a minute (1.10.1), and as long in parts
INSTANCES_PER_DELETION = 100
_NOTHING = Needs()

DICOM = "application/dicom"
ZIP = "application/zip"

# end of central directory record (APPNOTE.TXT 4.3.16): its last two bytes are the length of the comment that follows
_END_OF_ZIP = b"PK\x05\x06"
_END_OF_ZIP_BYTES = 22
# Orthanc's comment is "Created by Orthanc" if there is one
_MAX_ZIP_COMMENT_BYTES = 256


@dataclass(frozen=True, slots=True)
class Content:
    """Chunks of bytes to be read once, with their media type and, if known, their total length.

    `span` tells which part of a file they are, None if they are all of it. Without chunks, they are at `location` of
    Orthanc's REST API. The reader calls `close` at the end or earlier, once or more.
    """

    chunks: Iterable[bytes]
    media_type: str
    length: int | None
    close: Callable[[], None]
    span: ByteSpan | None = None
    location: str = ""

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    @property
    def is_in_memory(self) -> bool:
        """Whether it can be sent without waiting for Orthanc."""
        return bool(self.chunks) and isinstance(self.chunks, tuple)

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Self:
        """Return content that is in memory."""
        return cls((data,), media_type, len(data), lambda: None)

    @classmethod
    def headers(cls, media_type: str, length: int | None) -> Self:
        """Return content without chunks, for a HEAD response."""
        return cls((), media_type, length, lambda: None)

    @classmethod
    def at(cls, location: str, media_type: str, length: int | None, span: ByteSpan | None = None) -> Self:
        """Return content that somebody else gets from Orthanc."""
        return cls((), media_type, length, lambda: None, span, location)


def open_file(client: OrthancClient, orthanc_id: str, span: ByteSpan | None = None) -> Content:
    """Open the stored DICOM file (PS3.10) of an instance, or a part of it. Raises NotFound or ArchiveError."""
    if span is None:
        body = client.open(endpoints.INSTANCE_FILE, id=orthanc_id)
        return Content(body, DICOM, body.length, body.close)
    wanted = f"bytes={span.first}-{span.last}"
    body = client.open(endpoints.INSTANCE_FILE_DATA, byte_range=wanted, id=orthanc_id)
    is_whole = not body.content_range
    expected = ("", span.total) if is_whole else (f"bytes {span.first}-{span.last}/{span.total}", span.length)
    if (body.content_range, body.length) != expected:
        # such as another file, which has replaced it
        body.close()
        raise ArchiveProtocolError
    # Orthanc before 1.12.5 ignores ranges
    chunks = _part(body, span) if is_whole else body
    return Content(chunks, DICOM, span.length, body.close, span)


def locate_file(client: OrthancClient, orthanc_id: str, size: int, span: ByteSpan | None = None) -> Content | None:
    """Return where Orthanc has a file of `size` bytes; None for a part of it before 1.12.5, which sends no ranges."""
    if span and not client.capabilities().is_since(1, 12, 5):
        return None
    location = endpoints.INSTANCE_FILE_DATA.path(id=orthanc_id)
    return Content.at(location, DICOM, span.length if span else size, span)


def locate_zip(level: Level, orthanc_id: str) -> Content:
    """Return where Orthanc creates a ZIP of all files below a resource."""
    return Content.at(endpoints.LEVEL_ARCHIVE.path(level=level.path, id=orthanc_id), ZIP, None)


def open_zip(client: OrthancClient, level: Level, orthanc_id: str, transfer_syntax: str | None = None) -> Content:
    """Open a ZIP of all files below a resource, which Orthanc creates while it is read.

    Before 1.12.2 it converts the files to `transfer_syntax` if it can; newer ones leave out those that they cannot.
    """
    query = f"transcode={transfer_syntax}" if transfer_syntax else ""
    body = client.open(endpoints.LEVEL_ARCHIVE, query=query, level=level.path, id=orthanc_id)
    return Content(_complete_zip(body), ZIP, body.length, body.close)


def store(client: OrthancClient, file: RequestBody) -> StoreResult:
    """Store a DICOM file; a file that is already stored is left as it is. Raises ArchiveError."""
    try:
        stored: StoreResult = client.call(endpoints.STORE, content=file, decoder=STORE_DECODER)
    except (NotFound, NotRenderable) as error:
        # Orthanc answers 404 for a file without one of the UIDs, and a proxy before it may answer 415
        raise ArchiveRejected("Orthanc rejected the file.") from error
    if stored.status not in ("Success", "AlreadyStored"):
        raise ArchiveRejected(f"Orthanc did not store the file: {stored.status}.")
    if not (stored.instance_id and stored.series_id and stored.study_id):
        raise ArchiveProtocolError
    return stored


def exists(client: OrthancClient, level: Level, orthanc_id: str) -> bool:
    """Whether Orthanc has this resource. Raises ArchiveError."""
    try:
        client.call(endpoints.RESOURCE, decoder=RESOURCE_DECODER, level=level.path, id=orthanc_id)
    except NotFound:
        return False
    return True


def reconstruct(client: OrthancClient, orthanc_id: str) -> None:
    """Read the main tags of an instance, its series, study and patient from its file. Raises NotFound, ArchiveError."""
    with closing(client.open(endpoints.RECONSTRUCT, body={}, id=orthanc_id)) as body:
        for _ in body:
            pass


def delete(
    client: OrthancClient, level: Level, orthanc_id: str, instances: int | None = None
) -> tuple[Level, str] | None:
    """Delete a resource, its children, and the parents that become empty.

    Return the nearest remaining parent, by level and Orthanc id. If it has many `instances`, they are deleted in parts
    first, so that others are answered meanwhile. Raises NotFound or ArchiveError.
    """
    if instances is not None and instances > INSTANCES_PER_DELETION:
        below = [one.orthanc_id for one in instances_below(client, level, [orthanc_id])]
        for part in parts(below[INSTANCES_PER_DELETION:]):
            delete_instances(client, part)
    result = client.call(endpoints.DELETE, decoder=DELETE_DECODER, level=level.path, id=orthanc_id)
    remaining = result.remaining_ancestor
    return None if remaining is None else (Level(remaining.type), remaining.id)


def delete_instances(client: OrthancClient, ids: Sequence[str]) -> None:
    """Delete those of these instances that there are, and the parents that become empty. Raises ArchiveError.

    Orthanc answers others only after each of them: see `parts`.
    """
    with closing(client.open(endpoints.BULK_DELETE, body={"Resources": list(ids)})) as body:
        for _ in body:
            pass


def parts(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield instances as many at once as are to be deleted at once."""
    for start in range(0, len(ids), INSTANCES_PER_DELETION):
        yield ids[start : start + INSTANCES_PER_DELETION]


def instances_below(
    client: OrthancClient, level: Level, orthanc_ids: Sequence[str], needs: Needs = _NOTHING
) -> list[Resource]:
    """Return all instances of these resources of a level, in the order of their Orthanc ids.

    Raises NotFound if one of the resources is gone, and ArchiveError.
    """
    levels = (level, *level.below)[:-1]
    plan = LevelPlan(level=Level.INSTANCE, needs=needs)
    for above in reversed(levels):
        plan = LevelPlan(level=above, related={plan.level.path: plan})
    found: Sequence[Resource] = Hierarchy(client).by_ids(plan, orthanc_ids, as_stored=True)
    if len(found) != len(orthanc_ids):
        raise NotFound("Orthanc has no such resource.")
    for above in levels:
        found = [child for one in found for child in one.related[above.child.path]]
    return sorted(found, key=attrgetter("orthanc_id"))


def _part(body: ResponseBody, span: ByteSpan) -> Iterator[bytes]:
    """Yield a part of a whole file, and abort the transfer after it."""
    start, end = span.first, span.last + 1  # from the beginning of the next chunk
    for chunk in body:
        if part := chunk[max(0, start) : end]:
            yield part
        start, end = start - len(chunk), end - len(chunk)
        if end <= 0:
            body.close()
            return


def _complete_zip(body: ResponseBody) -> Iterator[bytes]:
    """Pass a ZIP through. Raises ArchiveUnavailable if it is truncated: Orthanc sends it without a length."""
    end = b""
    for chunk in body:
        end = (end + chunk)[-(_END_OF_ZIP_BYTES + _MAX_ZIP_COMMENT_BYTES) :]
        yield chunk
    _, found, tail = end.rpartition(_END_OF_ZIP)
    comment_length = int.from_bytes(tail[16:18], "little")
    if not found or len(found) + len(tail) != _END_OF_ZIP_BYTES + comment_length:
        raise ArchiveUnavailable("Orthanc closed the connection while sending the files.")
