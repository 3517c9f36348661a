"""An image in millimetres on which shapes with soft edges are painted over each other."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Pixels: TypeAlias = NDArray[np.floating[Any]]
Point: TypeAlias = tuple[float, float]
Box: TypeAlias = tuple[slice, slice]


class Canvas:
    """A square image around the origin, x to the right and y downwards, both in millimetres.

    On an axial slice these are the patient's left and back (DICOM PS3.3 C.7.6.2.1.1).
    """

    def __init__(self, size: int, width: float, background: float) -> None:
        self.spacing = width / size
        self.axis = ((np.arange(size) - (size - 1) / 2) * self.spacing).astype(np.float32)
        self.pixels: Pixels = np.full((size, size), background, np.float32)

    @property
    def x(self) -> Pixels:
        """The x of each pixel, as a row to broadcast."""
        return self.axis[None, :]

    @property
    def y(self) -> Pixels:
        """The y of each pixel, as a column to broadcast."""
        return self.axis[:, None]

    def paint(self, value: Pixels | float, coverage: Pixels, box: Box = (slice(None), slice(None))) -> None:
        """Blend `value` over the image, with the opacity `coverage` (0 to 1)."""
        self.pixels[box] += (value - self.pixels[box]) * coverage

    def ellipse(
        self, centre: Point, radii: Point, value: float, *, angle: float = 0.0, within: Pixels | None = None
    ) -> None:
        """Paint an ellipse, rotated by `angle` radians and masked by `within`."""
        if min(radii) <= 0:
            return
        box = self._box(centre, centre, max(radii))
        distance = ellipse_distance(self.x[:, box[1]], self.y[box[0]], centre, radii, angle)
        coverage = self.coverage(distance)
        self.paint(value, coverage if within is None else coverage * within[box], box)

    def tube(self, start: Point, end: Point, radius: float, value: float, *, within: Pixels | None = None) -> None:
        """Paint a line of width 2 × `radius` with round ends."""
        if radius <= 0:
            return
        box = self._box(start, end, radius)
        x, y = self.x[:, box[1]], self.y[box[0]]
        along_x, along_y = end[0] - start[0], end[1] - start[1]
        length = max(along_x**2 + along_y**2, 1e-6)
        nearest = np.clip(((x - start[0]) * along_x + (y - start[1]) * along_y) / length, 0, 1)
        distance = np.hypot(x - start[0] - nearest * along_x, y - start[1] - nearest * along_y) - radius
        coverage = self.coverage(distance)
        self.paint(value, coverage if within is None else coverage * within[box], box)

    def coverage(self, distance: Pixels, edge: float = 1.5) -> Pixels:
        """1 inside, 0 outside, and a ramp of `edge` millimetres (at least a pixel) around distance 0."""
        covered: Pixels = np.clip(0.5 - distance / max(edge, self.spacing), 0, 1)
        return covered

    def _box(self, start: Point, end: Point, margin: float) -> Box:
        """The rows and columns that a shape can touch, since most shapes are small."""
        margin += 2 * max(self.spacing, 1.5)

        def span(a: float, b: float) -> slice:
            first, last = np.searchsorted(self.axis, (min(a, b) - margin, max(a, b) + margin))
            return slice(int(first), int(last))

        return span(start[1], end[1]), span(start[0], end[0])


def ellipse_distance(x: Pixels, y: Pixels, centre: Point, radii: Point, angle: float = 0.0) -> Pixels:
    """The approximate distance of each point from an ellipse, negative inside; exact at the edge."""
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    if angle:
        cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        dx, dy = dx * cosine + dy * sine, dy * cosine - dx * sine
    rx, ry = np.float32(radii[0]), np.float32(radii[1])
    norm = np.sqrt((dx / rx) ** 2 + (dy / ry) ** 2)
    gradient = np.sqrt((dx / rx**2) ** 2 + (dy / ry**2) ** 2)
    distance: Pixels = norm * (norm - 1) / np.maximum(gradient, 1e-4)
    return distance


def ramp(start: float, end: float, value: float) -> float:
    """0 up to `start`, 1 from `end`, smooth between them."""
    part = min(max((value - start) / (end - start), 0.0), 1.0)
    return part * part * (3 - 2 * part)


def ellipsoid_section(height: float, centre: float, radius: float) -> float:
    """The scale, 0 to 1, at which a horizontal plane at `height` cuts an ellipsoid."""
    return float(np.sqrt(max(1 - ((height - centre) / radius) ** 2, 0.0)))


def grain(generator: np.random.Generator, shape: tuple[int, int], smoothing: int = 1) -> Pixels:
    """Noise of standard deviation 1 that is correlated in neighbouring pixels, as after reconstruction."""
    noise: Pixels = generator.standard_normal(shape, dtype=np.float32)
    for axis in (0, 1) * smoothing:
        noise = (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4
    normal: Pixels = noise / noise.std()
    return normal


class Waves:
    """A smooth random field of standard deviation 1: waves of similar length in all directions."""

    def __init__(self, seed: int, wavelength: float, count: int = 14) -> None:
        generator = np.random.default_rng(seed)
        directions = generator.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = wavelength * generator.uniform(0.8, 1.35, size=(count, 1))
        self._vectors = (2 * np.pi * directions / lengths).astype(np.float32)
        self._phases = generator.uniform(0, 2 * np.pi, count).astype(np.float32)

    def __call__(self, x: Pixels, y: Pixels, z: float) -> Pixels:
        """The field's values at the broadcast points (x, y, z) in millimetres."""
        total = sum(
            np.sin(kx * x + ky * y + (kz * np.float32(z) + phase))
            for (kx, ky, kz), phase in zip(self._vectors, self._phases, strict=True)
        )
        return np.asarray(total / np.sqrt(len(self._phases) / 2), np.float32)
