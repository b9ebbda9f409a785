"""From a picture's grey planes to the characters of its MICR line, position by position."""

from dataclasses import dataclass

import cv2
import numpy as np

from examples.check_scanner import e13b
from examples.check_scanner.micr.bank import BLURS, WEIGHTS, WIDTH, Bank
from examples.check_scanner.micr.cells import Cells, cells, same_places
from examples.check_scanner.micr.evidence import Evidence, weighed
from examples.check_scanner.micr.fields import AMOUNT_LENGTH, ON_US_LENGTH, TRANSIT_LENGTH
from examples.check_scanner.micr.find import Glimpse, glimpse
from examples.check_scanner.micr.grid import Line, fields_of
from examples.check_scanner.micr.locate import HEIGHT, PITCH, rows
from examples.check_scanner.micr.grey import Grey, fit
from examples.check_scanner.micr.refine import refined
from examples.check_scanner.micr.track import Track, from_row, turned

# The longer side of the picture in which the line is looked for: 8.5 inches at 190 dpi.
_LONGEST = 1600
# Pixels per module with which it is read: 300 dpi. More is averaged down.
_SHARPEST = 4.0
# Worth (see `Glimpse`) of a line that is one, and of one that need not be doubted.
_LINE, _CERTAIN = 7.0, 14.0
# The variant that lines are refined with: usual weight, blur of 0.45 modules.
_USUAL = len(BLURS) * (len(WEIGHTS) // 2) + 1
_ENDS = 2
_TRANSIT = e13b.CHARACTERS.index(e13b.TRANSIT)


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the line that one machine has printed: its track and its positions."""

    track: Track
    cells: Cells
    evidence: Evidence
    second: Evidence


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
    found = _found(small, bank)
    fields = fields_of(*found) if found else None
    if fields is None:
        return None
    main, amount = fields
    near, other, zoom, left, top = _closer(value, luminance, small, main, factor)
    main = _moved(main, zoom, factor, left, top)
    group = _group(near, other, main, bank, *_reach(main, amount, near))
    second = None
    if amount is not None:
        amount = _moved(amount, zoom, factor, left, top)
        missing = max(_ENDS, AMOUNT_LENGTH - (amount.last - amount.first))
        free = max(0, _free(main, amount) - 1)
        reach = _inside(amount, amount.first - min(missing, free), amount.last + missing, near)
        second = _group(near, other, amount, bank, *reach)
    return Seen(group, second, zoom, left, top)


def _found(grey: Grey, bank: Bank) -> tuple[Track, Glimpse] | None:
    """Return the most convincing line of the picture, upright or not, and what is on it."""
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
    return best[1], best[2]


def _turned(found: Glimpse, length: float) -> Glimpse:
    """Return places along the turned track."""
    return Glimpse(
        (length - WIDTH - found.u)[::-1],
        (-2 - found.v)[::-1],
        found.character[::-1],
        found.score[::-1],
    )


def _reach(main: Line, amount: Line | None, plane: Grey) -> tuple[int, int]:
    """Return the first and last position to look at: all that the fields may take.

    Characters under pen strokes are not found when the line is looked for, so its ends are where
    the grammar has them: the on-us field ends 19 positions after the transit field.
    """
    transits = main.position[main.found.character == _TRANSIT]
    first, last = main.first - _ENDS, main.last + _ENDS
    closing = [int(p) for p in transits if p - TRANSIT_LENGTH + 1 in transits]
    if closing:
        last = max(main.last, closing[-1] + ON_US_LENGTH)
    else:
        first, last = first - TRANSIT_LENGTH, last + TRANSIT_LENGTH
    if amount is not None:
        last = min(last, main.last + max(0, _free(main, amount) - 1))
    return _inside(main, first, last, plane)


def _free(main: Line, amount: Line) -> int:
    """Return how many positions the amount's first character is right of the main line's last."""
    return round((amount.found.u[0] - main.found.u[-1]) / PITCH)


def _inside(line: Line, first: int, last: int, plane: Grey) -> tuple[int, int]:
    """Cut a range of positions down to those that the picture shows."""
    middle = np.arange(first, last + 1) * PITCH + WIDTH / 2
    x, y = line.track.points(middle, np.array(HEIGHT / 2))
    rows_, columns = plane.shape
    seen = np.flatnonzero((x > 0) & (x < columns) & (y > 0) & (y < rows_))
    if not len(seen):
        return line.first, line.last
    return first + int(seen[0]), first + int(seen[-1])


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
    cut = [value[top:bottom, left:right]]
    if luminance is not value:
        cut.append(luminance[top:bottom, left:right])
    if zoom < 0.85:
        cut = [
            np.asarray(cv2.resize(c, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA))
            for c in cut
        ]
    else:
        zoom = 1.0
    return cut[0], cut[-1], zoom, left, top


def _moved(line: Line, zoom: float, factor: float, left: float, top: float) -> Line:
    full = line.track.scaled(1 / factor)
    return Line(full.scaled(zoom, left, top), line.position, line.found)


def _group(
    near: Grey, other: Grey, line: Line, bank: Bank, first: int, last: int
) -> Group:
    track = refined(near, line, bank, _USUAL)
    look = cells(near, track, bank, _USUAL, first, last)
    evidence = weighed(look, bank)
    if other is near:
        return Group(track, look, evidence, evidence)
    return Group(track, look, evidence, weighed(same_places(other, track, look), bank))
