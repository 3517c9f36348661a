"""Whether Orthanc can render an instance, as its attributes tell (1.10.1 to 1.13.0, without plugins)."""

from collections.abc import Mapping

from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from orthancproxy.archive import parsing

MAX_PIXELS = 40_000_000
"""Of a frame. A mammogram has up to 28 million; an RLE file of 1 MB with 64 million took 610 MB of Orthanc's memory."""

TAGS = frozenset({"Rows", "Columns", "PhotometricInterpretation", "BitsAllocated"})
"""The tags that tell."""

_DECODED = frozenset(
    {
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEGLSNearLossless,
        RLELossless,
    }
)


def is_renderable(tags: Mapping[str, str], transfer_syntax: str | None) -> bool:
    """Return whether these are the attributes of an image that Orthanc decodes, of at most MAX_PIXELS."""
    pixels = (parsing.integer(tags.get("Rows")) or 0) * (parsing.integer(tags.get("Columns")) or 0)
    # 32 bits are decoded from RLE only
    bits = 32 if transfer_syntax == RLELossless else 16
    return (
        0 < pixels <= MAX_PIXELS
        and bool(parsing.text(tags.get("PhotometricInterpretation")))
        and 0 < (parsing.integer(tags.get("BitsAllocated")) or 0) <= bits
        and transfer_syntax in _DECODED
    )
