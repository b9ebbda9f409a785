"""E-13B as printers have cut it: outlines drawn here on purpose, not taken from the recogniser.

A recogniser that is tested with its own templates is tested with nothing. These outlines share the
standard's dimensions with it, but no code: corners, weight, the zero and the inner edges differ
from one `Face` to the next, as they do between printers.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from examples.check_scanner.recogniser.e13b import AMOUNT, DASH, ON_US, TRANSIT

Levels = NDArray[np.float32]

#: Pixels per module of 0.013 inch in a tile.
FINE = 8
#: Modules of empty paper around the glyph in a tile; a glyph is at most 7 wide and 9 high.
MARGIN = 1.25

_WIDE, _HIGH = 7, 9
#: cv2.fillPoly also fills the pixels that the outline touches: drawn finer, that is little.
_FINER = 4
#: Modules. At half a stroke nothing of it would be left to round.
_ROUNDEST = 0.375

# Rectangles in modules from the glyph's own top left corner: x0 y0 x1 y1.
_PARTS = {
    "1": "0 0 1.5 1, 1 0 2 5, 0 5 4 9",
    "2": "0 0 4 1, 3 0 4 5, 0 4 4 5, 0 4 1 9, 0 8 4 9",
    "3": "0 0 4 1, 3 0 4 5, 0 4 4 5, 3 4.5 5 9, 0 8 5 9",
    "4": "0 0 2 7, 0 6 4.5 7, 4 5 6 9",
    "5": "0 0 5 1, 0 0 1 5, 0 4 5 5, 4 4 5 9, 0 8 5 9",
    "6": "0 0 1 9, 0 0 4 1, 3 0 4 2.5, 0 5 6 6, 5 5 6 9, 0 8 6 9",
    "7": "0 0 5 1, 0 0 1 3, 4 0 5 3.6, 2 4.4 3 9",
    "8": "1 0 6 1, 1 0 2 4.7, 5 0 6 4.7, 1 4 6 5, 0 4.5 2 9, 5 4.5 7 9, 0 8 7 9",
    "9": "0 0 6 1, 0 0 1 5, 0 4 6 5, 5 0 6 5, 4 4.5 6 9",
    TRANSIT: "0 1.5 2 7.5, 4 0 7 3, 4 6 7 9",
    AMOUNT: "0 5 2 9, 3 2.25 4 6.75, 5 0 7 4",
    ON_US: "0 1.5 1 7.5, 2 1.5 3 7.5, 4 0.5 7 4.5",
    DASH: "0 2.5 2 6.5, 3 2.5 5 6.5, 6 2.5 7 6.5",
}
#: Between the two halves of the seven.
_SEVEN = ((4.0, 3.0), (5.0, 3.6), (3.0, 5.2), (2.0, 4.4))


@dataclass(frozen=True, slots=True)
class Face:
    """One printer's cut of the typeface; lengths in modules.

    ``corner`` is the radius of free corners (the standard's is 0.5), ``weight`` what each edge is
    moved outwards by ink that spreads, ``aspect`` how much more of that goes sideways. The zero is
    a ring with strokes of 1, or, if ``thin_zero``, 6.8 wide with sides of 0.8. ``cut`` seeds how
    inner edges lie, up to ``loose`` beside where the table has them.
    """

    corner: float = 0.375
    weight: float = 0.0
    aspect: float = 0.0
    thin_zero: bool = False
    cut: int = 0
    loose: float = 0.0


def tile(character: str, face: Face) -> Levels:
    """Return a glyph as height over its outline: modules from the edge, positive inside.

    The glyph's right edge is `MARGIN` from the tile's right, its top `MARGIN` below the tile's top.
    """
    rows, columns = (round((size + 2 * MARGIN) * FINE) for size in (_HIGH, _WIDE))
    mask = np.zeros((rows * _FINER, columns * _FINER), np.uint8)
    if character == "0":
        _zero(mask, face.thin_zero)
    else:
        _parts(mask, character, face)
    mask = np.asarray(
        cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA) > 127, np.uint8
    )
    # The standard's zero is a ring: it has no free corners.
    return _outline(mask, face, 0.0 if character == "0" else min(face.corner, _ROUNDEST))


def _parts(mask: NDArray[np.uint8], character: str, face: Face) -> None:
    rectangles = [
        [float(number) for number in part.split()] for part in _PARTS[character].split(", ")
    ]
    width = max(x1 for _, _, x1, _ in rectangles)
    moved = _loosen(rectangles, face, character)
    for x0, y0, x1, y1 in moved:
        _fill(mask, [(x0, y0), (x1, y0), (x1, y1), (x0, y1)], width)
    if character == "7":
        _fill(mask, _SEVEN, width)


def _loosen(rectangles: list[list[float]], face: Face, character: str) -> list[list[float]]:
    """Move each inner edge a little, and all parts that share it alike."""
    rng = np.random.default_rng([face.cut, ord(character)])
    moved: dict[tuple[int, float], float] = {}
    for axis in (0, 1):
        values = sorted({rectangle[side] for rectangle in rectangles for side in (axis, axis + 2)})
        shifts = rng.uniform(-face.loose, face.loose, len(values))
        shifts[[0, -1]] = 0
        moved |= {(axis, value): value + shift for value, shift in zip(values, shifts, strict=True)}
    return [[moved[side % 2, value] for side, value in enumerate(row)] for row in rectangles]


def _zero(mask: NDArray[np.uint8], thin: bool) -> None:
    width, side = (6.8, 0.8) if thin else (7.0, 1.0)
    _fill(mask, _rounded(0, 0, width, 9, 2.0), width)
    hole = np.zeros_like(mask)
    _fill(hole, _rounded(side, 1, width - side, 8, 1.0), width)
    mask[hole > 0] = 0


def _rounded(
    x0: float, y0: float, x1: float, y1: float, radius: float
) -> list[tuple[float, float]]:
    turn = np.linspace(0, np.pi / 2, 9)
    centres = ((x1, y1), (x0, y1), (x0, y0), (x1, y0))
    return [
        (
            cx + (radius if cx == x0 else -radius) + radius * np.cos(angle + quarter * np.pi / 2),
            cy + (radius if cy == y0 else -radius) + radius * np.sin(angle + quarter * np.pi / 2),
        )
        for quarter, (cx, cy) in enumerate(centres)
        for angle in turn
    ]


def _fill(
    mask: NDArray[np.uint8],
    corners: list[tuple[float, float]] | tuple[tuple[float, float], ...],
    width: float,
) -> None:
    """Fill a polygon given in modules of a glyph ``width`` wide."""
    left = MARGIN + _WIDE - width
    points = (np.array(corners) + np.array([left, MARGIN])) * FINE * _FINER - 0.5
    cv2.fillPoly(mask, [(points * 16).round().astype(np.int32)], 255, shift=4)


def _outline(mask: NDArray[np.uint8], face: Face, corner: float) -> Levels:
    """Round the corners and let the ink spread: heights in modules."""
    radius = round(corner * FINE)
    # Take a corner's radius off all around, and put it on again. A pixel beside the edge is half a
    # pixel from it.
    core = (_distance(mask) - 0.5 >= radius).astype(np.uint8)
    height = np.where(core > 0, _distance(core) - 0.5, 0.5 - _distance(1 - core))
    levels = ((height + radius) / FINE + face.weight).astype(np.float32)
    if not face.aspect:
        return levels
    sideways = [
        cv2.warpAffine(
            levels,
            np.array([[1, 0, sign * face.aspect * FINE], [0, 1, 0]], np.float32),
            levels.shape[::-1],
            borderMode=cv2.BORDER_REPLICATE,
        )
        for sign in (-1, 1)
    ]
    spread = np.maximum if face.aspect > 0 else np.minimum
    return np.asarray(spread(*sideways), np.float32)


def _distance(mask: NDArray[np.uint8]) -> Levels:
    """Pixels from each pixel's centre to the centre of the nearest one that is zero."""
    return np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
