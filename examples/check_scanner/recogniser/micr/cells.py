"""Reading a line position by position: every character against every position's window."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import e13b
from .arrays import Floats, Grey, Indices, Ink
from .bank import BLURS, FINE, HEIGHT, MARGIN, WIDTH, Bank
from .locate import PITCH
from .network import PIXELS, SIDE
from .pens import black_and_all
from .track import Track

# How far a character is looked for around its place, in pixels of the fine grid: the standard lets
# it be 0.8 modules off along the line and half a module in height.
_ASIDE, _UP = 3, 2
# Modules of the strip above and below the glyphs, and beside the outermost windows.
_AIR = MARGIN + _UP / FINE + 1
_BESIDE = (SIDE - WIDTH) / 2 + 0.5
_ZERO = e13b.CHARACTERS.index("0")
# Correlation of a character that is certain, and how far the next one is behind it.
_SURE, _CLEAR = 0.8, 0.08
# The palest that a character may be, as a share of its neighbours.
_PALEST = 0.4
_SIZE = (HEIGHT * FINE, WIDTH * FINE)


@dataclass(frozen=True, slots=True)
class Cells:
    """What each position of a line looks like.

    ``score``: positions x characters, the best correlation near the place. ``windows``: positions x
    places near by x pixels, of which ``at`` says where each character is most like; the middle one
    is ``aside`` modules right of the place itself. ``around``: positions x rows x columns x (black
    ink, all ink), a square there, as `network.logits` wants it. ``variant`` indexes `Bank.fine`.
    """

    first: int
    variant: int
    score: Floats
    aside: Floats
    windows: Ink
    at: Indices
    around: Ink

    def seen_as(self, character: Indices) -> Ink:
        """Return positions x rows x columns: where a position is most like that character."""
        every = np.arange(len(character))
        return self.windows[every, self.at[every, character]].reshape(-1, *_SIZE)

    def right_of_place(self, character: Indices) -> Floats:
        """Return by how many modules that character is right of each position's place."""
        at = self.at[np.arange(len(character)), character] % (2 * _ASIDE + 1)
        return np.asarray(self.aside + (at - _ASIDE) / FINE)


def cells(
    planes: tuple[Grey, Grey], track: Track, bank: Bank, usual: int, first: int, last: int
) -> Cells:
    """Compare positions ``first`` to ``last``, in the variant that fits their characters best."""
    seen, second, exact, row = _band(planes, track, first, last)
    column = np.round(exact).astype(np.intp)
    aside, up = np.arange(-_ASIDE, _ASIDE + 1), np.arange(-_UP, _UP + 1)
    views, spread = sliding_window_view(seen, _SIZE), spreads(seen, *_SIZE)
    at = row + up[None, :, None], column[:, None, None] + aside[None, None, :]
    count, pixels = len(column), _SIZE[0] * _SIZE[1]
    windows = views[at].reshape(count, len(up) * len(aside), pixels)
    scale = spread[at].reshape(count, -1, 1)
    scores = _correlations(windows, scale, bank, usual)
    variant = _variant(windows, scale, scores, bank, usual)
    if variant != usual:
        scores = _correlations(windows, scale, bank, variant)
    return Cells(
        first,
        variant,
        scores.max(axis=1).astype(np.float64),
        (column - exact) / FINE,
        windows,
        scores.argmax(axis=1),
        _around(seen, second, row, column),
    )


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
    left, right = first * PITCH - _BESIDE, last * PITCH + WIDTH + _BESIDE
    seen = black_and_all(planes, track, left, right, -_AIR, HEIGHT - 2 * MARGIN + _AIR, FINE)
    exact = (np.arange(first, last + 1) * PITCH - left) * FINE
    return *seen, exact, round((_AIR - MARGIN) * FINE)


def _around(seen: Ink, second: Ink, row: int, column: Indices) -> Ink:
    """Return the squares around the places: black ink and all ink."""
    views = sliding_window_view(np.stack([seen, second], axis=2), (PIXELS, PIXELS), axis=(0, 1))
    at = row - (SIDE - HEIGHT) // 2 * FINE, column - (SIDE - WIDTH) // 2 * FINE
    return np.ascontiguousarray(views[at].transpose(0, 2, 3, 1))


def _correlations(windows: Ink, scale: Ink, bank: Bank, variant: int) -> Ink:
    """Correlate windows with all characters; some printers cut the zero thinner than the rest."""
    scores = windows @ bank.fine[variant]
    thin = windows @ bank.fine[variant % len(BLURS)][:, _ZERO]
    scores[..., _ZERO] = np.maximum(scores[..., _ZERO], thin)
    return np.asarray(scores / scale, np.float32)


def levels(look: Cells, ink: Ink) -> Floats:
    """Return how black the ink is at each position, from the characters that are certain.

    ``ink`` has the glyphs, as in `Bank.ink`.
    """
    order = np.sort(look.score, axis=1)
    sure = np.flatnonzero((order[:, -1] > _SURE) & (order[:, -1] - order[:, -2] > _CLEAR))
    everywhere = np.arange(len(look.score))
    like = look.score.argmax(axis=1)
    window = look.seen_as(like)
    if not len(sure):
        return np.full(len(everywhere), max(0.2, float(np.percentile(window, 97))))
    drawn = ink[like[sure]]
    level = (drawn * window[sure]).sum(axis=(1, 2)) / (drawn**2).sum(axis=(1, 2))
    near = np.abs(sure[None] - sure[:, None]) <= 3
    # Medians of what is near, all at once: the rest is sorted to the end.
    ordered = np.sort(np.where(near, level[None], np.inf), axis=1)
    count, row = near.sum(axis=1), np.arange(len(sure))
    smooth = (ordered[row, (count - 1) // 2] + ordered[row, count // 2]) / 2
    return np.asarray(np.interp(everywhere, sure, smooth))


def missing(look: Cells, level: Floats, ink: Ink, character: Indices) -> Floats:
    """Return how much ink each position lacks of a character, in square modules; a digit has 20.

    Pens add ink and never take any away: what is missing is hidden, or the character is another.
    All of it may be paler than its neighbours, and edges a pixel off.
    """
    drawn = ink[character]
    window = np.clip(look.seen_as(character) / level[:, None, None], 0, 1)
    black = (drawn * window).sum(axis=(1, 2)) / (drawn**2).sum(axis=(1, 2))
    window /= np.clip(black, _PALEST, 1)[:, None, None]
    # Ink spreads by a pixel: as channels of one picture, all positions at once.
    channels = np.ascontiguousarray(window.transpose(1, 2, 0), np.float32)
    spread = cv2.dilate(channels, np.ones((3, 3), np.uint8)).reshape(channels.shape)
    lacking = np.maximum(drawn - spread.transpose(2, 0, 1), 0)
    return np.asarray((lacking**2).sum(axis=(1, 2)) / FINE**2)


def _variant(windows: Ink, scale: Ink, scores: Ink, bank: Bank, usual: int) -> int:
    """Return the weight and blur that the line was printed and seen with."""
    flat = scores.max(axis=1)
    order = np.sort(flat, axis=1)
    sure = np.flatnonzero((order[:, -1] > _SURE) & (order[:, -1] - order[:, -2] > _CLEAR))
    if not len(sure):
        return usual
    character = flat[sure].argmax(axis=1)
    best = scores[sure, :, character].argmax(axis=1)
    picked = windows[sure, best] / scale[sure, best]
    # Columns of all variants for each character seen: one product instead of one per variant.
    fits = np.einsum("kp,vpk->v", picked, bank.fine[:, :, character], optimize=True)
    return int(fits.argmax())
