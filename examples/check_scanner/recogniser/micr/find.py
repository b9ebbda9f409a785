"""Finding characters along a track, wherever they stand, and the grid that they stand on."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import e13b
from . import bank as banks
from .arrays import Flags, Floats, Grey, Indices, Ink
from .bank import COARSE, Bank
from .cells import spreads
from .pens import black
from .track import Track

_COUNT = len(e13b.CHARACTERS)

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
) -> tuple[Glimpse, Glimpse]:
    """Look for characters up to ``reach`` modules above and below where they should be.

    Returns what was found upright, and upside down (places still along the track as it is).
    """
    seen = black(planes, track, left, right, -reach - 1, 10 + reach, COARSE)
    size = (banks.HEIGHT * COARSE, banks.WIDTH * COARSE)
    windows = sliding_window_view(seen, size)
    rows, columns = windows.shape[:2]
    flat = np.ascontiguousarray(windows).reshape(rows * columns, -1)
    spread = spreads(seen, *size)[:rows, :columns].ravel()
    scores = flat @ bank.coarse
    # Noise correlates with something too: next to nothing of ink is no character.
    floor = 0.35 * np.percentile(spread, 90) + 1e-6
    scores /= np.maximum(spread, floor)[:, None]
    scores = scores.reshape(rows, columns, 2, _COUNT)
    upright, turned = (_peaks(scores[:, :, way], left, -reach - 1) for way in (0, 1))
    return upright, turned


def _peaks(scores: Ink, left: float, top: float) -> Glimpse:
    """Take the best character, then the best that is not too near to it, and so on."""
    _, columns, count = scores.shape
    best = scores.transpose(1, 0, 2).reshape(columns, -1)
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
