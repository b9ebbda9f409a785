"""How certain each position is: what may be believed without a second look."""

from dataclasses import dataclass

import numpy as np

from ..e13b import CHARACTERS
from .arrays import Flags, Floats, Indices
from .cells import Cells
from .line import Group

#: Index of what is empty: one more than the last character's.
NOTHING = len(CHARACTERS)

# How far the best must lead, in log odds: a blank, a character, and how much more for each square
# module of its ink that is missing, as half an eight looks like a three. One in a thousand lacks
# 0.07 in clean pictures, up to 0.14 in scans and photos, 3 under glare. Of 2,000 bad photos no line
# was accepted wrongly.
_SURE_BLANK, _SURE, _DEAR = 6.0, 4.0, 4.0
# How well a character must correlate with its template, so that nothing else is taken for one.
_ALIKE = 0.5
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


def verdict(group: Group) -> Verdict:
    """Judge each position by what the network makes of it, and the templates."""
    look, logits = group.cells, group.logits
    best = logits.argmax(axis=1)
    blank = best == NOTHING
    likely = np.exp(logits - logits.max(axis=1, keepdims=True))
    sure = group.lead > np.where(blank, _SURE_BLANK, _SURE + _DEAR * group.missing)
    alike = look.score[np.arange(len(best)), np.where(blank, 0, best)]
    sure &= blank | (alike > _ALIKE)
    sure[blank] &= ~_faint(look, blank)
    return Verdict(best, sure, 1 / likely.sum(axis=1))


def _faint(look: Cells, blank: Flags) -> Flags:
    """Tell for each blank whether it may be a character of which hardly anything is left."""
    window = look.seen_as(look.score.argmax(axis=1))
    faint = look.score[blank].max(axis=1) > _FAINT
    faint[faint] = [np.percentile(ink, 97) > _TRACE for ink in window[blank][faint]]
    return np.asarray(faint)
