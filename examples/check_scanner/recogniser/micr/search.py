"""Where in a picture the MICR line is, whichever way the picture is turned."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .. import e13b
from .arrays import Flags, Floats, Grey
from .bank import WIDTH, Bank
from .find import Glimpse, glimpse
from .locate import HEIGHT, PITCH, Row, blobs, rows
from .track import Track, from_row, turned

#: Value and luminance, as `grey.planes` returns them.
Planes = tuple[Grey, Grey]

# Worth (see `Glimpse`) of a line that is one, and of one that need not be doubted.
_LINE, _CERTAIN = 5.5, 8.0
# And of one that is the right way up: of 210 lines, the wrong way up was worth 15.9 at most.
_UPRIGHT = 18.0
# Blobs of another MICR line are at least so regular (see `Row`); of 300 rows of other print the
# most regular ones with enough blobs were 0.65, of 24 MICR lines the least regular was 0.87.
_REGULAR = 0.7
# Transit symbols of one line, and one that may be anything else; the correlation that makes one
# certain.
_TRANSITS, _CLEAR = 3, 0.75
# Positions of a line, seen from its first transit symbol at 43: up to 65, and from 1 on, with a few
# to spare; and how many different characters beyond are no accident.
_LINE_AROUND, _SOME = (-26, 46), 3
# What is so many glyph heights from a line's characters is not of the line.
_NEAR = 1.3
_TRANSIT = e13b.CHARACTERS.index(e13b.TRANSIT)


@dataclass(frozen=True, slots=True)
class Look:
    """How a picture is looked at: turned clockwise by a ``quarter``, as a ``negative``."""

    quarter: bool = False
    negative: bool = False

    def of(self, planes: Planes) -> Planes:
        """Return the planes as they are looked at; one that is given twice is returned twice."""
        first = self._of(planes[0])
        return first, first if planes[1] is planes[0] else self._of(planes[1])

    def _of(self, plane: Grey) -> Grey:
        if self.quarter:
            plane = np.asarray(cv2.rotate(plane, cv2.ROTATE_90_CLOCKWISE), np.uint8)
        return np.asarray(cv2.bitwise_not(plane), np.uint8) if self.negative else plane


#: The ways to look at a picture, the usual one first; upside down is no matter.
LOOKS = (Look(), Look(quarter=True), Look(negative=True), Look(quarter=True, negative=True))


@dataclass(frozen=True, slots=True)
class Sighting:
    """The most convincing line: its ``track``, what is on it, and whether there are ``others``."""

    track: Track
    characters: Glimpse
    others: bool = False


def search(planes: Planes, bank: Bank) -> tuple[Sighting, Look] | None:
    """Return the most convincing line of the picture and how it was seen; None if there is none.

    What is found in the picture as it is and leaves no doubt is not looked for any further.
    """
    best: tuple[Sighting, Look] | None = None
    for look in LOOKS:
        seen = _sighted(look.of(planes), bank)
        if seen and (best is None or seen.characters.worth > best[0].characters.worth):
            best = seen, look
        if best and best[0].characters.worth > _CERTAIN:
            break
    return best


def _sighted(planes: Planes, bank: Bank) -> Sighting | None:
    found = blobs(planes[0])
    best: Sighting | None = None
    for row in rows(found):
        seen = _on(row, planes, bank)
        if best is None or seen.characters.worth > best.characters.worth:
            best = seen
        if best.characters.worth > _CERTAIN:
            break
    if best is None or best.characters.worth < _LINE:
        return None
    return replace(best, others=_others(best, found, planes, bank))


def _others(best: Sighting, found: Floats, planes: Planes, bank: Bank) -> bool:
    """Tell whether there is another MICR line among the blobs that the best one leaves."""
    if len(_transits(best)[0]) > _TRANSITS or _too_long(best.characters):
        return True
    left = found[_away(found[:, 0], found[:, 1], best)]
    regular = (row for row in rows(left, regular=_REGULAR) if row.regular > _REGULAR)
    return any(_is_another(_on(row, planes, bank), best) for row in regular)


def _on(row: Row, planes: Planes, bank: Bank) -> Sighting:
    """Return what is on a row of blobs, the way up that says more."""
    track, length = from_row(row, planes[0].shape[1])
    ways = glimpse(planes, track, bank, 0, length, 1.0)
    upright = next(ways)
    if upright.worth > _UPRIGHT:
        return Sighting(track, upright)
    turned_over = next(ways)
    if turned_over.worth > upright.worth:
        return Sighting(turned(track, length), _turned(turned_over, length))
    return Sighting(track, upright)


def _too_long(found: Glimpse) -> bool:
    """Tell whether there are characters further from a transit symbol than a line is long."""
    clear = found.score > _CLEAR
    transits = found.u[clear & (found.character == _TRANSIT)]
    if not len(transits):
        return False
    low, high = (float(transits.min()) + end * PITCH for end in _LINE_AROUND)
    beyond = clear & ((found.u < low) | (found.u > high))
    # The grain of a table looks like the same character over and over.
    return len(np.unique(found.character[beyond])) >= _SOME


def _is_another(seen: Sighting, best: Sighting) -> bool:
    return seen.characters.worth > _LINE and bool(_away(*_transits(seen), best).any())


def _away(x: Floats, y: Floats, line: Sighting) -> Flags:
    """Tell which points are not at a character of the line, or next to one."""
    middle = line.characters.u + WIDTH / 2, line.characters.v + HEIGHT / 2
    known_x, known_y = line.track.points(*middle)
    high = float(np.hypot(*line.track.down[:, -1])) * HEIGHT
    away = np.hypot(x[:, None] - known_x, y[:, None] - known_y)
    return np.asarray((away > _NEAR * high).all(axis=1))


def _transits(seen: Sighting) -> tuple[Floats, Floats]:
    """Return where there are transit symbols that are certain."""
    found = seen.characters
    certain = (found.character == _TRANSIT) & (found.score > _CLEAR)
    return seen.track.points(found.u[certain] + WIDTH / 2, found.v[certain] + HEIGHT / 2)


def _turned(found: Glimpse, length: float) -> Glimpse:
    """Return places along the turned track."""
    return Glimpse(
        (length - WIDTH - found.u)[::-1],
        (-2 - found.v)[::-1],
        found.character[::-1],
        found.score[::-1],
    )
