"""From a picture's grey planes to the characters of its MICR line, position by position."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .. import e13b
from .arrays import Floats, Grey
from .bank import BLURS, WEIGHTS, WIDTH, Bank
from .cells import Cells, cells, levels, missing
from .fields import AMOUNT_LENGTH, ON_US_LENGTH, TRANSIT_LENGTH
from .find import Glimpse, glimpse
from .grey import fit
from .grid import Line, Parts, fields_of, with_amount
from .locate import HEIGHT, PITCH
from .network import logits
from .refine import refined
from .search import Look, Planes, search
from .track import Track

# The longer side of the picture in which the line is looked for: 8.5 inches at 190 dpi.
_LONGEST = 1600
# Pixels per module with which it is read: 300 dpi. More is averaged down.
_SHARPEST = 4.0
_WORTH_IT = 0.85
# The variant that lines are refined with: usual weight, blur of 0.45 modules.
_USUAL = len(BLURS) * (len(WEIGHTS) // 2) + 1
_ENDS = 2
# Characters that call for a closer look for an amount, and how far up and down that goes; and as
# many as make a field that a person should look at.
_SOME, _HIGH, _MANY = 3, 4.0, 6
# Indices left and right of what was found that may belong to the line.
_AROUND = 40
# Log odds of what the line's course is corrected by.
_READ = 3.0
_TRANSIT = e13b.CHARACTERS.index(e13b.TRANSIT)


@dataclass(frozen=True, slots=True)
class Group:
    """A part of the line that one machine has printed: its track and its positions.

    ``logits``: positions x (characters and nothing at all), as in `network.logits`. ``missing`` is
    how much ink each position lacks of its likeliest character.
    """

    track: Track
    cells: Cells
    logits: Floats
    missing: Floats

    @property
    def likely(self) -> Floats:
        """How each character compares with the best of its position, nothing included: 1 is it."""
        best = self.logits.max(axis=1, keepdims=True)
        return np.asarray(np.exp(self.logits[:, :-1] - best))

    @property
    def lead(self) -> Floats:
        """By how much each position's best is ahead of anything else, in log odds."""
        order = np.partition(self.logits, -2, axis=1)
        return np.asarray(order[:, -1] - order[:, -2])


