"""Windows: which values of a frame become black and white (PS3.3 section C.11.2.1.2).

Orthanc's `rendered` applies the window and the rescale of the data set or, if it has none, of the functional groups of
the frame. It ignores those that all frames share, uses 0 to 256 for a file without a window, which turns most CT and MR
images black, and widens windows to 1 (1.10.1, 1.13.0). The gateway therefore gives it the window, in its own values.
"""

from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from math import copysign, exp
from typing import Self

from orthancproxy.archive import parsing
from orthancproxy.archive.frame_values import is_stored
from orthancproxy.archive.records import Instance
from orthancproxy.errors import NotFound
from orthancproxy.orthanc import endpoints
from orthancproxy.orthanc.client import OrthancClient
from orthancproxy.orthanc.response_body import ResponseBody

_VOI_LUT, _WINDOW_CENTER, _WINDOW_WIDTH = "0028-9132", "0028-1050", "0028-1051"
_TRANSFORMATION, _INTERCEPT, _SLOPE = "0028-9145", "0028-1052", "0028-1053"


@dataclass(frozen=True, slots=True)
class Window:
    """A window by centre and width."""

    center: float
    width: float

    def scaled(self, slope: float, intercept: float) -> Self:
        """Return the window in values × slope + intercept."""
        return type(self)(self.center * slope + intercept, self.width * abs(slope))

    @classmethod
    def between(cls, low: float, high: float, slope: float) -> Self:
        """Return the window of a range of values that `slope` rescales. If all are equal they are black."""
        return cls((low + high) / 2, high - low) if high > low else cls(low + copysign(1.0, slope), 1.0)


@dataclass(frozen=True, slots=True)
class FrameWindow:
    """The window of one frame in its stored values, and in those that Orthanc computes from them."""

    stored: Window
    orthanc: Window
    slope: float

    @property
    def is_too_narrow(self) -> bool:
        """Whether Orthanc would widen it."""
        return self.orthanc.width < 1.0

    def greys(self, *, is_inverted: bool) -> tuple[float, float]:
        """Return the stored values that are black and white."""
        low, high = self.stored.center - self.stored.width / 2, self.stored.center + self.stored.width / 2
        return (low, high) if (self.slope < 0) is is_inverted else (high, low)

    def grey(self, *, is_inverted: bool, is_sigmoid: bool) -> Callable[[float], float]:
        """Return the function from stored values to greys: below 0 is black, above 255 white."""
        low, high = self.greys(is_inverted=is_inverted)
        if not is_sigmoid:
            return lambda value: (value - low) * 255 / (high - low)
        center, width = self.stored.center, high - low
        # beyond these it has ended, and overflows
        return lambda value: 255 / (1 + exp(-4 * min(max((value - center) / width, -100.0), 100.0)))


def frame_window(
    client: OrthancClient,
    instance: Instance,
    frame: int,
    wanted: Window | None,
    extremes: Callable[[], tuple[float, float]],
) -> FrameWindow | None:
    """Return the window that is wanted, or that of the file, or the range of the frame's values: its `extremes`.

    None where Orthanc's own is right: for colour, and for 8 bits without a window. Raises ArchiveError.
    """
    tags = instance.tags
    if not tags.get("PhotometricInterpretation", "").startswith("MONOCHROME"):
        return None
    slope, intercept = _first(tags.get("RescaleSlope")), _first(tags.get("RescaleIntercept"))
    window = wanted or _window(_first(tags.get("WindowCenter")), _first(tags.get("WindowWidth")))
    is_applied = True
    if instance.number_of_frames is not None:
        own, shared = _groups(client, instance, frame)
        if slope is None:
            slope, intercept = _pair(own, _TRANSFORMATION, _SLOPE, _INTERCEPT)
        if slope is None:
            slope, intercept = _pair(shared, _TRANSFORMATION, _SLOPE, _INTERCEPT)
            is_applied = False
        for group in (own, shared):
            window = window or _window(*_pair(group, _VOI_LUT, _WINDOW_CENTER, _WINDOW_WIDTH))
    slope, intercept = slope or 1.0, intercept or 0.0
    bits = parsing.integer(tags.get("BitsStored")) or 0
    if window:
        stored = window.scaled(1 / slope, -intercept / slope)
    elif bits <= 8 and slope == 1.0 and not intercept:
        return None
    else:
        low, high = extremes()
        if not is_stored(instance):
            rescaled = Window.between(low, high, 1.0)
            return FrameWindow(rescaled, rescaled, 1.0)
        stored = Window.between(low, high, slope)
    return FrameWindow(stored, stored.scaled(slope, intercept) if is_applied else stored, slope)


def _first(value: str | None) -> float | None:
    """The first value of a DS."""
    return parsing.decimal(value.partition("\\")[0].strip("\0")) if value else None


def _window(center: float | None, width: float | None) -> Window | None:
    return Window(center, width) if center is not None and width is not None and width > 0 else None


_Group = Callable[[str, str], float | None]


def _pair(group: _Group, sequence: str, first: str, second: str) -> tuple[float | None, float | None]:
    """Two attributes of an item; each is a call to Orthanc, and most files have neither."""
    value = group(sequence, first)
    return value, None if value is None else group(sequence, second)


def _groups(client: OrthancClient, instance: Instance, frame: int) -> tuple[_Group, _Group]:
    """The functional groups (PS3.3 section C.7.6.16) of the frame, and those that all frames share."""

    def own(sequence: str, tag: str) -> float | None:
        with suppress(NotFound):
            return _read(client.open(endpoints.FRAME_GROUP, id=found, frame=frame, sequence=sequence, tag=tag))
        return None

    def shared(sequence: str, tag: str) -> float | None:
        with suppress(NotFound):
            return _read(client.open(endpoints.SHARED_GROUP, id=found, sequence=sequence, tag=tag))
        return None

    found = instance.orthanc_id
    return own, shared


def _read(body: ResponseBody) -> float | None:
    with closing(body):
        return _first(b"".join(body).decode("ascii", "replace"))
