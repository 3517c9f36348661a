"""A head for MR: folded cortex, ventricles, deep nuclei, eyes, and one lesion in the white matter.

A slice is first a share of every tissue in each pixel, then a contrast turns tissues into signal. x runs to
the patient's left, y to the back and z to the head, in millimetres (DICOM PS3.3 C.7.6.2.1.1); z is 0 at the
level of the eyes and 105 near the vertex.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from orthancproxy.sandbox.phantoms.canvas import (
    Canvas,
    Pixels,
    Waves,
    ellipse_distance,
    ellipsoid_section,
    grain,
)

FIELD_OF_VIEW = 220.0  # mm


@dataclass(frozen=True, slots=True)
class Contrast:
    """The signal of each tissue in a kind of sequence."""

    fluid: float
    grey_matter: float
    white_matter: float
    lesion: float
    fat: float
    muscle: float
    bone: float = 35.0


# the order in which tissues are painted: each lies over the ones before it
_TISSUES = tuple(field.name for field in fields(Contrast))


def head_slice(z: float, size: int, contrast: Contrast, *, lesion_radius: float = 6.0, seed: int = 0) -> Pixels:
    """One axial slice of size × size pixels; the signal is never negative (magnitude image)."""
    shares = _Shares(z, size, lesion_radius)
    signal = sum(getattr(contrast, name) * share for name, share in zip(_TISSUES, shares.layers, strict=True))
    canvas = shares.canvas
    # surface coils receive more signal from near tissue, and from one side
    bias = 1.0 + 0.0016 * canvas.y * -1 + 0.0008 * canvas.x + 0.000012 * (canvas.x**2 + canvas.y**2)
    texture = 1 + 0.02 * Waves(5, 9.0)(canvas.x, canvas.y, z)
    generator = np.random.default_rng([13, seed, round(z * 10)])
    in_phase = np.asarray(signal * bias * texture, np.float32) + 16 * grain(generator, (size, size))
    # noise on both channels of the receiver, of which the image shows the magnitude (Rician)
    return np.asarray(np.hypot(in_phase, 16 * grain(generator, (size, size))), np.float32)


class _Shares:
    """The share of each tissue in each pixel; `layers` has one layer for each field of Contrast."""

    def __init__(self, z: float, size: int, lesion_radius: float) -> None:
        self.canvas = Canvas(size, FIELD_OF_VIEW, 0.0)
        self.z = z
        self.layers: list[Pixels] = [np.zeros((size, size), np.float32) for _ in _TISSUES]
        scale = max(ellipsoid_section(z, 18, 92), 0.0)
        self._paint_skull(scale)
        brain = self._paint_brain(scale)
        self._paint_inside(brain)
        if z < 22:
            self._paint_eyes()
        centre = (-30.0, -28.0)
        radius = lesion_radius * ellipsoid_section(z, 48, lesion_radius * 1.5)
        self._ellipse("lesion", centre, (radius * 1.2, radius), angle=0.5)

    def _lay(self, tissue: str, coverage: Pixels) -> None:
        """Paint a tissue over the others, which lose the share that it gains."""
        for layer in self.layers:
            layer *= 1 - coverage
        self.layers[_TISSUES.index(tissue)] += coverage

    def _distance(self, centre: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> Pixels:
        return ellipse_distance(self.canvas.x, self.canvas.y, centre, radii, angle)

    def _ellipse(
        self,
        tissue: str,
        centre: tuple[float, float],
        radii: tuple[float, float],
        *,
        angle: float = 0.0,
        within: Pixels | float = 1.0,
    ) -> None:
        if min(radii) > 0.3:
            self._lay(tissue, self.canvas.coverage(self._distance(centre, radii, angle)) * within)

    def _paint_skull(self, scale: float) -> None:
        outline = self._distance((0, 0), (80 * scale, 98 * scale))
        wave = 1.2 * Waves(3, 60.0)(self.canvas.x, self.canvas.y, self.z)
        for tissue, depth in (("muscle", 0.0), ("fat", 1.8), ("bone", 6.5), ("fat", 8.8), ("bone", 10.6)):
            self._lay(tissue, self.canvas.coverage(outline + depth + wave * (0 < depth < 5)))

    def _paint_brain(self, scale: float) -> Pixels:
        """Paint fluid, cortex and white matter; return the mask of the brain (0 to 1)."""
        x, y, z = self.canvas.x, self.canvas.y, self.z
        inside = self._distance((0, 0), (80 * scale - 13.5, 98 * scale - 13.5))
        skull = self.canvas.coverage(inside)
        self._lay("fluid", skull)

        # sulci lie where a smooth field is near 0, are deep at the surface and end in the white matter
        depth = np.maximum(-inside, 0)
        reach = 19 + 5 * Waves(8, 45.0)(x, y, z)
        furrow = np.abs(Waves(42, 25.0, count=24)(x, y, z)) * 6.2 + np.maximum(depth - reach, 0) * 0.8
        # the fissure between the hemispheres stops where the corpus callosum joins them
        joined = np.maximum(30 - 0.45 * max(z - 60, 0) - np.abs(y), 0) * 0.9
        fissure = np.abs(x + 1.2 * np.sin(y / 14)) + joined
        surface = np.minimum(np.minimum(depth - 1.2, furrow - 0.9), fissure - 1.0)
        cortex = np.minimum(np.minimum(depth - 4.6, furrow - 3.9), fissure - 4.2)

        brain = self.canvas.coverage(-surface, 1.3) * skull
        self._lay("grey_matter", brain)
        self._lay("white_matter", self.canvas.coverage(-cortex, 1.3) * brain)
        return skull

    def _paint_inside(self, brain: Pixels) -> None:
        z = self.z
        for side in (-1, 1):
            nuclei = ellipsoid_section(z, 34, 24)
            for centre, radii, angle in (
                ((12, 10), (8.5, 14.0), -0.35),  # thalamus
                ((26, -5), (6.0, 17.0), -0.3),  # putamen
                ((14, -22), (5.0, 9.0), -0.35),  # caudate nucleus
            ):
                place = (side * centre[0], centre[1])
                self._ellipse("grey_matter", place, (radii[0] * nuclei, radii[1] * nuclei), angle=side * angle)
            horn, back = ellipsoid_section(z, 46, 19), ellipsoid_section(z, 36, 16)
            self._ellipse("fluid", (side * 9, -20), (4.2 * horn, 15 * horn), angle=side * -0.3)
            self._ellipse("fluid", (side * 13, 14), (4 * horn, 17 * horn), angle=side * 0.25)
            self._ellipse("fluid", (side * 22, 33), (5.5 * horn, 13 * back), angle=side * 0.5)
        self._ellipse("fluid", (0, 6), (1.8, 12 * ellipsoid_section(z, 28, 16)))
        if z < 16:
            low = ellipsoid_section(z, -6, 24)
            self._ellipse("fluid", (0, 52), (54 * low, 34 * low), within=brain)
            for side in (-1, 1):
                self._ellipse("grey_matter", (side * 24, 52), (28 * low, 28 * low), within=brain)
                self._ellipse("white_matter", (side * 24, 50), (15 * low, 16 * low), within=brain)
            self._ellipse("fluid", (0, 10), (24, 22), within=brain)
            self._ellipse("white_matter", (0, 14), (17, 15), within=brain)
            self._ellipse("fluid", (0, 32), (5, 3.5), within=brain)

    def _paint_eyes(self) -> None:
        wide = ellipsoid_section(self.z, 0, 22)
        self._ellipse("muscle", (0, -90), (10 * wide, 14 * wide))  # the nose
        for side in (-1, 1):
            self._ellipse("fat", (side * 32, -63), (19 * wide, 23 * wide), angle=side * 0.25)
            self._ellipse("muscle", (side * 32, -71), (14.5 * wide, 14.5 * wide))
            self._ellipse("fluid", (side * 32, -71), (13 * wide, 13 * wide))
            self._ellipse("muscle", (side * 32, -81.5), (4.5 * wide, 2.2 * wide))
            self._ellipse("muscle", (side * 26, -50), (2 * wide, 10 * wide), angle=side * -0.5)
        self._ellipse("bone", (0, -72), (10 * wide, 17 * wide))
        self._ellipse("muscle", (0, -72), (0.8, 15 * wide))
