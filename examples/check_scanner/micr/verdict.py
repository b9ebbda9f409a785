"""How certain each position is: what may be believed without a second look."""

from dataclasses import dataclass

import numpy as np

from examples.check_scanner.e13b import CHARACTERS
from examples.check_scanner.micr.arrays import Flags, Floats, Indices
from examples.check_scanner.micr.cells import Cells
from examples.check_scanner.micr.evidence import APART, CLEAN, Evidence

#: Index of what is empty: one more than the last character's.
NOTHING = len(CHARACTERS)

# A character that something lies over, or that is blurred, is believed if correlation, strict and
# lenient costs agree on it in both planes, and all by a margin. Of 7,600 positions in 238 photos
# with pen strokes, 75 were misread; none of these came near to all of the limits at once.
_LIKE, _UNLIKE = 0.82, 0.12  # correlation: least, and least distance from the next character
_COST = 0.25  # lenient: most
_STRICT, _LENIENT = 0.3, 0.1  # costs: least distance from the next
# A cut that is thinner than the standard costs much, but correlates with nothing else.
_UNLIKE_ALL, _STRICT_LEAD = 0.18, 0.6
# The luminance sees coloured strokes that the value hardly does: it must agree, by less.
_SECOND = 0.7
# A blank position may have a stroke through it, but not one that could be a character.
_TOUCHED, _STILL_BLANK = 0.8, 0.4
# Nor is it one that is like a character, however faint: of 1,750 blanks in bad photos 1 % was as
# like, a digit of which glare left a twentieth of its ink by 0.62.
_FAINT = 0.5


@dataclass(frozen=True, slots=True)
class Verdict:
    """For each position: is it ``sure``, and how sure (0 to 1).

    ``best`` indexes `e13b.CHARACTERS`, or is `NOTHING`.
    """

    best: Indices
    sure: Flags
    confidence: Floats


def verdict(look: Cells, value: Evidence, luminance: Evidence) -> Verdict:
    """Judge each position by everything that was measured of it."""
    best = value.cost.argmin(axis=1)
    at = np.arange(len(best))
    score = np.sort(look.score, axis=1)
    like = np.where(look.score.argmax(axis=1) == best, score[:, -1], 0)
    unlike = score[:, -1] - score[:, -2]
    strict, lenient = _lead(value.strict, best), _lead(value.lenient, best)
    second = (_lead(luminance.strict, best), _lead(luminance.lenient, best))
    through = (
        (like > _LIKE)
        & (unlike > _UNLIKE)
        & (value.lenient[at, best] < _COST)
        & (strict > _STRICT)
        & (lenient > _LENIENT)
        & (second[0] > _SECOND * _STRICT)
        & (second[1] > _SECOND * _LENIENT)
    )
    thin = (like > _LIKE) & (unlike > _UNLIKE_ALL) & (strict > _STRICT_LEAD)
    through |= thin & (second[0] > _SECOND * _STRICT_LEAD)
    clean = value.clean & (second[0] > _SECOND * _STRICT)
    faint = score[:, -1] > _FAINT
    touched = (value.strict[:, -1] < _TOUCHED) & (strict > _STILL_BLANK) & (second[0] > 0)
    sure = np.where(best == NOTHING, (clean | touched) & ~faint, clean | through)
    # How much of what makes a clean character is there, by the measure that says least.
    shares = [unlike / _UNLIKE_ALL, strict / APART, CLEAN / (value.strict[at, best] + 1e-3)]
    share = np.clip(np.min(shares, axis=0), 0.05, 1)
    seen = np.where(sure, 0.9 + 0.09 * share, 0.8 * share)
    return Verdict(best, sure, np.where(best == NOTHING, np.where(sure, 0.99, 0.5), seen))


def _lead(cost: Floats, best: Indices) -> Floats:
    """Return how much dearer anything else is than ``best``; negative if something is cheaper."""
    at = np.arange(len(best))
    others = cost.copy()
    others[at, best] = np.inf
    return np.asarray(others.min(axis=1) - cost[at, best])
