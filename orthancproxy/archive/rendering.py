"""Renders frames of an instance: with Orthanc, which is given the window (`archive.windows`)."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from math import ceil, isinf
from threading import BoundedSemaphore

from orthancproxy.archive import frame_values, parsing, pictures
from orthancproxy.archive.frame_values import ScaledFrame
from orthancproxy.archive.pictures import MediaType as MediaType
from orthancproxy.archive.plan import Needs
from orthancproxy.archive.records import Instance
from orthancproxy.archive.renderability import MAX_PIXELS, crashes
from orthancproxy.archive.storage import Content
from orthancproxy.archive.windows import FrameWindow, Window, frame_window
from orthancproxy.errors import ArchiveRejected, InvalidRequest, NotRenderable
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient

MAX_ENLARGED_PIXELS = 2**24
"""Of a picture that is larger than its frame."""

# a frame of MAX_PIXELS in colour takes 120 MB
_EDITING = BoundedSemaphore(2)

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
class Region:
    """A part of a frame by its top left corner and size, in pixels, or in parts of the frame if `is_relative`.

    Without a width or height, it extends to the edge. Below 0, these flip it (PS3.18 section 8.3.5.1.3).
    """

    left: float = 0.0
    top: float = 0.0
    width: float | None = None
    height: float | None = None
    is_relative: bool = False

    def box(self, rows: int, columns: int) -> tuple[float, float, float, float]:
        """Return left, top, right and bottom in pixels of a frame. Raises InvalidRequest if it extends beyond it."""
        across, down = (columns, rows) if self.is_relative else (1, 1)
        left, top = self.left * across, self.top * down
        right = columns if self.width is None else left + abs(self.width) * across
        bottom = rows if self.height is None else top + abs(self.height) * down
        if self.is_relative:
            # what rounding adds
            right, bottom = min(right, columns), min(bottom, rows)
        if not (0 <= left < right <= columns and 0 <= top < bottom <= rows):
            raise InvalidRequest(f"The region is not within the image of {columns} × {rows} pixels.")
        return left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Rendering:
    """The frame (from 0) and the format; a window instead of the file's; a size in pixels to scale to.

    Pictures keep their aspect ratio, and are smaller than the frame or region unless `is_enlarged`.
    """

    frame: int
    media_type: MediaType
    window: Window | None = None
    width: int | None = None
    height: int | None = None
    quality: int | None = None  # of JPEG, 1 to 100
    is_sigmoid: bool = False  # the function of the window (PS3.3 section C.11.2.1.3.1)
    region: Region | None = None
    is_enlarged: bool = False


def render(client: OrthancClient, instance: Instance, rendering: Rendering) -> Content:
    """Return the encoded picture of a frame.

    Raises InvalidRequest for a region beyond it or too large a size; NotRenderable, NotFound or ArchiveError.
    """
    rows, columns = instance.rows or 0, instance.columns or 0
    if rows * columns > MAX_PIXELS:
        raise NotRenderable(f"The image is larger than {MAX_PIXELS} pixels.")
    if crashes(parsing.integer(instance.tags.get("BitsStored")) or 0, client.capabilities()):
        raise NotRenderable("Orthanc cannot render more than 16 bits with its GDCM plugin.")
    if not rows * columns:
        raise NotRenderable("The instance has no pixels.")
    region = rendering.region or Region()
    box = region.box(rows, columns)
    size = _scaled_size(rendering, box)
    try:
        if rendering.region or rendering.is_sigmoid or size[0] > columns or size[1] > rows:
            whole = replace(rendering, media_type="image/png", width=None, height=None)
            flips = (region.width or 0) < 0, (region.height or 0) < 0
            return _edited(_rendered(client, instance, whole), rendering, box, size, *flips)
        picture = _rendered(client, instance, rendering)
    except ArchiveRejected as error:
        # Orthanc answers 500 for some of the pixel data that it cannot decode
        raise NotRenderable("Orthanc cannot render this instance.") from error
    return picture if picture.media_type == rendering.media_type else _edited(picture, rendering)


def _edited(
    picture: Content,
    rendering: Rendering,
    box: tuple[float, float, float, float] | None = None,
    size: tuple[int, int] | None = None,
    is_mirrored: bool = False,
    is_upside_down: bool = False,
) -> Content:
    with _EDITING, closing(picture):
        edited = pictures.edit(
            b"".join(picture),
            rendering.media_type,
            box=box,
            size=size,
            is_mirrored=is_mirrored,
            is_upside_down=is_upside_down,
            quality=rendering.quality,
        )
    return Content.of(edited, rendering.media_type)


def _scaled_size(rendering: Rendering, box: tuple[float, float, float, float]) -> tuple[int, int]:
    """Return the width and height of the picture of a region. Raises InvalidRequest."""
    width, height = box[2] - box[0], box[3] - box[1]
    ratios = [
        wanted / own for wanted, own in ((rendering.width, width), (rendering.height, height)) if wanted is not None
    ]
    ratio = min(ratios, default=1.0)
    if isinf(ratio):
        raise InvalidRequest("The region is too small.")
    if not rendering.is_enlarged:
        ratio = min(ratio, 1.0)
    size = max(round(width * ratio), 1), max(round(height * ratio), 1)
    if ratio > 1.0 and size[0] * size[1] > MAX_ENLARGED_PIXELS:
        raise InvalidRequest(f"Choose a smaller viewport: the image would have more than {MAX_ENLARGED_PIXELS} pixels.")
    return size


def _rendered(client: OrthancClient, instance: Instance, rendering: Rendering) -> Content:
    """Return the picture of a whole frame at most at full size: a PNG where it is not of Orthanc."""
    is_inverted = instance.tags.get("PhotometricInterpretation") == "MONOCHROME1"
    rows, columns = instance.rows or 0, instance.columns or 0
    options = _size(rendering, rows, columns)
    window, scaled = _window_and_values(client, instance, rendering, options)
    if window and scaled:
        return Content.of(scaled.png(*window.greys(is_inverted=is_inverted)), "image/png")
    if window and (window.is_too_narrow or rendering.is_sigmoid):
        if frame_values.is_stored(instance):
            grey = window.grey(is_inverted=is_inverted, is_sigmoid=rendering.is_sigmoid)
            step = _step(options, rows, columns)
            return Content.of(frame_values.png(client, instance, rendering.frame, grey, step), "image/png")
        if rendering.is_sigmoid:
            raise InvalidRequest("A sigmoid window is supported for values of at most 16 bits.")
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
