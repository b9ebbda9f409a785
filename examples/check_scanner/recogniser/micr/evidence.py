"""What speaks for each character at a position, if pen strokes may lie over it.

A stroke adds ink and never takes any away. So ink that a character does not explain is cheap, ink
that it needs and that is not there is dear, and neither costs more than so much per pixel, however
black. Costs are in square modules of full ink: a digit has about twenty.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from .arrays import Flags, Floats, Ink
from .bank import FINE, Bank
from .cells import Cells

# What a pixel of unexplained ink costs, missing ink costing 1: strictly, and if it may be a pen's,
# when more than a share of full ink costs no more.
_OVER = 0.4
_PEN, _PEN_CAP = 0.35, 0.33
# A pen that leaves as much ink as a character has where there is none is rare.
_EMPTY = 1.0
#: Strict cost of a character that nothing lies over, and how much dearer any other has to be.
CLEAN, APART = 0.5, 0.8
# How many characters a window is compared with before it is known to be difficult, and the cost
# that stands for those that are further away.
_LIKELIEST, _FAR = 5, 9.0
# Unlikeness of a character that correlation alone can tell, and its distance from the next: of 75
# misread characters under pen strokes the one most like was 1.3 and 1.1; above 2.0, none led by
# more than 1.5.
_PLAIN = ((2.0, 1.0), (3.0, 2.0))
_SURE, _CLEAR = 0.8, 0.08
_TOUCH = np.ones((3, 3), np.uint8)
#: How far around the place of the best correlation is looked, in pixels of the fine grid.
_ASIDE, _UP = 1, 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """Costs: positions x (characters and, last, nothing at all); strict where ``clean``."""

    cost: Floats
    clean: Flags
    strict: Floats
    lenient: Floats

    @property
    def likely(self) -> Floats:
        """How each character compares with the best of its position, nothing included: 1 is it."""
        least = self.cost.min(axis=1, keepdims=True)
        return np.asarray(np.exp(least - self.cost[:, :-1]))


def levels(look: Cells, ink: Ink) -> Floats:
    """Return how black the ink is at each position, from the characters that are certain."""
    order = np.sort(look.score, axis=1)
    sure = np.flatnonzero((order[:, -1] > _SURE) & (order[:, -1] - order[:, -2] > _CLEAR))
    everywhere = np.arange(len(look.score))
    if not len(sure):
        return np.full(len(everywhere), max(0.2, float(np.percentile(look.window, 97))))
    drawn = ink[look.score[sure].argmax(axis=1)]
    level = (drawn * look.window[sure]).sum(axis=(1, 2)) / (drawn**2).sum(axis=(1, 2))
    near = np.abs(sure[None] - sure[:, None]) <= 3
    # Medians of what is near, all at once: the rest is sorted to the end.
    ordered = np.sort(np.where(near, level[None], np.inf), axis=1)
    count, row = near.sum(axis=1), np.arange(len(sure))
    smooth = (ordered[row, (count - 1) // 2] + ordered[row, count // 2]) / 2
    return np.asarray(np.interp(everywhere, sure, smooth))


def weighed(look: Cells, bank: Bank) -> Evidence:
    """Compare each position with all characters and with nothing at all."""
    ink = bank.ink[look.variant]
    drawn = np.concatenate([ink, np.zeros_like(ink[:1])])
    wide = _widened(drawn)
    level = levels(look, ink).astype(np.float32)
    strict, lenient = _at_a_glance(look, drawn, wide, level)
    for index in np.flatnonzero(~_told_apart(strict)):
        seen = np.clip(look.around[index] / level[index], 0, 1)
        strict[index], lenient[index] = (
            cost.min(axis=0) for cost in _costs(seen, drawn[None], wide[None])
        )
    lenient[:, -1] *= _EMPTY
    alike = _unlikeness(look.score)
    order = np.sort(alike, axis=1)
    lead = order[:, 1] - order[:, 0]
    plain = np.any([(order[:, 0] < u) & (lead > least) for u, least in _PLAIN], axis=0)
    cost = np.where(plain[:, None], alike, lenient)
    clean = plain | (strict.argmin(axis=1) == len(ink))
    clean &= _told_apart(strict) & (strict.argmin(axis=1) == cost.argmin(axis=1))
    return Evidence(cost, clean, strict, lenient)


def _at_a_glance(look: Cells, drawn: Ink, wide: Ink, level: Ink) -> tuple[Floats, Floats]:
    """Return strict and lenient costs of what correlates best, and of nothing at all."""
    count = len(look.score)
    likely = np.argsort(-look.score, axis=1)[:, :_LIKELIEST]
    chosen = np.hstack([likely, np.full((count, 1), len(drawn) - 1)])
    seen = np.clip(look.window / level[:, None, None], 0, 1)
    costs = _costs(seen, drawn[chosen], wide[chosen])
    strict, lenient = np.full((2, count, len(drawn)), _FAR)
    for into, cost in zip((strict, lenient), costs, strict=True):
        np.put_along_axis(into, chosen, cost, axis=1)
    return strict, lenient


def _told_apart(strict: Floats) -> Flags:
    order = np.partition(strict, 1, axis=1)
    return np.asarray((order[:, 0] < CLEAN) & (order[:, 1] - order[:, 0] > APART))


def _unlikeness(score: Floats) -> Floats:
    """Turn correlations into costs of about the same size; nothing at all is like 0.5."""
    return 10 * (1 - np.hstack([score, np.full((len(score), 1), 0.5)]))


def _costs(seen: Ink, drawn: Ink, wide: Ink) -> tuple[Floats, Floats]:
    """Return windows x characters, strict and lenient.

    Strictly, edges may be a pixel off either way. Leniently, only for ink that is too much: what a
    pen has left open is what tells characters under it apart.
    """
    spread = _widened(seen).reshape(len(seen), 1, -1)
    seen, drawn, wide = (a.reshape((*a.shape[:-2], -1)) for a in (seen[:, None], drawn, wide))
    extra = _over(seen, wide)
    strict = _squared(_over(drawn, spread)) + _OVER * _squared(extra)
    missing = _squared(_over(drawn, seen))
    lenient = missing + _PEN * _squared(np.minimum(extra, _PEN_CAP, out=extra))
    return strict, lenient


def _widened(windows: Ink) -> Ink:
    """Let the ink of each window spread by a pixel: as channels of one picture, all at once."""
    channels = np.ascontiguousarray(windows.transpose(1, 2, 0))
    spread = cv2.dilate(channels, _TOUCH).reshape(channels.shape)
    return np.ascontiguousarray(spread.transpose(2, 0, 1))


def _over(one: Ink, other: Ink) -> Ink:
    """Return by how much one is more than the other, or 0."""
    more = one - other
    return np.asarray(np.maximum(more, 0, out=more))


def _squared(differences: Ink) -> Floats:
    """Sum up over each window, in square modules."""
    flat = differences.reshape(-1, differences.shape[-1])
    sums = np.einsum("ij,ij->i", flat, flat).reshape(differences.shape[:-1])
    return np.asarray(sums / FINE**2, np.float64)
