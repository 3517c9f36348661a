"""A beating heart in ultrasound, from the apex: four chambers in a sector with speckle.

x runs to the right of the picture and depth downwards from the transducer, in millimetres.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from orthancproxy.sandbox.phantoms.canvas import Canvas, Pixels, grain

DEPTH = 160.0  # mm, also the width of the image
_APEX = -DEPTH / 2 + 6


def heart_frame(phase: float, size: int) -> NDArray[np.uint8]:
    """One frame of size × size grey values; `phase` runs from 0 to 1 over a heartbeat."""
    beat = 0.5 - 0.5 * np.cos(2 * np.pi * (phase + 0.15))  # 0 relaxed, 1 contracted
    valve = 1.0 if beat < 0.45 else 0.0
    canvas = Canvas(size, DEPTH, 0.34)
    canvas.ellipse((2, 4), (52 - 3 * beat, 66 - 2 * beat), 0.75)  # pericardium
    canvas.ellipse((2, 4), (50 - 3 * beat, 64 - 2 * beat), 0.42)
    base = 14 - 7 * beat  # the plane of the valves moves towards the apex in systole
    canvas.ellipse((20, -18 - 2 * beat), (19 - 6 * beat, 34 - 6 * beat), 0.05, angle=-0.12)  # left ventricle
    canvas.ellipse((-19, -12 - 2 * beat), (13 - 4 * beat, 28 - 4 * beat), 0.06, angle=-0.22)  # right ventricle
    canvas.ellipse((19, base + 24), (19 + 2 * beat, 20 + 4 * beat), 0.05)  # left atrium
    canvas.ellipse((-19, base + 22), (17 + 2 * beat, 18 + 4 * beat), 0.06)  # right atrium
    for centre, half in ((20.0, 15.0 - 3 * beat), (-18.0, 12.0 - 2 * beat)):
        for side in (-1, 1):
            # leaflets hang into the ventricle when they are open, and meet when they are closed
            hinge = (centre + side * half, base + 2)
            tip = (centre + side * (1 + 6 * valve), base - 1 - 9 * valve)
            canvas.tube(hinge, tip, 1.1, 0.85)
    canvas.tube((1, -30), (0, base), 3.6, 0.5)  # the wall between the ventricles
    canvas.tube((0, base + 4), (0, base + 40), 1.6, 0.6)
    echo = canvas.pixels * _speckle(size, round(phase * 1000)) * _gain(canvas)
    return np.asarray(np.clip(240 * np.clip(echo, 0, 1) ** 0.62 - 14, 0, 255) * _sector(size), np.uint8)


def _gain(canvas: Canvas) -> Pixels:
    """Echoes fade with depth, more than the scanner compensates; the chest wall is bright."""
    depth = canvas.y - _APEX
    gain: Pixels = 0.95 - 0.0035 * depth + 0.9 * np.exp(-np.maximum(depth, 0) / 4)
    return gain


def _speckle(size: int, seed: int) -> Pixels:
    """Rayleigh noise, partly constant over time, stretched across the beams, which widen with depth."""
    still, moving = (np.random.default_rng([17, number]) for number in (0, seed))
    real, imaginary = (0.8 * _beam_noise(still, size) + 0.6 * _beam_noise(moving, size) for _ in ("real", "imaginary"))
    speckle: Pixels = np.hypot(real, imaginary) / np.float32(1.25)
    return speckle


def _beam_noise(generator: np.random.Generator, size: int) -> Pixels:
    """Noise over angle and depth, sampled at the beam of each pixel."""
    depths, angles = _polar(size)
    noise = grain(generator, (size, 192))
    noise = (noise + np.roll(noise, 1, 1) + np.roll(noise, -1, 1)) / np.float32(1.7)
    read: Pixels = noise[depths, angles]
    return read


@cache
def _polar(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    canvas = Canvas(size, DEPTH, 0)
    depth, angle = np.hypot(canvas.x, canvas.y - _APEX), np.arctan2(canvas.x, canvas.y - _APEX)
    rows = np.clip(depth / DEPTH * size, 0, size - 1).astype(np.intp)
    beams = np.clip((angle / 1.4 + 0.5) * 191, 0, 191).astype(np.intp)
    return rows, beams


@cache
def _sector(size: int) -> Pixels:
    """The mask of the transducer's sector: 0 or 1, with a soft edge."""
    canvas = Canvas(size, DEPTH, 0)
    depth, angle = np.hypot(canvas.x, canvas.y - _APEX), np.arctan2(canvas.x, canvas.y - _APEX)
    inside = np.minimum(np.minimum(150 - depth, depth - 4), (0.66 - np.abs(angle)) * depth)
    return canvas.coverage(-inside)
