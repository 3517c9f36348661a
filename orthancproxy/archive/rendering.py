"""Renders frames of an instance: with Orthanc, which is given the window (`archive.windows`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

from orthancproxy.archive import frame_values, parsing
from orthancproxy.archive.frame_values import ScaledFrame
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Instance
from orthancproxy.archive.renderability import MAX_PIXELS, crashes
from orthancproxy.archive.storage import Content
from orthancproxy.archive.windows import FrameWindow, Window, frame_window
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
    is_inverted = instance.tags.get("PhotometricInterpretation") == "MONOCHROME1"
    if rows * columns > MAX_PIXELS:
        raise NotRenderable(f"The image is larger than {MAX_PIXELS} pixels.")
    if crashes(parsing.integer(instance.tags.get("BitsStored")) or 0, client.capabilities()):
        raise NotRenderable("Orthanc cannot render more than 16 bits with its GDCM plugin.")
    try:
        options = _size(rendering, rows, columns)
        window, scaled = _window_and_values(client, instance, rendering, options)
        if window and scaled:
            return Content.of(scaled.png(*window.greys(is_inverted=is_inverted)), "image/png")
        if window and window.is_too_narrow and frame_values.is_stored(instance):
            low, high = window.greys(is_inverted=is_inverted)
            step = _step(options, rows, columns)
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


def _window_and_values(
    client: OrthancClient, instance: Instance, rendering: Rendering, box: Mapping[str, int]
) -> tuple[FrameWindow | None, ScaledFrame | None]:
    """Return the window of a frame, and its scaled values if they were read for it: rendering them saves a call."""
    scaled: ScaledFrame | None = None

    def extremes() -> tuple[float, float]:
        nonlocal scaled
        if not box or rendering.media_type != "image/png":
            return frame_values.read_extremes(client, instance, rendering.frame)
        size = _fitted(box, instance.rows or 0, instance.columns or 0)
        scaled = frame_values.read_scaled(client, instance, rendering.frame, *size)
        return scaled.low, scaled.high

    window = frame_window(client, instance, rendering.frame, rendering.window, extremes)
    return window, scaled


def _fitted(box: Mapping[str, int], rows: int, columns: int) -> tuple[int, int]:
    """The width and height within the box, as Orthanc computes them."""
    ratio = min(box.get("width", columns) / columns, box.get("height", rows) / rows)
    return max(round(columns * ratio), 1), max(round(rows * ratio), 1)


def _step(box: Mapping[str, int], rows: int, columns: int) -> int:
    """Every how many rows and columns make an image that fits into the box."""
    return ceil(max(rows / box.get("height", rows), columns / box.get("width", columns))) if box else 1


def _size(rendering: Rendering, rows: int, columns: int) -> dict[str, int]:
    """The box to scale down to, never up; Orthanc keeps the aspect ratio."""
    box = {"width": (rendering.width, columns), "height": (rendering.height, rows)}
    if all(wanted is None or wanted >= own for wanted, own in box.values()):
        return {}
    return {name: min(wanted, own) for name, (wanted, own) in box.items() if wanted}
