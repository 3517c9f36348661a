"""Whether Orthanc can render an instance, as its attributes tell.

Measured with Orthanc 1.10.1, 1.12.7 and 1.13.0, and its GDCM plugin 1.5 and 1.8.
"""

from collections.abc import Mapping

from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from orthancproxy.archive import parsing
from orthancproxy.archive.plan import Fact, Needs
from orthancproxy.orthanc.capabilities import Capabilities

MAX_PIXELS = 40_000_000
"""Of a frame. A mammogram has up to 28 million; an RLE file of 1 MB with 64 million took 610 MB of Orthanc's memory."""

NEEDS = Needs(
    frozenset({"Rows", "Columns", "PhotometricInterpretation", "BitsAllocated", "PlanarConfiguration"}),
    frozenset({Fact.METADATA}),
)
"""The data that tell."""

UNCOMPRESSED = frozenset(
    {DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian}
)
JPEG = frozenset(
    {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless}
)
JPEG_2000 = frozenset({JPEG2000, JPEG2000Lossless})
_DECODED = UNCOMPRESSED | JPEG | {RLELossless}


def is_renderable(tags: Mapping[str, str], transfer_syntax: str | None, orthanc: Capabilities) -> bool:
    """Return whether these are the attributes of an image that Orthanc decodes, of at most MAX_PIXELS.

    Raises ArchiveError if Orthanc's plugins matter and cannot be listed.
    """
    pixels = (parsing.integer(tags.get("Rows")) or 0) * (parsing.integer(tags.get("Columns")) or 0)
    bits = parsing.integer(tags.get("BitsAllocated")) or 0
    if not (0 < pixels <= MAX_PIXELS and bits > 0):
        return False
    if transfer_syntax in JPEG_2000:
        if not orthanc.plugins.have_gdcm:
            return False
    elif transfer_syntax not in _DECODED:
        return False
    match parsing.text(tags.get("PhotometricInterpretation")):
        case "MONOCHROME1" | "MONOCHROME2":
            return bits <= 16 or (bits <= 32 and transfer_syntax == RLELossless and not crashes(bits, orthanc))
        case "PALETTE COLOR":
            return bits == 8
        case "RGB":
            is_planar = transfer_syntax in UNCOMPRESSED and tags.get("PlanarConfiguration") == "1"
            return bits == 8 or (bits == 16 and not is_planar and orthanc.is_since(1, 12, 7))
        case "YBR_RCT" | "YBR_ICT":
            return bits == 8 and transfer_syntax in JPEG_2000 and orthanc.is_since(1, 13, 0)
        case "YBR_FULL" | "YBR_FULL_422":
            return bits == 8 and transfer_syntax in JPEG | {RLELossless}
        case _:
            return False


def crashes(bits: int, orthanc: Capabilities) -> bool:
    """Return whether Orthanc may crash on values of this size: Debian's GDCM plugin, on a dose of 32 bits."""
    return bits > 16 and orthanc.plugins.have_gdcm
