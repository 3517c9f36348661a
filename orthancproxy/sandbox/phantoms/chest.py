"""A chest for CT, in Hounsfield units: contrast medium in heart and vessels, a nodule in the right lung.

x runs to the patient's left, y to the back and z to the head, in millimetres (DICOM PS3.3 C.7.6.2.1.1); z is
0 below the diaphragm and 300 at the apex of the lungs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from orthancproxy.sandbox.phantoms.canvas import (
    Canvas,
    Pixels,
    Point,
    ellipse_distance,
    ellipsoid_section,
    grain,
    ramp,
)

FIELD_OF_VIEW = 380.0  # mm

AIR, LUNG, FAT, MUSCLE, LIVER = -1000.0, -860.0, -95.0, 55.0, 105.0
BLOOD, HEART_MUSCLE, MARROW, BONE, DISC = 290.0, 115.0, 210.0, 620.0, 85.0
VERTEBRA = 25.0  # mm from one to the next


def chest_slice(z: float, size: int) -> Pixels:
    """One axial slice of size × size pixels, with the noise of a scanner."""
    noise = grain(np.random.default_rng([7, round(z * 10)]), (size, size))
    pixels: Pixels = np.maximum(_anatomy(z, size) + 13 * noise, -1024)
    return pixels


def chest_radiograph(size: int) -> Pixels:
    """The chest from the front: size × size pixels, z from 300 down to 0, values from 0 to about 300."""
    spacing = FIELD_OF_VIEW / size
    measured = np.linspace(300, 0, 100)  # every 3 mm is enough for an image this coarse
    absorbed = [(np.maximum(_anatomy(float(z), size) + 1000, 0) / 1000).sum(axis=0) * spacing for z in measured]
    places = np.linspace(0, len(measured) - 1, size)
    before = np.minimum(places.astype(int), len(measured) - 2)
    part = (places - before)[:, None].astype(np.float32)
    rows = np.asarray(absorbed, np.float32)
    image = rows[before] * (1 - part) + rows[before + 1] * part
    pixels: Pixels = np.maximum(image + 1.5 * grain(np.random.default_rng(11), (size, size)), 0)
    return pixels


def _anatomy(z: float, size: int) -> Pixels:
    canvas = Canvas(size, FIELD_OF_VIEW, AIR)
    upper = ramp(165, 300, z)  # how far the chest has narrowed towards the neck
    cavity = (133 * (1 - 0.5 * upper), 88 * (1 - 0.42 * upper))
    _paint_table(canvas)
    _paint_wall(canvas, z, upper, cavity)
    lungs = _paint_lungs(canvas, z, upper)
    _paint_lung_vessels(canvas, z, lungs)
    _paint_abdomen(canvas, z, cavity)
    _paint_mediastinum(canvas, z)
    _paint_ribs(canvas, z, cavity)
    _paint_spine(canvas, z)
    return canvas.pixels


def _paint_table(canvas: Canvas) -> None:
    """A hollow table top, curved under the back."""
    under = np.asarray((canvas.y > 104) & (np.abs(canvas.x) < 165 - 0.55 * (canvas.y - 105)), np.float32)
    for radius, value in ((300.0, -250.0), (297.0, -940.0), (276.0, -250.0), (273.5, AIR)):
        canvas.ellipse((0, -149), (radius, radius), value, within=under)


def _paint_wall(canvas: Canvas, z: float, upper: float, cavity: Point) -> None:
    """Skin, fat and muscles around the cavity, with the shoulder blades and the collar bones."""
    body = (172 - 22 * upper, 117 - 18 * upper)
    canvas.ellipse((0, 0), body, MUSCLE)
    canvas.ellipse((0, 0), (body[0] - 2, body[1] - 2), FAT)
    canvas.ellipse((0, 2), (body[0] - 15, body[1] - 13), MUSCLE)
    for side in (-1, 1):
        # fat separates the layers of muscle
        canvas.tube((side * 60, -94 + 14 * upper), (side * 118, -58), 3 + 5 * upper, FAT)
        canvas.tube((side * 58, -96 + 14 * upper), (side * 116, -62), 2 + 6 * upper, MUSCLE)
        canvas.tube((side * 30, 92), (side * 120, 62), 1.2, FAT)
        if z > 150:
            blade = ramp(150, 230, z)
            canvas.tube((side * (128 - 12 * blade), 42), (side * (92 - 10 * blade), 78), 4.5, BONE)
            canvas.tube((side * (127 - 12 * blade), 44), (side * (93 - 10 * blade), 77), 2.0, MARROW)
        if z > 262:
            reach = ramp(258, 300, z)
            start, end = 22 + 75 * max(reach - 0.35, 0), 22 + 95 * reach
            canvas.tube((side * start, -66), (side * end, -58 + 22 * reach), 6, BONE)
            canvas.tube((side * start, -66), (side * end, -58 + 22 * reach), 3, MARROW)
    canvas.ellipse((0, 0), (cavity[0] + 1.5, cavity[1] + 1.5), FAT)


def _paint_lungs(canvas: Canvas, z: float, upper: float) -> Pixels:
    """Paint both lungs; return their mask (0 to 1)."""
    scale = 1 - 0.5 * upper
    everywhere = np.zeros_like(canvas.pixels)
    for side, width in ((-1, 62.0), (1, 59.0)):
        radii = (width * scale, 86 * (1 - 0.42 * upper))
        coverage = canvas.coverage(ellipse_distance(canvas.x, canvas.y, (side * 70 * scale, 0), radii, side * -0.06))
        everywhere = np.maximum(everywhere, coverage)
    everywhere = everywhere * (1 - ramp(292, 304, z))
    # blood sinks: lungs are denser at the back
    canvas.paint(np.asarray(LUNG + 0.45 * canvas.y + 0 * canvas.x, np.float32), everywhere)
    for fissure in ((-125, 12), (128, 16)):
        height = (z - 60) * 0.55
        start = (fissure[0], 62 - height)
        canvas.tube(start, (fissure[0] * 0.3, 40 - height), 0.5, -760, within=everywhere)
    canvas.ellipse(
        (-88, -6),
        (9 * ellipsoid_section(z, 205, 9), 8 * ellipsoid_section(z, 205, 9)),
        45,
        within=everywhere,
    )
    return everywhere


@dataclass(frozen=True, slots=True)
class _Vessel:
    """A straight piece of a vessel, from one point to another; radius in millimetres."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float


