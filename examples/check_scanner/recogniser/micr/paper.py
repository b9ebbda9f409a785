"""What is between characters: paper, or glare, a thumb, what lies beyond the paper's edge."""

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .arrays import Colours, Floats, Indices
from .line import Group, View
from .locate import HEIGHT, PITCH

# Where a position is looked at, in modules from its left and from the glyphs' tops: where all
# characters stand, and above and below, where none does.
_ACROSS = np.arange(2.5, 8.5)
_ON, _OFF = np.arange(0.5, HEIGHT), np.array([-3.5, -2.5, -1.5, 10.5, 11.5, 12.5])
# Where a crease is looked for, in modules above and below the glyphs, and further up; columns of a
# module, columns around that are compared with, and by how many it may be off in the next band.
_ABOVE, _BELOW, _FURTHER = np.arange(-11.0, -2), np.arange(11.0, 15), np.arange(-20.0, -11)
_FINE, _AROUND, _SLANT = 2, 12, 2
# Further up a crease goes on, as dark: of 164 in drawn folds none was paler than this share. Of 17
# pen strokes that cross the band as steeply, 14 were gone there, or 0.3 times as dark.
_GOES_ON = 0.4
# Levels of 255 that a crease is darker by, and times what is usual in the background's print.
_CREASE, _OVER_GRAIN = 14.0, 7.0
# The percentile that is compared: pen strokes leave an eighth of a position as bright as paper.
_MOST = 88
# The percentile of its changes by which paper is called uneven.
_MOST_UNEVEN = 90
# Light that is reflected by white paper is hardly brighter, but leaves nothing but white. All of
# it counts as much as so many levels.
_WHITE, _ONLY_WHITE = 253, 20.0


def differences(
    picture: Colours, view: View, group: Group, positions: Indices, printed: Indices
) -> tuple[Floats, float]:
    """Return how each position differs from paper: positions x channels, in levels of 255.

    Paper is what is above and below the characters at ``printed``, and between two of them in
    between. More is brighter; NaN is outside of the picture. The last channel is white itself.
    Also returned is how uneven the paper is: by what a tenth of it, or more, differs from what is
    left and right of it.
    """
    paper = _colours(picture, view, group, printed, _OFF)
    here = _colours(picture, view, group, positions, _ON)
    expected = [np.interp(positions, printed, channel) for channel in np.nan_to_num(paper).T]
    colours = np.nan_to_num(paper[:, :-1])
    changes = np.abs(colours[1:-1] - (colours[:-2] + colours[2:]) / 2)
    uneven = np.percentile(changes, _MOST_UNEVEN, axis=0).max() if len(changes) else np.inf
    return np.asarray(here - np.stack(expected, axis=1)), float(uneven)


def _colours(picture: Colours, view: View, group: Group, positions: Indices, v: Floats) -> Floats:
    """Return positions x channels: what most pixels at the heights ``v`` are, or darker."""
    u = (group.cells.first + positions)[:, None, None] * PITCH + _ACROSS
    x, y = view.place(*group.track.points(u, v[:, None]))
    column, row = (side.reshape(len(positions), -1).astype(np.float32) - 0.5 for side in (x, y))
    seen = cv2.remap(picture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = seen.reshape(*column.shape, -1)
    white = _ONLY_WHITE * (seen.min(axis=2) >= _WHITE).mean(axis=1)
    found = np.column_stack([np.percentile(seen, _MOST, axis=1), white])
    height, width = picture.shape[:2]
    outside = (column < 0) | (column > width - 1) | (row < 0) | (row > height - 1)
    found[outside.mean(axis=1) > 0.5] = np.nan
    return np.asarray(found)


def creased(picture: Colours, view: View, group: Group, first: int, last: int) -> bool:
    """Tell whether a straight dark line crosses the band between two positions, from top to bottom.

    Pens cross it, too, but hardly ever along the glyphs' height, above and below them alike, and
    straight on further up.
    """
    u = np.arange(first * PITCH, (last + 1) * PITCH, 1 / _FINE) + group.cells.first * PITCH
    if len(u) < 4 * _AROUND:
        return False
    above, below = (_drop(picture, view, group, u, v, _SLANT) for v in (_ABOVE, _BELOW))
    both = np.minimum(above, below)
    dark = both > max(_CREASE, _OVER_GRAIN * np.median(both))
    if not dark.any():
        return False
    further = _drop(picture, view, group, u, _FURTHER, 2 * _SLANT)
    return bool((dark & (further > _GOES_ON * both)).any())


def _drop(picture: Colours, view: View, group: Group, u: Floats, v: Floats, slant: int) -> Floats:
    """Return by how much nearly all of a column is darker than the columns around it.

    It is that of the darkest column up to ``slant`` off.
    """
    x, y = view.place(*group.track.points(u, v[:, None]))
    column, row = (side.astype(np.float32) - 0.5 for side in (x, y))
    seen = cv2.remap(picture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    grey = seen.reshape(*column.shape, -1).mean(axis=2)
    dark = np.percentile(grey, 80, axis=0).astype(np.float32)
    around = np.median(sliding_window_view(np.pad(dark, _AROUND, "edge"), 2 * _AROUND + 1), axis=1)
    drop = (around - dark).astype(np.float32)
    return np.asarray(cv2.dilate(drop[None], np.ones((1, 2 * slant + 1), np.uint8))[0])
