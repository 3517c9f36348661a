"""Edits and encodes pictures that Orthanc has rendered: it neither crops nor flips, and scales down only."""

from io import BytesIO
from typing import Literal

from PIL import Image

from orthancproxy.errors import NotRenderable

MediaType = Literal["image/png", "image/jpeg"]

DEFAULT_QUALITY = 90
"""Of JPEG, as Orthanc's."""

_FORMATS: dict[MediaType, str] = {"image/png": "PNG", "image/jpeg": "JPEG"}


def edit(
    png: bytes,
    media_type: MediaType,
    *,
    box: tuple[float, float, float, float] | None = None,
    size: tuple[int, int] | None = None,
    is_mirrored: bool = False,
    is_upside_down: bool = False,
    quality: int | None = None,
) -> bytes:
    """Return the part of a picture within `box` (left, top, right, bottom in pixels), flipped, in this size.

    `quality` is that of a JPEG, 1 to 100. Raises NotRenderable where it has no such size (65,500 pixels a side).
    """
    with Image.open(BytesIO(png), formats=["PNG"]) as opened:
        picture: Image.Image = opened
        if size and (box or size != picture.size):
            picture = picture.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=2.0)
        if is_mirrored:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if is_upside_down:
            picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        file = BytesIO()
        try:
            picture.save(file, _FORMATS[media_type], quality=quality or DEFAULT_QUALITY, compress_level=1)
        except OSError as error:
            raise NotRenderable("The image cannot be encoded in this media type.") from error
    return file.getvalue()