@cache
def _lung_vessels() -> tuple[_Vessel, ...]:
    """Trees that grow outwards from the hilum of each lung."""
    generator = np.random.default_rng(20)
    vessels: list[_Vessel] = []

    def grow(start: np.ndarray, direction: np.ndarray, length: float, radius: float) -> None:
        direction = direction / np.linalg.norm(direction)
        end = start + direction * length
        vessels.append(_Vessel(tuple(start.tolist()), tuple(end.tolist()), radius))
        if radius < 0.55:
            return
        for shrink in (0.84, 0.68):
            bend = generator.normal(scale=0.42, size=3)
            grow(end, direction + bend, length * generator.uniform(0.7, 1.0), radius * shrink)

    for side in (-1, 1):
        for _ in range(16):
            direction = generator.normal(size=3) * (0.5, 0.9, 1.3) + (side * 0.8, 0.1, -0.2)
            hilum = np.array((side * 36.0, 4.0, 140.0)) + generator.normal(scale=9, size=3)
            grow(hilum, direction, 27.0, 3.6)
    return tuple(vessels)


def _paint_lung_vessels(canvas: Canvas, z: float, lungs: Pixels) -> None:
    for vessel in _lung_vessels():
        (x0, y0, z0), (x1, y1, z1) = vessel.start, vessel.end
        low, high = min(z0, z1) - vessel.radius, max(z0, z1) + vessel.radius
        if not low <= z <= high:
            continue
        # the section of the piece with a plane some radii thick: a spot if it is steep, a line if it is flat
        rise = z1 - z0 if abs(z1 - z0) > 0.1 else 0.1
        first, last = sorted(((z - vessel.radius - z0) / rise, (z + vessel.radius - z0) / rise))
        first, last = max(first, 0.0), min(last, 1.0)
        if first <= last:
            start = (x0 + first * (x1 - x0), y0 + first * (y1 - y0))
            end = (x0 + last * (x1 - x0), y0 + last * (y1 - y0))
            canvas.tube(start, end, vessel.radius, 130 if vessel.radius > 1.5 else -150, within=lungs)


