"""Where a MICR line might be: rows of equally high blobs at one distance from each other."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .. import e13b
from . import robust
from .arrays import Floats, Grey, Indices, Ink

#: Glyph height and pitch in modules, and pitch over height: 1.068.
HEIGHT = float(e13b.GLYPH_HEIGHT)
PITCH = e13b.PITCH / e13b.MODULE

# Glyphs lower than this many pixels are not legible (75 dpi); blobs are at least that high.
_LOWEST = 7
# The lightest ink that is looked at, as a share of the paper around it.
_FAINTEST = 0.16
_STEEPEST = 0.4
_MOST_BLOBS = 700
_MOST_PAIRS = 1500
_FEWEST = 6
# Under many pen strokes, blobs that are left may be no more regular than other print.
_IRREGULAR = 0.2
# How much less regular a row may seem before its blobs' heights are known.
_LOOSELY = 0.3
# Distances of neighbours over their height that are tried.
_PITCHES = np.linspace(0.86, 1.14, 57) * PITCH / HEIGHT
_FREQUENCIES = (1 / _PITCHES).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of blobs: the line through their middles ``y = at(x)`` and their height ``h(x)``.

    Both are polynomials in x (numpy's order), in pixels; ``left`` and ``right`` are the outermost
    blobs, ``pitch`` their distance over the local height, and ``regular`` how alike distances are:
    1 are those of a grid, proportional print has about 0.3.
    """

    middle: Floats
    height: Floats
    left: float
    right: float
    pitch: float
    regular: float
    members: int


def blobs(grey: Grey) -> Floats:
    """Return one row (x, y, height, width; middles) for each blob that may be a glyph."""
    return _blobs(*_dark(grey))


def rows(blobs: Floats, most: int = 4, regular: float = 0.0) -> Iterator[Row]:
    """Yield the most promising rows of blobs, best first, that are about as ``regular``."""
    if len(blobs) < _FEWEST:
        return
    found: list[Row] = []
    lines = [(_regularity(blobs[members]), members) for members in _lines(blobs, 3 * most)]
    lines.sort(key=lambda line: -len(line[1]) * max(line[0], _IRREGULAR))
    for least, members in lines:
        row = _fitted(blobs[members]) if least > regular - _LOOSELY else None
        if row is not None and not any(_same(row, other) for other in found):
            found.append(row)
            yield row
        if len(found) == most:
            return


def _regularity(blobs: Floats) -> float:
    """Return about what `Row.regular` will be."""
    x, _, h, w = blobs.T
    one, other = np.triu_indices(len(x), 1)
    tall = robust.median(h)
    edges = (x + w / 2, x - w / 2)
    return max(_pitch(np.abs(edge[one] - edge[other]) / tall)[0] for edge in edges)


