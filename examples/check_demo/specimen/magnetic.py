"""The bottom line as it comes off a press: every character in its place, more or less."""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.check_scanner.recogniser import e13b

from .glyphs import FINE, MARGIN, Face, Levels, tile

#: Pixels per inch of the strip that the line is drawn on before it is averaged down.
_STRIP_DPI = FINE / e13b.MODULE
#: Inches of paper above and below the glyphs on that strip.
_AIR = 0.06


@dataclass(frozen=True, slots=True)
class Press:
    """How well a line is printed. Inches, degrees, and modules for what concerns outlines.

    The standard allows 0.010 inch between neighbours' right edges, 0.007 between their heights and
    1.5 degrees. ``gain`` is how much the weight varies from character to character, ``rough`` how
    ragged edges are, ``voids`` and ``specks`` how many there are in the whole line, ``fade`` what
    share of the ink is missing where it is palest.
    """

    face: Face = field(default_factory=Face)
    shift: tuple[float, float] = (0.0, 0.0)
    pitch: float = 0.0
    lift: float = 0.0
    skew: float = 0.0
    gain: float = 0.0
    rough: float = 0.0
    voids: int = 0
    specks: int = 0
    fade: float = 0.0


def print_line(
    line: str,
    first: int,
    width: float,
    dpi: float,
    press: Press,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], float]:
    """Print ``line``, whose first character stands in position ``first``, across ``width`` inches.

    Returns the ink's coverage (255 is ink) at ``dpi``, as wide as the paper, and how many inches
    above the paper's bottom edge its top edge lies.
    """
    glyph_inches = e13b.GLYPH_HEIGHT * e13b.MODULE
    rows = round((glyph_inches + 2 * _AIR) * _STRIP_DPI)
    strip = np.full((rows, round(width * _STRIP_DPI)), -1, np.float32)
    tiles = {character: tile(character, press.face) for character in set(line) - {" "}}
    for index, character in enumerate(line):
        if character != " ":
            right = width - e13b.right_edge(first - index) + press.shift[0]
            _strike(strip, tiles[character], right, press, rng)
    _defects(strip, press, rng)
    coverage = _soak(strip, press, rng)
    size = (round(width * dpi), round(rows / _STRIP_DPI * dpi))
    low, high = e13b.PRINT_BAND
    top = (low + high + glyph_inches) / 2 + _AIR + press.shift[1]
    return np.asarray(cv2.resize(coverage, size, interpolation=cv2.INTER_AREA), np.uint8), top


def _strike(
    strip: Levels, glyph: Levels, right: float, press: Press, rng: np.random.Generator
) -> None:
    """Put one glyph's right edge ``right`` inches from the left, off by the press's tolerance."""
    off, up = np.clip(rng.normal(0, (press.pitch, press.lift)), -0.01, 0.01)
    height, width = glyph.shape
    x = (right + off) * _STRIP_DPI - width + MARGIN * FINE
    y = (_AIR - up) * _STRIP_DPI - MARGIN * FINE
    column, row = int(np.floor(x)), int(np.floor(y))
    place = cv2.getRotationMatrix2D((width / 2, height / 2), rng.normal(0, press.skew), 1.0)
    place[:, 2] += (x - column, y - row)
    inked = glyph + np.float32(rng.normal(0, press.gain))
    struck = cv2.warpAffine(
        inked, place, (width + 1, height + 1), borderMode=cv2.BORDER_CONSTANT, borderValue=(-1.0,)
    )
    top, left = max(0, row), max(0, column)
    region = strip[top : row + height + 1, left : column + width + 1]
    cut = struck[top - row :, left - column :][: region.shape[0], : region.shape[1]]
    np.maximum(region, cut, out=region)


def _defects(strip: Levels, press: Press, rng: np.random.Generator) -> None:
    """Ragged edges, places that took no ink, and ink where none belongs."""
    rows, columns = strip.shape
    if press.rough:
        coarse = rng.normal(0, press.rough, (rows // 5 + 1, columns // 5 + 1)).astype(np.float32)
        strip += cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR)
    for count, level, largest in ((press.voids, -0.6, 0.45), (press.specks, 0.6, 0.3)):
        for x, y, radius in rng.random((count, 3)):
            centre = (int(x * columns), int(y * rows))
            cv2.circle(strip, centre, max(1, round(radius * largest * FINE)), (level,), -1)


def _soak(strip: Levels, press: Press, rng: np.random.Generator) -> NDArray[np.uint8]:
    """From heights over the outline to ink, one pixel soft, paler here and there."""
    ink = np.clip(strip * FINE + 0.5, 0, 1)
    if press.fade:
        rows, columns = strip.shape
        coarse = 1 - press.fade * rng.random((2, columns // 250 + 2)).astype(np.float32)
        ink *= cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(ink * 255, np.uint8)
