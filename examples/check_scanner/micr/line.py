"""From a picture's grey planes to the characters of its MICR line, position by position."""

from dataclasses import dataclass

import cv2
import numpy as np

from examples.check_scanner.micr.bank import BLURS, FINE, WEIGHTS, WIDTH, Bank
from examples.check_scanner.micr.cells import Cells, cells, correlation
from examples.check_scanner.micr.find import Glimpse, glimpse
from examples.check_scanner.micr.grid import Line, on_grid, split
from examples.check_scanner.micr.locate import HEIGHT, PITCH, rows
from examples.check_scanner.micr.planes import Grey, fit
from examples.check_scanner.micr.refine import refined
from examples.check_scanner.micr.track import Track, from_row, inked, strip, turned

# The longer side of the picture in which the line is looked for: 8.5 inches at 190 dpi.
_LONGEST = 1600
# Pixels per module with which it is read: 300 dpi. More is averaged down.
_SHARPEST = 4.0
# Worth (see `Glimpse`) of a line that is one, and of one that need not be doubted.
_LINE, _CERTAIN = 7.0, 14.0
# The variant that lines are refined with: usual weight, blur of 0.45 modules.
_USUAL = len(BLURS) * (len(WEIGHTS) // 2) + 1
_ENDS = 2


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the line that one machine has printed: its track and its positions."""

    track: Track
    cells: Cells
    second: Cells
    variant: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The line: ``main`` with transit and on-us fields, ``amount`` if there is one.

    Tracks map to the pixels of a plane cut at (left, top) and scaled by ``factor``.
    """

    main: Group
    amount: Group | None
    factor: float
    left: float
    top: float


def see(value: Grey, luminance: Grey, bank: Bank) -> Seen | None:
    """Find and compare; None if there is no MICR line."""
    small, factor = fit(value, _LONGEST)
    line = _line(small, bank)
    if line is None:
        return None
    main, amount = split(line)
    near, other, zoom, left, top = _closer(value, luminance, small, main, factor)
    main = _moved(main, zoom, factor, left, top)
    room = _ENDS if amount is None else min(_ENDS, amount.first - main.last - 1)
    group = _group(near, other, main, bank, _ENDS, room)
    second = None
    if amount is not None:
        amount = _moved(amount, zoom, factor, left, top)
        second = _group(near, other, amount, bank, room, _ENDS)
    return Seen(group, second, zoom, left, top)


def _line(grey: Grey, bank: Bank) -> Line | None:
    """Return the most convincing line of the picture, upright or not."""
    best: tuple[float, Track, Glimpse] | None = None
    for row in rows(grey):
        track, length = from_row(row, grey.shape[1])
        upright, turned_over = glimpse(grey, track, bank, 0, length, 1.0)
        if turned_over.worth > upright.worth:
            track, upright = turned(track, length), _turned(turned_over, length)
        if best is None or upright.worth > best[0]:
            best = (upright.worth, track, upright)
        if best[0] > _CERTAIN:
            break
    if best is None or best[0] < _LINE:
        return None
    return on_grid(best[1], best[2])


def _turned(found: Glimpse, length: float) -> Glimpse:
    """Return places along the turned track."""
    return Glimpse(
        (length - WIDTH - found.u)[::-1],
        (-2 - found.v)[::-1],
        found.character[::-1],
        found.score[::-1],
    )


def _closer(
    value: Grey, luminance: Grey, small: Grey, line: Line, factor: float
) -> tuple[Grey, Grey, float, float, float]:
    """Cut the line's surroundings out of the full picture, at no more than what is needed."""
    u = np.linspace(line.first * PITCH - 150, line.last * PITCH + 250, 50)[None]
    x, y = line.track.points(u, np.array([[-20.0], [30.0]]))
    x0, y0, x1, y1 = x.min() / factor, y.min() / factor, x.max() / factor, y.max() / factor
    rows_, columns = value.shape
    left, top = max(0, int(x0)), max(0, int(y0))
    right, bottom = min(columns, int(np.ceil(x1))), min(rows_, int(np.ceil(y1)))
    _, down = line.track.points(np.array([line.first, line.last]) * PITCH, np.array([0.0]))
    step = line.track.down[:, -1]
    module = float(np.hypot(*step)) / factor
    zoom = min(1.0, _SHARPEST / module)
    cut = [plane[top:bottom, left:right] for plane in (value, luminance)]
    if zoom < 0.85:
        cut = [
            np.asarray(cv2.resize(c, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA))
            for c in cut
        ]
    else:
        zoom = 1.0
    return cut[0], cut[1], zoom, left, top


def _moved(line: Line, zoom: float, factor: float, left: float, top: float) -> Line:
    full = line.track.scaled(1 / factor)
    return Line(full.scaled(zoom, left, top), line.position, line.found)


def _group(
    near: Grey, other: Grey, line: Line, bank: Bank, before: int, after: int
) -> Group:
    track = refined(near, line, bank, _USUAL)
    first, last = line.first - before, line.last + after
    first_look = cells(near, track, bank, _USUAL, first, last)
    variant = _variant(first_look, bank)
    if variant != _USUAL:
        first_look = cells(near, track, bank, variant, first, last)
    return Group(track, first_look, cells(other, track, bank, variant, first, last), variant)


def _variant(look: Cells, bank: Bank) -> int:
    """Return the weight and blur that the line was printed and seen with."""
    order = np.sort(look.score, axis=1)
    sure = (order[:, -1] > 0.8) & (order[:, -1] - order[:, -2] > 0.08)
    if not sure.any():
        return _USUAL
    flat = look.window[sure].reshape(int(sure.sum()), -1)
    character = look.score[sure].argmax(axis=1)
    picked = np.arange(len(flat))
    fits = [correlation(flat, columns)[picked, character].mean() for columns in bank.fine]
    return int(np.argmax(fits))
