"""Renders frames of an instance with Orthanc.

Orthanc's `rendered` applies the window of the file (PS3.3 section C.11.2.1.2). If there is none it uses 0 to 256, which
turns most CT and MR images black: the gateway then sets the window to the range of the frame's values.
"""

import sys
from array import array
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from orthancproxy.archive import parsing
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Instance
from orthancproxy.errors import ArchiveProtocolError
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient

MediaType = Literal["image/png", "image/jpeg"]

NEEDS = Needs(
    frozenset(
        [
            "Rows",
            "Columns",
            "PhotometricInterpretation",
            "BitsStored",
            "PixelRepresentation",
            "WindowCenter",
            "WindowWidth",
            "RescaleSlope",
            "RescaleIntercept",
        ]
    )
)
"""The data that an instance must hold for rendering."""

_PAM = "image/x-portable-arbitrarymap"
_PAM_HEADER_END = b"ENDHDR\n"


@dataclass(frozen=True, slots=True)
class Rendering:
    """The frame (from 0), the format and, to scale down, the longest side in pixels."""

    frame: int
    media_type: MediaType
    longest_side: int | None = None


def render(client: OrthancClient, instance: Instance, rendering: Rendering) -> bytes:
    """Return the encoded picture of a frame. Raises NotRenderable, NotFound or ArchiveError."""
    options = [*_window(client, instance, rendering.frame), *_size(instance, rendering.longest_side)]
    body = client.open(
        endpoints.FRAME_RENDERED,
        query="&".join(options),
        accept=rendering.media_type,
        id=instance.orthanc_id,
        frame=rendering.frame,
    )
    with closing(body):
        return b"".join(body)


def _size(instance: Instance, longest_side: int | None) -> list[str]:
    """Options that scale down, never up; Orthanc keeps the aspect ratio."""
    if longest_side is None or max(instance.rows or 0, instance.columns or 0) <= longest_side:
        return []
    return [f"width={longest_side}", f"height={longest_side}", "smooth=1"]


def _window(client: OrthancClient, instance: Instance, frame: int) -> list[str]:
    """Options for a greyscale image of more than 8 bits without a window: the range of its values."""
    tags = instance.tags
    has_window = bool(parsing.text(tags.get("WindowCenter")) and parsing.text(tags.get("WindowWidth")))
    is_greyscale = tags.get("PhotometricInterpretation", "").startswith("MONOCHROME")
    if has_window or not is_greyscale or (parsing.integer(tags.get("BitsStored")) or 0) <= 8:
        return []
    low, high = _extremes(client, instance, frame)
    slope = parsing.decimal(tags.get("RescaleSlope"))
    scale = 1.0 if slope is None else slope
    centre = (low + high) / 2 * scale + (parsing.decimal(tags.get("RescaleIntercept")) or 0.0)
    width = max((high - low) * abs(scale), 1.0)
    return [f"window-center={centre}", f"window-width={width}"]


def _extremes(client: OrthancClient, instance: Instance, frame: int) -> tuple[int, int]:
    """The lowest and the highest stored value of a frame."""
    signed = instance.tags.get("PixelRepresentation") == "1"
    endpoint = endpoints.FRAME_INT16 if signed else endpoints.FRAME_UINT16
    low, high = 0xFFFF, -0x8000
    with closing(client.open(endpoint, accept=_PAM, id=instance.orthanc_id, frame=frame)) as body:
        for samples in _samples(body, "h" if signed else "H"):
            low, high = min(low, min(samples)), max(high, max(samples))
    if low > high:
        raise ArchiveProtocolError("Orthanc returned an image without pixels.")
    return low, high


def _samples(body: Iterator[bytes], kind: Literal["h", "H"]) -> Iterator["array[int]"]:
    """The 16-bit big-endian samples of a portable arbitrary map."""
    _, found, data = next(body, b"").partition(_PAM_HEADER_END)
    if not found:
        raise ArchiveProtocolError("Orthanc returned no portable arbitrary map.")
    while data:
        even = len(data) // 2 * 2
        samples = array(kind, data[:even])
        if sys.byteorder == "little":
            samples.byteswap()
        yield samples
        data = data[even:] + chunk if (chunk := next(body, b"")) else b""
