"""The query parameters of rendered resources (PS3.18 section 8.3.5), as a `Rendering`."""

from collections.abc import Mapping, Sequence

from orthancproxy.archive import parsing
from orthancproxy.archive.pictures import MediaType
from orthancproxy.archive.rendering import Region, Rendering
from orthancproxy.archive.windows import Window
from orthancproxy.errors import InvalidRequest
from orthancproxy.resolvers import images

MAX_SIDE = 65_500
"""Of a viewport, in pixels: no JPEG is larger."""
MAX_VALUE = 2.0**32
"""Of numbers of windows and regions."""
# a window of one value: below its middle is black, above is white
_STEP = 2.0**-10


MEDIA_TYPES: Sequence[MediaType] = ("image/jpeg", "image/png")
"""Of images, the default first."""
RENDERED = ("viewport", "window", "quality", "annotation", "iccprofile")
"""The parameters of rendered resources, in addition to `accept`."""
THUMBNAIL = ("viewport",)


def rendering(query: Mapping[str, str], media_type: MediaType = "image/jpeg") -> Rendering:
    """Return the rendering of a query. Raises InvalidRequest, also for annotations and colour profiles."""
    if "annotation" in query:
        raise InvalidRequest("Annotations are not supported.")
    if query.get("iccprofile", "no") != "no":
        raise InvalidRequest("Images have no colour profile: only iccprofile=no is supported.")
    width, height, region = viewport(query.get("viewport"))
    window, is_sigmoid = window_of(query.get("window"))
    return Rendering(
        0,
        media_type,
        window,
        width,
        height,
        whole("quality", query.get("quality"), 1, 100),
        is_sigmoid,
        region,
        is_enlarged=width is not None,
    )


def thumbnail(query: Mapping[str, str], media_type: MediaType) -> Rendering:
    """Return the rendering of a thumbnail: within its viewport, or else small. Raises InvalidRequest."""
    width, height, region = viewport(query.get("viewport"))
    if region:
        raise InvalidRequest("The viewport of a thumbnail must be vw,vh.")
    if width is None:
        return images.thumbnail(media_type)
    return Rendering(0, media_type, width=width, height=height, is_enlarged=True)


def viewport(text: str | None) -> tuple[int | None, int | None, Region | None]:
    """Parse `width,height[,[x],[y],[width],[height]]`: of the viewport, then of the region of the image."""
    if text is None:
        return None, None, None
    values = text.split(",")
    if not 2 <= len(values) <= 6:
        raise InvalidRequest("The parameter viewport must be vw,vh or vw,vh,sx,sy,sw,sh.")
    width, height = (whole("viewport", value, 1, MAX_SIDE) for value in values[:2])
    x, y, across, down = (
        decimal("viewport", value) if value else None for value in [*values[2:], *[""] * (6 - len(values))]
    )
    if x is y is across is down is None:
        return width, height, None
    if 0 in (across, down):
        raise InvalidRequest("The region of the viewport is empty.")
    return width, height, Region(abs(x or 0.0), abs(y or 0.0), across, down)


def window_of(text: str | None) -> tuple[Window | None, bool]:
    """Parse `center,width,function`: return the window, and whether its function is a sigmoid."""
    if text is None:
        return None, False
    values = text.split(",")
    # the standard spells them in lower case (PS3.18), and in upper case with underscores (PS3.3 section C.11.2.1.3)
    function = values[-1].strip().lower().replace("_", "-")
    if len(values) != 3 or function not in ("linear", "linear-exact", "sigmoid"):
        raise InvalidRequest("The parameter window must be center,width,function: linear, linear-exact or sigmoid.")
    center, width = (decimal("window", value) for value in values[:2])
    return window(center, width, is_exact=function != "linear"), function == "sigmoid"


def window(center: float, width: float, *, is_exact: bool = False) -> Window:
    """Return a window of the function LINEAR, or LINEAR_EXACT (PS3.3 section C.11.2.1.2). Raises InvalidRequest."""
    if is_exact:
        if width < _STEP:
            raise InvalidRequest(f"The width of a window must be at least {_STEP}.")
        return Window(center, width)
    if width < 1:
        raise InvalidRequest("The width of a linear window must be at least 1.")
    return Window(center - 0.5, max(width - 1, _STEP))


def whole(name: str, text: str | None, least: int, most: int) -> int | None:
    """Parse a whole number. Raises InvalidRequest."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and least <= int(text) <= most):
        raise InvalidRequest(f"The parameter {name} must have whole numbers from {least} to {most}.")
    return int(text)


def decimal(name: str, text: str) -> float:
    """Parse a decimal number. Raises InvalidRequest."""
    number = parsing.decimal(text.strip())
    if number is None or abs(number) > MAX_VALUE:
        raise InvalidRequest(f"The parameter {name} must have numbers of at most {MAX_VALUE:.0f}.")
    return number
