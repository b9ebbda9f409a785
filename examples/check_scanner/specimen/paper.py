"""Paper and optics: the security background, and what a scanner makes of it.

Images are arrays of height x width x 3, reflectance from 0 (black) to 1 (white).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_TINTS = (
    (0.62, 0.76, 0.90),
    (0.66, 0.84, 0.72),
    (0.90, 0.74, 0.72),
    (0.88, 0.80, 0.62),
    (0.78, 0.72, 0.89),
)


def security_paper(size: tuple[int, int], plain_from: int, rng: np.random.Generator) -> Floats:
    """Return printed paper: waves and a rosette of fine lines, fading out below ``plain_from``.

    Fine, pale lines are what copiers lose; the MICR line's band must stay free of them.
    """
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    tint = np.array(_TINTS[rng.integers(len(_TINTS))])

    bend = 16 * np.sin(x / rng.uniform(55, 80)) + 9 * np.sin(x / rng.uniform(21, 34) + y / 90)
    waves = _lines((y + bend) / rng.uniform(7, 9)) + _lines((y - bend) / rng.uniform(9, 11))

    petals = int(rng.integers(9, 16))
    dx, dy = x - width * rng.uniform(0.42, 0.58), (y - height * 0.47) * 1.15
    radius, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    swing = 13 * np.sin(petals * angle)
    inside = _falling((radius - 165) / 10)
    rosette = inside * (_lines((radius + swing) / 8) + _lines((radius - swing) / 8))

    strength = 0.17 * waves * (1 - inside) + 0.22 * rosette + 0.28 + 0.1 * (y / height - 0.5)
    strength *= 0.15 + 0.85 * _falling((y - plain_from) / 18)
    white = 0.975
    sheet: Floats = white - strength[..., None] * (white - tint)
    return sheet


def _lines(phase: Floats) -> Floats:
    """One thin soft line per whole number of ``phase``."""
    return (0.5 + 0.5 * np.cos(2 * np.pi * phase)) ** 3


def _falling(x: Floats) -> Floats:
    """A soft step down, from 1 to 0 around zero."""
    return 0.5 - 0.5 * np.tanh(x)


def ink(paper: Floats, coverage: NDArray[np.uint8], color: tuple[float, float, float]) -> Floats:
    """Print on paper: where ``coverage`` is 255, only ``color`` of the light comes back."""
    reflected: Floats = 1 - coverage[..., None] / 255 * (1 - np.array(color))
    return paper * reflected


def scan(paper: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Look at the paper: fibres, light from one side, sensor noise; 8 bits per channel."""
    height, width, _ = paper.shape
    fibres = rng.normal(0, 1, (height // 3 + 1, width // 3 + 1))
    grain = np.kron(fibres, np.ones((3, 3)))[:height, :width]

    direction = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = 0.965 + 0.03 * (np.cos(direction) * x + np.sin(direction) * y)

    seen: Floats = paper * (light + 0.007 * grain)[..., None]
    seen += rng.normal(0, 0.011, paper.shape)
    return (np.clip(seen, 0, 1) * 255).round().astype(np.uint8)