def _paint_abdomen(canvas: Canvas, z: float, cavity: Point) -> None:
    """The organs under the two domes of the diaphragm: liver, stomach and spleen."""
    inside = canvas.coverage(ellipse_distance(canvas.x, canvas.y, (0, 0), cavity))
    right, left = ellipsoid_section(z, 0, 92), ellipsoid_section(z, 0, 76)
    canvas.ellipse((-62, 0), (76 * right, 92 * right), LIVER, within=inside)
    for (x0, y0), (x1, y1), radius in (
        ((-23.0, -25.0), (17.0, 12.0), 3.5),
        ((-33.0, 22.0), (14.0, 14.0), 3.0),
        ((2.0, -50.0), (18.0, 10.0), 2.6),
    ):
        # the veins of the liver, from its middle
        start, end = (-62 + x0 * right, y0 * right), (-62 + x1 * right, y1 * right)
        canvas.tube(start, end, radius * right, LIVER + 65, within=inside)
    canvas.ellipse((66, 0), (66 * left, 90 * left), FAT, within=inside)
    canvas.ellipse((52, -22), (44 * left, 46 * left), 50, angle=0.4, within=inside)
    canvas.ellipse((50, -34), (33 * left, 26 * left), -900, angle=0.2, within=inside)
    canvas.ellipse((92, 42), (28 * left, 40 * left), LIVER + 30, angle=0.5, within=inside)


def _paint_mediastinum(canvas: Canvas, z: float) -> None:
    """Between the lungs: heart, great vessels, windpipe and gullet."""
    narrowing = ramp(150, 290, z)
    canvas.ellipse((2, -8 + 6 * narrowing), (34 - 6 * narrowing, 74 - 26 * narrowing), FAT)
    canvas.ellipse((0, 62), (30, 30), MUSCLE - 10)
    canvas.ellipse((8, 30), (7.5, 5.5), MUSCLE)
    canvas.ellipse((8, 30), (2.5, 1.6), -300)

    heart = ellipsoid_section(z, 98, 56)
    canvas.ellipse((26, -26), (64 * heart, 47 * heart), FAT + 15, angle=0.45)
    canvas.ellipse((26, -26), (61 * heart, 44 * heart), HEART_MUSCLE, angle=0.45)
    for centre, radii, middle, reach in (
        ((52.0, -12.0), (25.0, 17.0), 84.0, 40.0),  # left ventricle
        ((22.0, -46.0), (29.0, 13.0), 84.0, 40.0),  # right ventricle
        ((-17.0, -27.0), (17.0, 19.0), 104.0, 40.0),  # right atrium
        ((15.0, 2.0), (25.0, 12.0), 122.0, 26.0),  # left atrium
    ):
        part = ellipsoid_section(z, middle, reach)
        canvas.ellipse(centre, (radii[0] * part, radii[1] * part), BLOOD, angle=0.5)

    if 128 < z < 216:
        canvas.ellipse((-10, -24), (15.5, 15.5), BLOOD + 15)  # ascending aorta
    if z < 216:
        canvas.ellipse((25, 44), (11.5, 11.5), BLOOD + 15)  # descending aorta
    if 200 < z < 222:
        arch = ellipsoid_section(z, 208, 14)
        canvas.tube((-8, -22), (23, 40), 13 * arch, BLOOD + 15)
    if z > 215:
        for branch in ((-20.0, -6.0), (7.0, -14.0), (20.0, 4.0)):
            canvas.ellipse(branch, (5.5, 5.5), BLOOD)
    canvas.ellipse((-31, -18), (8.5, 9.5), BLOOD + 60 if 118 < z < 232 else FAT)  # superior vena cava
    trunk = ellipsoid_section(z, 156, 17)
    canvas.tube((18, -38), (24, -14), 14 * trunk, BLOOD + 30)
    canvas.tube((22, -14), (-44, 6), 9.5 * trunk, BLOOD + 30)
    canvas.tube((24, -14), (48, 8), 9.5 * trunk, BLOOD + 30)

    split = max(170 - z, 0) * 0.75
    if z > 118:
        for side in (-1, 1):
            centre = (side * split * (1.0 if side < 0 else 1.1), 10 + split * 0.1)
            wide = 8.0 if split == 0 else 6.2
            canvas.ellipse(centre, (wide + 1.6, wide + 1.6), MUSCLE)
            canvas.ellipse(centre, (wide, wide), AIR)


