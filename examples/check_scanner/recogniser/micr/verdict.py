"""How certain each position is: what may be believed without a second look."""

from dataclasses import dataclass

import numpy as np

from ..e13b import CHARACTERS
from .arrays import Flags, Floats, Indices
from .cells import Cells
from .evidence import Evidence

#: Index of what is empty: one more than the last character's.
NOTHING = len(CHARACTERS)

# Log odds that a position is what it is most like, for a character and for a blank: a weight for
# each of `_measures`, and a constant. Fitted to the 28,000 positions of 890 drawn photos with pen
# strokes through the line, of which 150 were misread; `benchmarks/micr.py` has the curve.
_CHARACTER = (2.78, 4.76, 0.43, 4.06, -1.01, 0.79, 0.05, -2.29, -0.42, -0.1), 0.07
_BLANK = (5.66, 0.0, 0.37, 4.32, 0.08, -2.76, -0.58, -2.68, -0.39, -2.19), 10.49
# From these odds on either is believed. In photos that the weights were not fitted to, misread
# characters that would have ended up in a field came to 5.1, and blanks to 4.8.
_SURE_CHARACTER, _SURE_BLANK = 5.5, 5.0
# A clean character of the value must lead by so much in the luminance, which sees all strokes.
_SECOND = 0.2
# No blank is like a character, however faint: of 1,750 blanks in bad photos 1 % was as like as
# this, a digit of which glare left a twentieth of its ink by 0.62. Background print may be as like,
# but leaves less ink than this share.
_FAINT, _TRACE = 0.5, 0.07


@dataclass(frozen=True, slots=True)
class Verdict:
    """For each position: is it ``sure``, and how sure (0 to 1, the share of such that are right).

    ``best`` indexes `e13b.CHARACTERS`, or is `NOTHING`.
    """

    best: Indices
    sure: Flags
    confidence: Floats


def verdict(look: Cells, value: Evidence, luminance: Evidence) -> Verdict:
    """Judge each position by everything that was measured of it."""
    best = value.cost.argmin(axis=1)
    blank = best == NOTHING
    measures = _measures(look, value, luminance, best)
    odds = np.where(blank, _odds(measures, *_BLANK), _odds(measures, *_CHARACTER))
    clean = value.clean & (_lead(luminance.strict, best) > _SECOND)
    sure = clean | (odds > np.where(blank, _SURE_BLANK, _SURE_CHARACTER))
    sure[blank] &= ~_faint(look, blank)
    return Verdict(best, sure, 1 / (1 + np.exp(-odds)))


def _faint(look: Cells, blank: Flags) -> Flags:
    """Tell for each blank whether it may be a character of which hardly anything is left."""
    faint = look.score[blank].max(axis=1) > _FAINT
    faint[faint] = [np.percentile(ink, 97) > _TRACE for ink in look.window[blank][faint]]
    return np.asarray(faint)


def _measures(look: Cells, value: Evidence, luminance: Evidence, best: Indices) -> Floats:
    """Return positions x measures.

    They are how like the best character a position is, and by how much more than any other; how
    much dearer all else is, strictly and leniently, in the value and in the luminance; and what
    the best itself costs, in the same order.
    """
    at, blank = np.arange(len(best)), best == NOTHING
    character = np.where(blank, 0, best)
    others = look.score.copy()
    others[at, character] = -1
    like = np.where(blank, -look.score.max(axis=1), look.score[at, character])
    unlike = np.where(blank, 0, like - others.max(axis=1))
    costs = (value.strict, value.lenient, luminance.strict, luminance.lenient)
    limits = ((-2, 3), (-0.5, 1.5)) * 2
    leads = [np.clip(_lead(cost, best), *ends) for cost, ends in zip(costs, limits, strict=True)]
    own = [np.log(cost[at, best] + 0.2) for cost in costs]
    return np.stack([like, np.clip(unlike, -0.3, 0.3), *leads, *own], axis=1)


def _odds(measures: Floats, weights: tuple[float, ...], constant: float) -> Floats:
    return np.asarray(measures @ np.array(weights) + constant)


def _lead(cost: Floats, best: Indices) -> Floats:
    """Return how much dearer anything else is than ``best``; negative if something is cheaper."""
    at = np.arange(len(best))
    others = cost.copy()
    others[at, best] = np.inf
    return np.asarray(others.min(axis=1) - cost[at, best])
