"""Finding characters along a track, wherever they stand, and the grid that they stand on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import e13b
from . import bank as banks
from .arrays import Flags, Floats, Grey, Indices, Ink
from .bank import COARSE, Bank
from .cells import spreads
from .pens import black_and_all
from .track import Track

_COUNT = len(e13b.CHARACTERS)
# A window, in pixels of the coarse grid.
_HIGH, _WIDE = banks.HEIGHT * COARSE, banks.WIDTH * COARSE

# Correlation from which on something is taken for a character when the grid is looked for.
_LIKELY = 0.6
# Characters are this far apart, in modules; the standard's tolerance is 0.8 of 9.6.
_APART = 7.0


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Characters found, from left to right: places of their windows in modules, and how sure.

    ``u`` and ``v`` are the windows' left and top, ``character`` indexes `e13b.CHARACTERS`,
    ``score`` is a correlation.
    """

    u: Floats
    v: Floats
    character: Indices
    score: Floats

    @property
    def worth(self) -> float:
        """What a line is ranked by: how many characters are found, as if each were perfect.

        Other print is full of shapes that correlate with some character by 0.6 to 0.7.
        """
        return float((((self.score - 0.55) / 0.45) ** 2).sum())

    def chosen(self, keep: Flags | Indices) -> "Glimpse":
        """Return some of the characters."""
        return Glimpse(self.u[keep], self.v[keep], self.character[keep], self.score[keep])


def glimpse(
    planes: tuple[Grey, Grey], track: Track, bank: Bank, left: float, right: float, reach: float
) -> Iterator[Glimpse]:
    """Look for characters up to ``reach`` modules above and below where they should be.

    Yields what is found upright, and then upside down (places still along the track as it is).
    """
    seen, _ = black_and_all(planes, track, left, right, -reach - 1, 10 + reach, COARSE)
    rows, columns = seen.shape[0] - _HIGH + 1, seen.shape[1] - _WIDE + 1
    # All heights at once: a window is as high as the strip, and column by column it is one piece.
    pieces = sliding_window_view(seen.T.ravel(), _WIDE * len(seen))[:: len(seen)]
    flat = np.ascontiguousarray(pieces)
    spread = spreads(seen, _HIGH, _WIDE)[:rows, :columns].T
    # Noise correlates with something too: next to nothing of ink is no character.
    floor = 0.35 * float(np.percentile(spread, 90)) + 1e-6
    scale = 1 / np.maximum(spread, floor)[:, :, None]
    for way in (slice(None, _COUNT), slice(_COUNT, None)):
        scores = flat @ _at_every_height(bank.coarse[:, way], rows)
        scores = np.asarray(scores.reshape(columns, rows, _COUNT) * scale, np.float32)
        yield _peaks(scores, left, -reach - 1)


def _at_every_height(templates: Ink, rows: int) -> Ink:
    """Return what finds templates in a piece of a strip: pixels x (heights and characters)."""
    drawn = templates.reshape(_HIGH, _WIDE, _COUNT).transpose(1, 0, 2)
    lifted = np.zeros((_WIDE, _HIGH + rows - 1, rows, _COUNT), np.float32)
    for row in range(rows):
        lifted[:, row : row + _HIGH, row] = drawn
    return lifted.reshape(-1, rows * _COUNT)


def _peaks(scores: Ink, left: float, top: float) -> Glimpse:
    """Take the best character, then the best that is not too near to it, and so on.

    ``scores``: columns x heights x characters.
    """
    columns, _, count = scores.shape
    best = scores.reshape(columns, -1)
    what = best.argmax(axis=1)
    score = best[np.arange(columns), what].astype(np.float64)
    apart = round(_APART * COARSE)
    taken: list[int] = []
    left_over = score.copy()
    while True:
        column = int(left_over.argmax())
        if left_over[column] < _LIKELY:
            break
        taken.append(column)
        left_over[max(0, column - apart + 1) : column + apart] = 0
    places = np.array(sorted(taken), np.intp)
    return Glimpse(
        left + places / COARSE,
        top + what[places] // count / COARSE,
        what[places] % count,
        score[places],
    )
