"""Reads the values of a frame, and renders them where Orthanc cannot, or not at once: in windows narrower than 1 or of
a sigmoid function, and scaled down to the range of the values, which are read anyway.
"""

import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Literal

from orthancproxy.archive import parsing
from orthancproxy.archive.records import Instance
from orthancproxy.errors import ArchiveProtocolError, NotRenderable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient

MAX_STORED_BITS = 16
"""Values of at most so many bits are read as they are stored; larger ones as Orthanc rescales them."""

MAX_ROWS_AVERAGED = 4
"""For a row of a scaled frame. It takes 20 ms for 512 × 512 values, of which finding the extremes takes 7."""

_PAM = "image/x-portable-arbitrarymap"
_PAM_HEADER_END = b"ENDHDR\n"
_NPY_HEADER_END = b"\n"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

Kind = Literal["h", "H", "f"]


def is_stored(instance: Instance) -> bool:
    """Whether the values are read as they are stored."""
    return (parsing.integer(instance.tags.get("BitsStored")) or 0) <= MAX_STORED_BITS


@dataclass(frozen=True, slots=True)
class ScaledFrame:
    """The averages of the values of a frame in a grid of rows and columns, and its lowest and highest value."""

    rows: Sequence[Sequence[float]]
    low: float
    high: float

    def png(self, low: float, high: float) -> bytes:
        """Render the averages from `low` (black) to `high` (white), which is below `low` for an inverted frame."""
        scale = 255 / (high - low)
        return _png([bytes(min(max(round((value - low) * scale), 0), 255) for value in row) for row in self.rows])


def read_scaled(client: OrthancClient, instance: Instance, frame: int, width: int, height: int) -> ScaledFrame:
    """Return a frame scaled down to a width and height in pixels. Raises NotRenderable if it has no pixels."""
    columns, rows = instance.columns or 0, instance.rows or 0
    low, high = float("inf"), -float("inf")
    edges = list(pairwise(number * columns // width for number in range(width + 1)))
    sums = [[0.0] * width for _ in range(height)]
    numbers = [0] * height
    step = max(rows // (height * MAX_ROWS_AVERAGED), 1)
    y = 0
    rest = array("f")
    for values in _read(client, instance, frame):
        low, high = min(low, min(values)), max(high, max(values))
        rest = rest + values if rest else values
        whole = len(rest) // columns
        for start in range(0, whole * columns, columns):
            if y % step == 0 and y < rows:
                band = y * height // rows
                totals = list(accumulate(rest[start : start + columns], initial=0.0))
                sums[band] = [
                    known + totals[end] - totals[begin] for known, (begin, end) in zip(sums[band], edges, strict=True)
                ]
                numbers[band] += 1
            y += 1
        rest = rest[whole * columns :]
    if low > high or not all(numbers):
        raise NotRenderable("The frame has no pixels.")
    widths = [end - begin for begin, end in edges]
    averages = [
        [total / (number * wide) for total, wide in zip(row, widths, strict=True)]
        for row, number in zip(sums, numbers, strict=True)
    ]
    return ScaledFrame(averages, low, high)


def read_extremes(client: OrthancClient, instance: Instance, frame: int) -> tuple[float, float]:
    """Return the lowest and the highest value. Raises NotRenderable if there is none."""
    low, high = float("inf"), -float("inf")
    for values in _read(client, instance, frame):
        low, high = min(low, min(values)), max(high, max(values))
    if low > high:
        raise NotRenderable("The frame has no pixels.")
    return low, high


def png(client: OrthancClient, instance: Instance, frame: int, grey: Callable[[int], float], step: int) -> bytes:
    """Render every `step`th row and column as a PNG. `grey` is of a stored value: from 0 (black) to 255."""
    is_signed = _is_signed(instance)
    # each value is looked up by its 16 bits
    greys = bytes(
        min(max(round(grey(bits - 65536 if is_signed and bits > 32767 else bits)), 0), 255) for bits in range(65536)
    )
    columns = instance.columns or 0
    samples = array("H")
    for values in _read(client, instance, frame):
        samples.frombytes(values.tobytes())
    if not columns or not samples:
        raise NotRenderable("The frame has no pixels.")
    rows = [
        bytes(map(greys.__getitem__, samples[start : start + columns : step]))
        for start in range(0, len(samples) // columns * columns, columns * step)
    ]
    return _png(rows)


def _png(rows: Sequence[bytes]) -> bytes:
    """Return an image of 8-bit greys."""
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    return _PNG_SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _is_signed(instance: Instance) -> bool:
    return instance.tags.get("PixelRepresentation") == "1"


def _read(client: OrthancClient, instance: Instance, frame: int) -> Iterator["array[Any]"]:
    kind: Kind = "f" if not is_stored(instance) else "h" if _is_signed(instance) else "H"
    endpoint = {"f": endpoints.FRAME_NUMPY, "h": endpoints.FRAME_INT16, "H": endpoints.FRAME_UINT16}[kind]
    accept = "*/*" if kind == "f" else _PAM
    with closing(client.open(endpoint, accept=accept, id=instance.orthanc_id, frame=frame)) as body:
        yield from _values(body, kind)


def _values(body: Iterator[bytes], kind: Kind) -> Iterator["array[Any]"]:
    """The samples of a portable arbitrary map (16 bits, big-endian) or of a numpy array (floats, little-endian)."""
    _, found, data = next(body, b"").partition(_NPY_HEADER_END if kind == "f" else _PAM_HEADER_END)
    if not found:
        raise ArchiveProtocolError("Orthanc returned no image.")
    is_swapped = (sys.byteorder == "little") != (kind == "f")
    size = array(kind).itemsize
    while data:
        whole = len(data) // size * size
        samples = array(kind, data[:whole])
        if is_swapped:
            samples.byteswap()
        if samples:
            yield samples
        data = data[whole:] + chunk if (chunk := next(body, b"")) else b""
