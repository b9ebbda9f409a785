"""Security paper, and printing on it.

Sheets are arrays of height x width x 3 in RGB, 8 bits; coverage is height x width, 255 is ink.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Sheet = NDArray[np.uint8]
Coverage = NDArray[np.uint8]

_TINTS = (
    (0.62, 0.76, 0.90),
    (0.66, 0.84, 0.72),
    (0.90, 0.74, 0.72),
    (0.88, 0.80, 0.62),
    (0.78, 0.72, 0.89),
    (0.82, 0.82, 0.82),
)
_WHITE = 0.975


def security_paper(
    inches: tuple[float, float], dpi: float, plain_below: float, rng: np.random.Generator
) -> Sheet:
    """Return printed paper: fine lines in one tint, that fade out towards the bottom edge.

    Fine, pale lines are what copiers lose. The lowest ``plain_below`` inches, the MICR line's band,
    must be free of them on a check that keeps to the rules.
    """
    size = round(inches[0] * dpi), round(inches[1] * dpi)
    lines = np.zeros((size[1], size[0]), np.uint8)
    _PATTERNS[rng.integers(len(_PATTERNS))](lines, dpi, rng)
    above = (np.arange(size[1], dtype=np.float32)[::-1] / dpi - plain_below) / 0.09
    fading = 0.15 + 0.85 * (0.5 + 0.5 * np.tanh(above))
    ground = 0.28 + 0.1 * (0.5 - np.arange(size[1], dtype=np.float32) / size[1])
    strength = (lines * np.float32(0.22 / 255) + ground[:, None]) * fading[:, None]
    tint = np.array(_TINTS[rng.integers(len(_TINTS))])
    levels = (np.arange(256) / 255)[:, None]
    table = (255 * (_WHITE - levels * (_WHITE - tint))).astype(np.uint8)[:, None, :]
    return _through(table, (strength * 255).astype(np.uint8))


def ink(sheet: Sheet, coverage: Coverage, color: tuple[float, float, float], top: int = 0) -> None:
    """Print on a sheet from row ``top`` on: where ``coverage`` is 255 only ``color`` comes back."""
    rows = sheet[top : top + coverage.shape[0]]
    covered = (np.arange(256) / 255)[:, None]
    table = (255 * (1 - covered * (1 - np.array(color)))).round().astype(np.uint8)[:, None, :]
    passing = _through(table, coverage[: rows.shape[0], : rows.shape[1]])
    cv2.multiply(rows, passing, dst=rows, scale=1 / 255)


def _through(table: NDArray[np.uint8], gray: NDArray[np.uint8]) -> Sheet:
    """Look each pixel up in a table of 256 x 1 x 3."""
    return np.asarray(cv2.LUT(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), table), np.uint8)


def _curves(lines: Coverage, curves: NDArray[np.float64], closed: bool = False) -> None:
    """Draw curves, given as curves x points x 2 in pixels, thin and soft."""
    points = (curves * 16).round().astype(np.int32)
    cv2.polylines(lines, list(points), closed, 255, 1, cv2.LINE_AA, shift=4)


def _waves(lines: Coverage, dpi: float, rng: np.random.Generator) -> None:
    """Two families of wavy lines that cross."""
    height, width = lines.shape
    x = np.arange(0, width + 8, 8.0)
    turns = x / dpi
    bend = 0.08 * np.sin(turns / rng.uniform(0.27, 0.4)) + 0.045 * np.sin(turns / 0.14)
    for sign, period in ((1, rng.uniform(0.035, 0.045)), (-1, rng.uniform(0.045, 0.055))):
        starts = np.arange(-0.2 * dpi, height + 0.2 * dpi, period * dpi)
        y = starts[:, None] + sign * bend * dpi
        _curves(lines, np.stack(np.broadcast_arrays(x, y), axis=2))


def _rosette(lines: Coverage, dpi: float, rng: np.random.Generator) -> None:
    """Rings that swing in and out around the middle, over straight lines."""
    height, width = lines.shape
    angle = np.linspace(0, 2 * np.pi, 360)
    swing = 0.065 * np.sin(int(rng.integers(9, 16)) * angle)
    middle = np.array([width * rng.uniform(0.42, 0.58), height * 0.47])
    for sign in (1, -1):
        radii = np.arange(0.08, 0.45 * height / dpi, 0.04)[:, None] + sign * swing
        circle = np.stack([np.cos(angle) * radii, np.sin(angle) * radii], axis=2)
        _curves(lines, circle * dpi + middle, closed=True)
    _hatching(lines, dpi, rng)


def _hatching(lines: Coverage, dpi: float, rng: np.random.Generator) -> None:
    """Straight parallel lines, slanted."""
    height, width = lines.shape
    lean = rng.uniform(-1, 1) * height
    starts = np.arange(-abs(lean), width + abs(lean), rng.uniform(0.05, 0.08) * dpi)
    tops = np.stack([starts, np.zeros_like(starts)], axis=1)
    _curves(lines, np.stack([tops, tops + np.array([lean, height])], axis=1))


def _small_print(lines: Coverage, dpi: float, rng: np.random.Generator) -> None:
    """The same word over and over, in rows."""
    height = lines.shape[0]
    word = "SPECIMEN  " * 40
    scale = 0.35 * dpi / 200
    for row, y in enumerate(range(0, height, max(6, round(0.09 * dpi)))):
        start = -round(dpi * (0.3 * (row % 3) + rng.uniform(0, 0.05)))
        cv2.putText(lines, word, (start, y), cv2.FONT_HERSHEY_SIMPLEX, scale, 130, 1, cv2.LINE_AA)


_PATTERNS = (_waves, _rosette, _hatching, _small_print)
