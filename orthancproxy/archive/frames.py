"""Frames of an instance, as stored or decoded."""

import threading
from collections.abc import Iterator, Mapping

from orthancproxy.archive.pixel_data import EXPLICIT_LITTLE, IMPLICIT_LITTLE, PixelData, PixelDataSearch
from orthancproxy.archive.storage import Content
from orthancproxy.errors import ArchiveProtocolError, NotFound, NotRenderable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.response_body import ResponseBody

# PS3.18 table 8.7.3-2; the second name is of its editions before 2022
IMAGE_TYPES: Mapping[str, tuple[str, ...]] = {
    **{f"1.2.840.10008.1.2.4.{number}": ("image/jpeg",) for number in (50, 51, 57, 70)},
    **{f"1.2.840.10008.1.2.4.{number}": ("image/jls", "image/x-jls") for number in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{number}": ("image/jp2",) for number in (90, 91)},
    **{f"1.2.840.10008.1.2.4.{number}": ("image/jpx",) for number in (92, 93)},
    **{f"1.2.840.10008.1.2.4.{number}": ("image/jxl",) for number in (110, 111, 112)},
    **{f"1.2.840.10008.1.2.4.{number}": ("image/jphc",) for number in (201, 202, 203)},
    "1.2.840.10008.1.2.5": ("image/dicom-rle", "image/x-dicom-rle"),
}
"""The media types of frames by the transfer syntax that they are compressed in."""

NATIVE = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"})
"""The transfer syntaxes that do not compress frames. Orthanc sends the frames of each in little endian."""

PIXEL_DATA = "7fe0-0010"

MAX_HEAD_BYTES = 64 * 1024**2  # before the pixel data


def open_stored_frame(client: OrthancClient, orthanc_id: str, number: int, media_type: str) -> Content:
    """Open a frame (from 1) as it is stored, in little endian if it is not compressed. Raises NotFound."""
    body = client.open(endpoints.FRAME_RAW, id=orthanc_id, frame=number - 1)
    return Content(body, media_type, body.length, body.close)


def open_value(client: OrthancClient, orthanc_id: str, tags: str, media_type: str) -> Content:
    """Open a binary value, in little endian, by the path of its tag for Orthanc. Raises NotFound."""
    try:
        if tags == PIXEL_DATA:
            body = client.open(endpoints.NATIVE_PIXEL_DATA, id=orthanc_id)
        else:
            body = client.open(endpoints.INSTANCE_VALUE, id=orthanc_id, tags=tags)
    except NotFound as error:
        raise NotFound("This instance has no such value.") from error
    if body.media_type == "application/json":
        body.close()
        # the indexes of items of a sequence
        raise NotFound("This attribute is not binary.")
    return Content(body, media_type, body.length, body.close)


class DecodedFrames:
    """Frames that Orthanc decodes (1.12.2). It decodes all at once; those that ascend are taken from one response.

    One thread opens a frame and reads it to its end, before one opens the next. Any thread may close.
    """

    def __init__(self, client: OrthancClient, orthanc_id: str, media_type: str) -> None:
        self._client = client
        self._orthanc_id = orthanc_id
        self._media_type = media_type
        self._lock = threading.Lock()
        self._body: ResponseBody | None = None
        self._is_closed = False
        self._rest = b""  # received, and not taken yet
        self._offset = 0  # of the rest, in the pixel data
        self._pixels = PixelData(0, None, {})

    def open(self, number: int) -> Content:
        """Open a frame (from 1). Raises NotRenderable if Orthanc cannot decode it, NotFound or ArchiveError."""
        offset = (number - 1) * self._pixels.frame_bytes
        if self._body is None or self._offset > offset:
            self._decode()
            offset = (number - 1) * self._pixels.frame_bytes
        size = self._pixels.frame_bytes
        if not size or offset + size > (self._pixels.length or 0):
            raise NotFound(f"There is no frame {number}.")
        for _ in self._take(offset - self._offset):
            pass
        return Content(self._take(size), self._media_type, size, lambda: None)

    def close(self) -> None:
        """Abort what is being read."""
        with self._lock:
            self._is_closed = True
            body = self._body
        if body:
            body.close()

    def _decode(self) -> None:
        if self._body:
            self._body.close()
        body = self._client.open(endpoints.INSTANCE_FILE, query=f"transcode={EXPLICIT_LITTLE}", id=self._orthanc_id)
        with self._lock:
            self._body = body
            is_closed = self._is_closed
        if is_closed:
            body.close()
        search, found, size = PixelDataSearch(), None, 0
        while found is None and size < MAX_HEAD_BYTES and (chunk := next(body, b"")):
            found = search.feed(chunk)
            size += len(chunk)
        if found is None or found.length is None or found.transfer_syntax != EXPLICIT_LITTLE:
            body.close()
            raise NotRenderable("Orthanc cannot decode the frames of this instance.")
        self._pixels, self._rest, self._offset = found, bytes(search.rest), 0

    def _take(self, size: int) -> Iterator[bytes]:
        """Yield the next bytes of the pixel data."""
        while size:
            if not self._rest:
                self._rest = next(self._body, b"") if self._body else b""
                if not self._rest:
                    raise ArchiveProtocolError
            taken, self._rest = self._rest[:size], self._rest[size:]
            size -= len(taken)
            self._offset += len(taken)
            yield taken