@dataclass(frozen=True, slots=True)
class View:
    """The part of the picture, seen with ``look``, that tracks refer to.

    It was cut at (``left``, ``top``) and scaled by ``factor``; the picture is ``height`` pixels
    high.
    """

    look: Look
    height: int
    factor: float
    left: float
    top: float

    def place(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return where pixels of the part lie in the picture."""
        x, y = x / self.factor + self.left, y / self.factor + self.top
        return (y, self.height - x) if self.look.quarter else (x, y)


@dataclass(frozen=True, slots=True)
class Seen:
    """The line: ``main`` with transit and on-us fields, ``amount`` if there is one.

    Position 0 of the amount's grid is ``between`` positions right of position 0 of the main one.
    ``loose`` characters were seen where an amount would be, but make none. Tracks map to pixels of
    ``view``. ``others``: there are more MICR lines in the picture.
    """

    main: Group
    amount: Group | None
    between: int
    loose: int
    view: View
    others: bool = False


def see(value: Grey, luminance: Grey, bank: Bank) -> Seen | None:
    """Find and compare; None if no MICR line is found."""
    small, factor = fit(value, _LONGEST)
    both = (small, small if luminance is value else fit(luminance, _LONGEST, cv2.INTER_LINEAR)[0])
    found = search(both, bank)
    if found is None:
        return None
    sighting, look = found
    both = look.of(both)
    parts = fields_of(sighting.track, sighting.characters)
    if parts is None:
        return None
    if parts.border is not None and parts.amount is None and parts.loose >= _SOME:
        # Two machines may print at heights that differ by three modules.
        end = parts.border + (AMOUNT_LENGTH + 4) * PITCH
        again = next(glimpse(both, sighting.track, bank, parts.border, end, _HIGH))
        parts = with_amount(parts, sighting.track, again)
    planes = look.of((value, luminance))
    zoom, left, top, near = _closer(planes, parts.main, factor)
    view = View(look, value.shape[0], zoom, left, top)
    return replace(_compared(parts, near, factor, view, bank), others=sighting.others)


def _compared(parts: Parts, near: Planes, factor: float, view: View, bank: Bank) -> Seen:
    """Compare every position of the parts, found in a picture shrunk by ``factor``."""

    def moved(line: Line) -> Line:
        near_by = line.track.scaled(1 / factor).scaled(view.factor, view.left, view.top)
        return replace(line, track=near_by)

    main = moved(parts.main)
    group = _group(near, main, bank, *_reach(main, parts.amount, near[0]))
    if parts.amount is None:
        loose = parts.loose if parts.loose >= _MANY else 0
        return Seen(group, None, 0, loose, view)
    amount = moved(parts.amount)
    free = _free(main, amount)
    missing = max(_ENDS, AMOUNT_LENGTH - (amount.last - amount.first))
    first = amount.first - min(missing, max(0, free - 1))
    reach = _inside(amount, first, amount.last + missing, near[0])
    between = main.last + free - amount.first
    return Seen(group, _group(near, amount, bank, *reach), between, 0, view)


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
    return round(float(amount.found.u[0] - main.found.u[-1]) / PITCH)


def _inside(line: Line, first: int, last: int, plane: Grey) -> tuple[int, int]:
    """Cut a range of positions down to those that the picture shows."""
    middle = np.arange(first, last + 1) * PITCH + WIDTH / 2
    x, y = line.track.points(middle, np.array(HEIGHT / 2))
    rows_, columns = plane.shape
    seen = np.flatnonzero((x > 0) & (x < columns) & (y > 0) & (y < rows_))
    if not len(seen):
        return line.first, line.last
    return first + int(seen[0]), first + int(seen[-1])


def _closer(planes: Planes, line: Line, factor: float) -> tuple[float, float, float, Planes]:
    """Cut the line's surroundings out of the full picture, no sharper than needed.

    Returns the factor by which they were resized, left and top of the cut, and the planes.
    """
    u = np.linspace(line.first - _AROUND, line.last + _AROUND, 50)[None] * PITCH
    x, y = line.track.points(u, np.array([[-20.0], [30.0]]))
    rows_, columns = planes[0].shape
    left, top = max(0, int(x.min() / factor)), max(0, int(y.min() / factor))
    right = min(columns, int(np.ceil(x.max() / factor)))
    bottom = min(rows_, int(np.ceil(y.max() / factor)))
    zoom = _SHARPEST * factor / float(np.hypot(*line.track.down[:, -1]))
    zoom = zoom if zoom < _WORTH_IT else 1.0

    def cut(plane: Grey) -> Grey:
        part = plane[top:bottom, left:right]
        if zoom == 1.0:
            return part
        size = (round((right - left) * zoom), round((bottom - top) * zoom))
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)

    near = cut(planes[0])
    return zoom, left, top, (near, near if planes[1] is planes[0] else cut(planes[1]))


def _group(near: Planes, line: Line, bank: Bank, first: int, last: int) -> Group:
    group = _looked_at(near, line, bank, first, last)
    read = _as_read(group)
    # Strokes of pens may have been taken for characters, and led the track astray.
    if read is None or np.array_equal(read.position, line.position):
        return group
    return _looked_at(near, read, bank, first, last)


def _looked_at(near: Planes, line: Line, bank: Bank, first: int, last: int) -> Group:
    track = refined(near, line, bank, _USUAL, (first, last))
    look = cells(near, track, bank, _USUAL, first, last)
    ink = bank.ink[look.variant]
    level = levels(look, ink)
    odds = logits(bank.network, look.around, level)
    lacking = missing(look, level, ink, odds[:, : len(ink)].argmax(axis=1))
    return Group(track, look, odds, lacking)


def _as_read(group: Group) -> Line | None:
    """Return the line with what the network reads on it; None if that is next to nothing."""
    best = group.logits.argmax(axis=1)
    read = np.flatnonzero((group.lead > _READ) & (best < len(e13b.CHARACTERS)))
    if len(read) < _MANY:
        return None
    position = group.cells.first + read
    found = Glimpse(
        position * PITCH, np.full(len(read), -1.0), best[read], group.cells.score[read, best[read]]
    )
    return Line(group.track, position, found)