def _dark(grey: Grey) -> tuple[Grey, Ink]:
    """Mark what is darker than half way between the paper and the ink around it.

    Also returns their contrast as a share of the paper, for every fourth row and column.
    """
    height, width = grey.shape
    smooth = cv2.blur(grey, (3, 3))
    # Of a plain surface: what the blur took away, most of it is noise; 1.5 turns a median of
    # absolute values into a standard deviation.
    grain = np.bincount(cv2.absdiff(grey[::4, ::3], smooth[::4, ::3]).ravel())
    noise = 1.5 * float(np.searchsorted(np.cumsum(grain), (grain.sum() + 1) // 2))
    small = cv2.resize(
        grey, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA
    )
    around = np.ones((9, 9), np.uint8)
    paper = cv2.blur(cv2.dilate(small, around), (7, 7)).astype(np.float32)
    ink = cv2.blur(cv2.erode(small, around), (7, 7)).astype(np.float32)
    # What differs less from its surroundings is noise or background print.
    level = np.minimum((paper + ink) / 2, paper * (1 - _FAINTEST / 2) - 1.2 * noise)
    threshold = cv2.resize(np.maximum(level, 0).astype(np.uint8), (width, height))
    contrast = (1 - ink / np.maximum(paper, 1)).astype(np.float32)
    return np.asarray(cv2.compare(smooth, threshold, cv2.CMP_LT), np.uint8), contrast


def _blobs(dark: Grey, contrast: Ink) -> Floats:
    # Of all algorithms the fastest where there is grain: a third of the default's time.
    _, _, stats, _ = cv2.connectedComponentsWithStatsWithAlgorithm(
        dark, connectivity=8, ltype=cv2.CV_32S, ccltype=cv2.CCL_BBDT
    )
    left, top, width, height, area = (stats[1:, column] for column in range(5))
    likely = (
        (height >= _LOWEST)
        & (height <= dark.shape[0] // 6)
        & (width <= 1.4 * height)
        & (width >= 0.12 * height)
        & (area >= 0.12 * width * height)
    )
    x, y = left + width / 2, top + height / 2
    blobs = np.stack([x, y, height, width], axis=1)[likely].astype(np.float64)
    if len(blobs) > _MOST_BLOBS:
        # The grain of a table makes thousands of them, but faint ones: ink is what is black.
        row, column = (blobs[:, (1, 0)] / 4).astype(np.intp).T
        rows_, columns = contrast.shape
        strength = contrast[np.minimum(row, rows_ - 1), np.minimum(column, columns - 1)]
        blobs = blobs[np.argsort(-strength, kind="stable")[:_MOST_BLOBS]]
    return np.asarray(blobs)


def _lines(blobs: Floats, most: int) -> list[Indices]:
    """Return sets of blobs in a row, found from pairs a few characters apart."""
    x, y, h, _ = blobs.T
    dx, dy = x[None] - x[:, None], y[None] - y[:, None]
    size = (h[None] + h[:, None]) / 2
    pair = (
        (dx > 1.6 * size)
        & (dx < 6.5 * size)
        & (np.abs(dy) < _STEEPEST * dx)
        & (np.abs(h[None] - h[:, None]) < 0.15 * size + 1)
    )
    first, second = np.nonzero(pair)
    if not len(first):
        return []
    if len(first) > _MOST_PAIRS:
        chosen = np.linspace(0, len(first) - 1, _MOST_PAIRS).astype(np.intp)
        first, second = first[chosen], second[chosen]
    slope = dy[first, second] / dx[first, second]
    away = x[None] - x[first][:, None]
    off = np.abs(y[None] - y[first][:, None] - slope[:, None] * away)
    tall = size[first, second][:, None]
    reach = 0.2 * tall + 0.02 * np.abs(away)
    alike = np.abs(h[None] - tall) < (0.12 + 0.0004 * np.abs(away)) * tall + 1
    member = (off < reach) & alike & (np.abs(away) < 45 * tall)
    count = member.sum(axis=1)
    lines: list[Indices] = []
    while len(lines) < most:
        best = int(count.argmax())
        if count[best] < _FEWEST:
            break
        members = np.flatnonzero(member[best])
        lines.append(members)
        # Pairs that mostly say the same are done with.
        count[member[:, members].sum(axis=1) > 0.5 * count] = 0
    return lines


def _fitted(blobs: Floats) -> Row | None:
    """Fit middle and height, thrice, each time without what was off."""
    for _ in range(3):
        if len(blobs) < _FEWEST:
            return None
        x, y, h, w = blobs.T
        span = np.ptp(x)
        scale = max(1.0, 0.06 * robust.median(h))
        order = 2 if len(x) >= 12 and span > 15 * h.mean() else 1
        middle = robust.fitted(x, y, order, scale)
        slope = float(np.polyval(np.polyder(middle), x.mean()))
        # The box around a turned rectangle is higher than the rectangle.
        cos, sin = 1 / np.hypot(1, slope), abs(slope) / np.hypot(1, slope)
        upright = (h * cos - w * sin) / (cos**2 - sin**2)
        usual = robust.median(upright)
        height = robust.fitted(x, upright, 1 if span > 12 * usual else 0, scale)
        off = np.abs(y - np.polyval(middle, x))
        odd = np.abs(upright - np.polyval(height, x))
        keep = (off < max(1.5, 0.12 * usual)) & (odd < max(1.5, 0.12 * usual))
        if keep.all():
            break
        blobs = blobs[keep]
    if len(blobs) < _FEWEST:
        return None
    # Right edges are on the grid, of what is upside down the left ones.
    tall = np.polyval(height, x)
    edges = (x + w / 2, x - w / 2)
    regular, pitch = max(_pitch(np.abs(edge[None] - edge[:, None]) / tall) for edge in edges)
    left, right = float(x.min() - w.max()), float(x.max() + w.max())
    return Row(middle, height, left, right, pitch, regular, len(blobs))


def _pitch(gap: Floats) -> tuple[float, float]:
    """Return how regular distances of neighbours are, and their pitch; both in heights."""
    near = gap[(gap > 0.7) & (gap < 3.6)]
    if not len(near):
        return 0.0, PITCH / HEIGHT
    # In 32 bits, a cosine takes a tenth of the time.
    turns = near.astype(np.float32) * np.float32(2 * np.pi)
    regular = np.cos(_FREQUENCIES[:, None] * turns).mean(axis=1)
    return float(regular.max()), float(_PITCHES[regular.argmax()])


def _same(row: Row, other: Row) -> bool:
    """Tell whether two rows are one: they overlap and run together."""
    left, right = max(row.left, other.left), min(row.right, other.right)
    if left > right:
        return False
    x = (left + right) / 2
    apart = abs(np.polyval(row.middle, x) - np.polyval(other.middle, x))
    return bool(apart < 0.5 * np.polyval(row.height, x))
