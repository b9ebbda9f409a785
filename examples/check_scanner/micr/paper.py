"""What is between characters: paper, or glare, a thumb, what lies beyond the paper's edge."""

import cv2
import numpy as np

from examples.check_scanner.micr.arrays import Colours, Floats, Indices
from examples.check_scanner.micr.line import Group, View
from examples.check_scanner.micr.locate import HEIGHT, PITCH

# Where a position is looked at, in modules from its left and from the glyphs' tops: where all
# characters stand, and above and below, where none does.
_ACROSS = np.arange(2.5, 8.5)
_ON, _OFF = np.arange(0.5, HEIGHT), np.array([-3.5, -2.5, -1.5, 10.5, 11.5, 12.5])
# Light that is reflected by white paper is hardly brighter, but leaves nothing but white. All of
# it counts as much as so many levels.
_WHITE, _ONLY_WHITE = 253, 20.0


def differences(
    picture: Colours, view: View, group: Group, positions: Indices, printed: Indices
) -> Floats:
    """Return how each position differs from paper: positions x channels, in levels of 255.

    Paper is what is above and below the characters at ``printed``, and between two of them in
    between. More is brighter; NaN is outside of the picture. The last channel is white itself.
    """
    paper = _colours(picture, view, group, printed, _OFF)
    here = _colours(picture, view, group, positions, _ON)
    expected = [np.interp(positions, printed, channel) for channel in np.nan_to_num(paper).T]
    return np.asarray(here - np.stack(expected, axis=1))


def _colours(picture: Colours, view: View, group: Group, positions: Indices, v: Floats) -> Floats:
    """Return positions x channels: medians at the heights ``v``."""
    u = (group.cells.first + positions)[:, None, None] * PITCH + _ACROSS
    x, y = view.place(*group.track.points(u, v[:, None]))
    column, row = (side.reshape(len(positions), -1).astype(np.float32) - 0.5 for side in (x, y))
    seen = cv2.remap(picture, column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    seen = seen.reshape(*column.shape, -1)
    white = _ONLY_WHITE * (seen.min(axis=2) >= _WHITE).mean(axis=1)
    found = np.column_stack([np.median(seen, axis=1), white])
    height, width = picture.shape[:2]
    outside = (column < 0) | (column > width - 1) | (row < 0) | (row > height - 1)
    found[outside.mean(axis=1) > 0.5] = np.nan
    return np.asarray(found)
