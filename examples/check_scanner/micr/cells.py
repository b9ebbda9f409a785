"""Reading a line position by position: every character against every position's window."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from examples.check_scanner.micr.bank import FINE, HEIGHT, MARGIN, WIDTH, Bank
from examples.check_scanner.micr.locate import PITCH
from examples.check_scanner.micr.grey import Grey
from examples.check_scanner.micr.track import Floats, Track, inked, strip

Ink = NDArray[np.float32]

# How far a character is looked for around its place, in pixels of the fine grid: the standard lets
# it be 0.8 modules off along the line and half a module in height.
_ASIDE, _UP = 3, 2
_AIR = MARGIN + _UP / FINE + 1


@dataclass(frozen=True, slots=True)
class Cells:
    """What each position of a line looks like.

    ``score``: positions x characters, the best correlation near the place; ``window`` the pixels
    where the best character fits best; ``shift`` by how many modules (right, down) that is off,
    and ``around`` the windows up to a pixel from there.
    """

    first: int
    score: Floats
    window: Ink
    shift: Floats
    around: Ink


def cells(grey: Grey, track: Track, bank: Bank, variant: int, first: int, last: int) -> Cells:
    """Compare positions ``first`` to ``last``."""
    left = first * PITCH - _ASIDE / FINE - 0.5
    right = last * PITCH + WIDTH + _ASIDE / FINE + 0.5
    seen = inked(strip(grey, track, left, right, -_AIR, HEIGHT - 2 * MARGIN + _AIR, FINE), FINE)
    exact = (np.arange(first, last + 1) * PITCH - left) * FINE
    column = np.round(exact).astype(np.intp)
    row = round((_AIR - MARGIN) * FINE)
    aside, up = np.arange(-_ASIDE, _ASIDE + 1), np.arange(-_UP, _UP + 1)
    views = sliding_window_view(seen, (HEIGHT * FINE, WIDTH * FINE))
    column = np.clip(column, _ASIDE, views.shape[1] - 1 - _ASIDE)
    windows = views[row + up[None, :, None], column[:, None, None] + aside[None, None, :]]
    count = len(column)
    flat = windows.reshape(count, len(up) * len(aside), -1)
    scores = correlation(flat, bank.fine[variant])
    best = scores.max(axis=2).argmax(axis=1)
    picked = np.arange(count)
    shift = np.stack(
        [aside[best % len(aside)] + column - exact, up[best // len(aside)]], axis=1
    ) / FINE
    middle_x = np.clip(best % len(aside), 1, len(aside) - 2)
    middle_y = np.clip(best // len(aside), 1, len(up) - 2)
    near = np.arange(-1, 2)
    around = windows[
        picked[:, None, None],
        middle_y[:, None, None] + near[None, :, None],
        middle_x[:, None, None] + near[None, None, :],
    ]
    return Cells(
        first,
        scores.max(axis=1).astype(np.float64),
        windows.reshape(count, -1, HEIGHT * FINE, WIDTH * FINE)[picked, best],
        shift,
        around.reshape(count, 9, HEIGHT * FINE, WIDTH * FINE),
    )


def correlation(flat: Ink, columns: Ink) -> Ink:
    """Correlate windows (last axis: pixels) with templates (columns of unit norm and zero mean)."""
    pixels = flat.shape[-1]
    spread = (flat * flat).sum(axis=-1) - flat.sum(axis=-1) ** 2 / pixels
    floor = 0.05**2 * pixels / 10
    return np.asarray(
        (flat @ columns) / np.sqrt(np.maximum(spread, floor))[..., None], np.float32
    )