def _paint_ribs(canvas: Canvas, z: float, cavity: Point) -> None:
    """Ribs slope forwards and down: a slice cuts each where it passes, as an oval in the wall."""
    from_ring = ellipse_distance(canvas.x, canvas.y, (0, 0), (cavity[0] + 6, cavity[1] + 6))
    forwards = np.abs(np.arctan2(canvas.x, canvas.y)) / np.pi  # 0 at the spine, 1 at the breast bone
    passing = np.abs((z + 80 * forwards + 6) % VERTEBRA - VERTEBRA / 2)
    # a rib crosses the slice obliquely, so its height matters less than its thickness
    oval = np.hypot(from_ring / 4.8, passing / 5.4)
    around = canvas.coverage(np.abs(from_ring) - 8) * (forwards > 0.1) * (forwards < 0.94)
    bony = np.asarray(around * (forwards < 0.8), np.float32)
    cartilage = np.asarray(around * (forwards >= 0.8), np.float32)
    canvas.paint(115, np.asarray(np.clip((1.05 - oval) * 4, 0, 1) * cartilage, np.float32))
    canvas.paint(BONE, np.asarray(np.clip((1.05 - oval) * 4, 0, 1) * bony, np.float32))
    canvas.paint(MARROW, np.asarray(np.clip((0.55 - oval) * 4, 0, 1) * bony, np.float32))
    if z > 95:
        front = (0.0, -cavity[1] - 5)
        canvas.ellipse(front, (19, 6), BONE - 150)
        canvas.ellipse(front, (16.5, 3.6), MARROW - 60)


def _paint_spine(canvas: Canvas, z: float) -> None:
    phase = z % VERTEBRA
    if phase < 4.5:
        canvas.ellipse((0, 60), (19.5, 14.5), DISC)
    else:
        waist = 1 - 0.1 * np.sin((phase - 4.5) / (VERTEBRA - 4.5) * np.pi)
        canvas.ellipse((0, 60), (20 * waist, 15 * waist), BONE)
        canvas.ellipse((0, 60), (18 * waist, 13 * waist), MARROW)
    if 6 < phase < 21:
        for side in (-1, 1):
            canvas.tube((side * 12, 70), (side * 13, 82), 4.0, BONE - 60)
            canvas.tube((side * 13, 82), (side * 36, 88), 4.2, BONE - 100)
            canvas.tube((side * 14, 82), (side * 35, 88), 1.8, MARROW)
    if phase > 9:
        canvas.tube((-13, 84), (0, 93), 3.0, BONE - 60)
        canvas.tube((13, 84), (0, 93), 3.0, BONE - 60)
        canvas.tube((0, 92), (0, 105 - 4 * ramp(165, 300, z)), 3.2, BONE - 60)
    canvas.ellipse((0, 81), (10, 8.5), 0)
    canvas.ellipse((0, 81), (5.5, 5), 45)
