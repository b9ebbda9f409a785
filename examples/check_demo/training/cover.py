"""Light over part of what is seen, or something dark."""

import numpy as np
from numpy.typing import NDArray

# Shares of what is seen that light, or something dark, covers in part.
_LIT, _DARK = 0.08, 0.05
# The share of a character's ink that light leaves: less could be any other's.
_LEAST = 0.35
# Pixels at the edges that are a neighbour's.
_EDGE = 6

Ink = NDArray[np.float32]


def covered(seen: Ink, characters: NDArray[np.bool_], rng: np.random.Generator) -> Ink:
    """Return ``seen`` (many x rows x columns x channels, shares of ink) with some of it covered.

    Blanks under light look like blanks, and stay as they are.
    """
    seen = seen.copy()
    lit = np.flatnonzero((rng.random(len(seen)) < _LIT) & characters)
    if len(lit):
        share = _patches(len(lit), seen.shape[1], rng) * rng.uniform(0.5, 1, (len(lit), 1, 1))
        under = np.asarray(seen[lit] * (1 - share[..., None]), np.float32)
        left = _ink(under) / np.maximum(_ink(seen[lit]), 1)
        seen[lit[left > _LEAST]] = under[left > _LEAST]
    dark = np.flatnonzero(rng.random(len(seen)) < _DARK)
    if len(dark):
        share = _patches(len(dark), seen.shape[1], rng) * rng.uniform(0.2, 1.1, (len(dark), 1, 1))
        seen[dark] = np.maximum(seen[dark], share[..., None])
    return seen


def _ink(seen: Ink) -> Ink:
    inside = seen[:, _EDGE:-_EDGE, _EDGE:-_EDGE, 0]
    return np.asarray(np.maximum(inside, 0).sum(axis=(1, 2)))


def _patches(count: int, side: int, rng: np.random.Generator) -> Ink:
    """Return ellipses and half planes with more or less soft edges: 1 inside, 0 outside."""
    y, x = np.mgrid[:side, :side].astype(np.float32)

    def any_of(low: float, high: float) -> NDArray[np.float64]:
        return rng.uniform(low, high, (count, 1, 1))

    turn = any_of(0, np.pi)
    right, down = x - any_of(0, side), y - any_of(0, side)
    along = right * np.cos(turn) + down * np.sin(turn)
    across = down * np.cos(turn) - right * np.sin(turn)
    ellipse = 1 - np.hypot(along / any_of(3, 16), across / any_of(3, 16))
    half = (along - any_of(-8, 12)) / 10
    inside = np.where(any_of(0, 1) < 0.4, half, ellipse)
    return np.asarray(np.clip(inside / any_of(0.05, 0.6) + 0.5, 0, 1), np.float32)
