"""Renders frames of an instance: with Orthanc, which is given the window (`archive.windows`)."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from orthancproxy.archive import frame_values, parsing
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Instance
from orthancproxy.archive.renderability import MAX_PIXELS, crashes
from orthancproxy.archive.storage import Content
from orthancproxy.archive.windows import Window, frame_window
from orthancproxy.errors import ArchiveRejected, NotRenderable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient

MediaType = Literal["image/png", "image/jpeg"]

NEEDS = Needs(
    frozenset(
        [
            "Rows",
            "Columns",
            "NumberOfFrames",
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


@dataclass(frozen=True, slots=True)
class Rendering:
    """The frame (from 0) and the format; a window instead of the file's; a size in pixels to scale down to."""

    frame: int
    media_type: MediaType
    window: Window | None = None
    width: int | None = None
    height: int | None = None
    quality: int | None = None  # of JPEG, 1 to 100


def render(client: OrthancClient, instance: Instance, rendering: Rendering) -> Content:
    """Return the encoded picture of a frame: a PNG, whatever is asked for, where the window is narrower than 1.

    Raises NotRenderable, NotFound or ArchiveError.
    """
    rows, columns = instance.rows or 0, instance.columns or 0
    if rows * columns > MAX_PIXELS:
        raise NotRenderable(f"The image is larger than {MAX_PIXELS} pixels.")
    if crashes(parsing.integer(instance.tags.get("BitsStored")) or 0, client.capabilities()):
        raise NotRenderable("Orthanc cannot render more than 16 bits with its GDCM plugin.")
    try:
        window = frame_window(client, instance, rendering.frame, rendering.window)
        options = _size(rendering, rows, columns)
        if window and window.is_too_narrow and frame_values.is_stored(instance):
            low, high = window.greys(is_inverted=instance.tags.get("PhotometricInterpretation") == "MONOCHROME1")
            factors = [rows / options["height"]] if "height" in options else []
            factors += [columns / options["width"]] if "width" in options else []
            step = ceil(max(factors, default=1))
            return Content.of(frame_values.png(client, instance, rendering.frame, low, high, step), "image/png")
        query = [f"{name}={value}" for name, value in options.items()]
        if window:
            query += [f"window-center={window.orthanc.center}", f"window-width={window.orthanc.width}"]
        if options:
            query.append("smooth=1")
        if rendering.quality and rendering.media_type == "image/jpeg":
            query.append(f"quality={rendering.quality}")
        body = client.open(
            endpoints.FRAME_RENDERED,
            query="&".join(query),
            accept=rendering.media_type,
            id=instance.orthanc_id,
            frame=rendering.frame,
        )
    except ArchiveRejected as error:
        # Orthanc answers 500 for some of the pixel data that it cannot decode
        raise NotRenderable("Orthanc cannot render this instance.") from error
    return Content(body, rendering.media_type, body.length, body.close)


def _size(rendering: Rendering, rows: int, columns: int) -> dict[str, int]:
    """The box to scale down to, never up; Orthanc keeps the aspect ratio."""
    box = {"width": (rendering.width, columns), "height": (rendering.height, rows)}
    if all(wanted is None or wanted >= own for wanted, own in box.values()):
        return {}
    return {name: min(wanted, own) for name, (wanted, own) in box.items() if wanted}
