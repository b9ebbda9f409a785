"""Reading a line position by position: every character against every position's window."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import e13b
from .arrays import Floats, Grey, Indices, Ink
from .bank import BLURS, FINE, HEIGHT, MARGIN, WIDTH, Bank
from .locate import PITCH
from .pens import black_and_all
from .track import Track

# How far a character is looked for around its place, in pixels of the fine grid: the standard lets
# it be 0.8 modules off along the line and half a module in height.
_ASIDE, _UP = 3, 2
_AIR = MARGIN + _UP / FINE + 1
_ZERO = e13b.CHARACTERS.index("0")
_SIZE = (HEIGHT * FINE, WIDTH * FINE)


@dataclass(frozen=True, slots=True)
class Cells:
    """What each position of a line looks like.

    ``score``: positions x characters, the best correlation near the place. ``shift``: by how many
    modules (right, down) the best character is off its place. ``place``: row and column of the
    window there, ``window`` its pixels, ``around`` the nine windows up to a pixel from it.
    ``variant`` indexes `Bank.fine`.
    """

    first: int
    variant: int
    score: Floats
    shift: Floats
    place: Indices
    window: Ink
    around: Ink


def cells(
    planes: tuple[Grey, Grey], track: Track, bank: Bank, usual: int, first: int, last: int
) -> tuple[Cells, Cells]:
    """Compare positions ``first`` to ``last``, in the variant that fits their characters best.

    The second of what is returned is what the luminance shows in the very windows of the first;
    scores are the same. It is the first itself if the picture is grey.
    """
    seen, second, exact, row = _band(planes, track, first, last)
    column = np.round(exact).astype(np.intp)
    aside, up = np.arange(-_ASIDE, _ASIDE + 1), np.arange(-_UP, _UP + 1)
    views, spread = sliding_window_view(seen, _SIZE), spreads(seen, *_SIZE)
    column = np.clip(column, _ASIDE, views.shape[1] - 1 - _ASIDE)
    at = row + up[None, :, None], column[:, None, None] + aside[None, None, :]
    count, pixels = len(column), _SIZE[0] * _SIZE[1]
    windows = views[at].reshape(count, len(up) * len(aside), pixels)
    scale = spread[at].reshape(count, -1, 1)
    scores = _correlations(windows, scale, bank, usual)
    variant = _variant(windows, scale, scores, bank, usual)
    if variant != usual:
        scores = _correlations(windows, scale, bank, variant)
    best = scores.max(axis=2).argmax(axis=1)
    right, down = best % len(aside), best // len(aside)
    shift = np.stack([aside[right] + column - exact, up[down]], axis=1) / FINE
    # Beside the best place there is a window on every side.
    right, down = np.clip(right, 1, len(aside) - 2), np.clip(down, 1, len(up) - 2)
    place = np.stack([row + up[down], column + aside[right]], axis=1)
    look = Cells(
        first, variant, scores.max(axis=1).astype(np.float64), shift, place, *_windows(seen, place)
    )
    if second is seen:
        return look, look
    window, around = _windows(second, place)
    return look, replace(look, window=window, around=around)


def spreads(seen: Ink, rows: int, columns: int) -> Ink:
    """Return for every window (named by its top left pixel) the norm of what differs from its mean.

    What hardly differs is noise, which correlates with something too: 5 % of black is the least.
    """
    pixels = rows * columns
    size, corner = (columns, rows), (0, 0)
    mean = cv2.boxFilter(seen, -1, size, anchor=corner, borderType=cv2.BORDER_REPLICATE)
    square = cv2.sqrBoxFilter(seen, -1, size, anchor=corner, borderType=cv2.BORDER_REPLICATE)
    floor = 0.05**2 * pixels / 10
    return np.asarray(np.sqrt(np.maximum((square - mean * mean) * pixels, floor)), np.float32)


def _band(
    planes: tuple[Grey, Grey], track: Track, first: int, last: int
) -> tuple[Ink, Ink, Floats, int]:
    """Return the strip with these positions, and the windows' exact columns and their row.

    The strip is that of black ink and that of all ink.
    """
    left = first * PITCH - _ASIDE / FINE - 0.5
    right = last * PITCH + WIDTH + _ASIDE / FINE + 0.5
    seen = black_and_all(planes, track, left, right, -_AIR, HEIGHT - 2 * MARGIN + _AIR, FINE)
    exact = (np.arange(first, last + 1) * PITCH - left) * FINE
    return *seen, exact, round((_AIR - MARGIN) * FINE)


def _windows(seen: Ink, place: Indices) -> tuple[Ink, Ink]:
    """Return the windows at the places, and the nine at and around each."""
    views = sliding_window_view(seen, _SIZE)
    near = np.arange(-1, 2)
    rows = place[:, 0, None, None] + near[None, :, None]
    columns = place[:, 1, None, None] + near[None, None, :]
    around = views[rows, columns].reshape(len(place), 9, *_SIZE)
    return around[:, 4], around


def _correlations(windows: Ink, scale: Ink, bank: Bank, variant: int) -> Ink:
    """Correlate windows with all characters; some printers cut the zero thinner than the rest."""
    scores = windows @ bank.fine[variant]
    thin = windows @ bank.fine[variant % len(BLURS)][:, _ZERO]
    scores[..., _ZERO] = np.maximum(scores[..., _ZERO], thin)
    return np.asarray(scores / scale, np.float32)


def _variant(windows: Ink, scale: Ink, scores: Ink, bank: Bank, usual: int) -> int:
    """Return the weight and blur that the line was printed and seen with."""
    flat = scores.max(axis=1)
    order = np.sort(flat, axis=1)
    sure = np.flatnonzero((order[:, -1] > 0.8) & (order[:, -1] - order[:, -2] > 0.08))
    if not len(sure):
        return usual
    character = flat[sure].argmax(axis=1)
    best = scores[sure, :, character].argmax(axis=1)
    picked = windows[sure, best] / scale[sure, best]
    # Columns of all variants for each character seen: one product instead of one per variant.
    fits = np.einsum("kp,vpk->v", picked, bank.fine[:, :, character], optimize=True)
    return int(fits.argmax())
