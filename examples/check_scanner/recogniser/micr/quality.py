"""Whether a picture shows all of one check: what is wrong with it, in words for its sender."""

from dataclasses import dataclass

import numpy as np

from . import fields, paper
from .arrays import Colours, Flags, Floats, Indices
from .fields import Parsed
from .line import Seen
from .verdict import NOTHING, Verdict

# Levels of 255 by which what looks empty may be brighter or darker than paper. In 33 pictures with
# digits under glare, a thumb or beyond an edge it was 20 to 94; on 200 good photos 5 and 7.
_BRIGHTER, _DARKER = 12.0, 15.0
# Between characters the paper is known better: of 45 good photos, 2.1 was the most. Slips of paper
# and the rim of glare that hid a digit were 8.6 and 11.
_BRIGHTER_BETWEEN, _NEXT = 7.0, 2
# And if it is even, less is too much: so many times what it changes along the line itself, and some
# more. Of 600 good and bad pictures one exceeds this alone; of 490 with glare, slips and thumbs 28.
_UNEVEN, _MORE, _EVEN = 3.0, 1.0, 3.0
# Nor has it another tinge there: channels differ by 3.4 levels at most in 63 good pictures, by 6.3
# to 11.6 where the warm light of a lamp hid a digit on white paper.
_TINGE = 5.0
# Further away light may be another. From a position's left to its right it changes by less than
# these levels; or it goes on to do so, and this share of what changes over so many positions on
# either side is more than what changes at one.
_SUDDENLY_BRIGHTER, _SUDDENLY_DARKER, _WIDE, _AT_ONCE = 10.0, 20.0, 3, 0.75
# Empty positions that end the last field, and those that are the paper's right margin.
_BESIDE, _MARGIN = 2, 2
# Positions right of the transit field's first symbol, at 43: the amount's first symbol, 1, and the
# empty one at the paper's right edge.
_AMOUNT, _END = 31, 43
# Modules by which characters stand aside of where their neighbours do, three against three; in 150
# good pictures, bad photos among them, 0.54 was the most.
_STEP, _NEIGHBOURS = 0.6, 3


def doubts(picture: Colours, seen: Seen, parsed: Parsed, judged: Verdict) -> list[str]:
    """Return a sentence for each thing that is wrong with the picture.

    ``parsed`` has a routing number; ``judged`` are the positions that `fields.parse` was given.
    """
    sentences = []
    if seen.others:
        sentences.append("There is more than one check in the picture.")
    if seen.view.look.negative:
        sentences.append("The picture is a negative.")
    empty = _empty(picture, seen, parsed, judged)
    if _is_covered(empty, parsed):
        sentences.append("Light is reflected by the line, or something lies on it.")
    if _is_cut(empty):
        sentences.append("The check's right end is not in the picture, or is folded away.")
    creased = paper.creased(picture, seen.view, seen.main, parsed.first, parsed.last)
    if creased or _is_folded(seen, judged) or _is_short(seen, parsed):
        sentences.append("The check is folded or not flat.")
    return sentences


@dataclass(frozen=True, slots=True)
class _Empty:
    """Positions that look empty: by how many levels they are ``brighter`` or ``darker`` than paper.

    Both are NaN outside of the picture. ``between`` says that there are characters on both sides,
    ``tinge`` by how much channels differ in that, ``uneven`` by how many levels the paper itself
    does along the line. ``sudden`` are changes of light, of all positions, what is not empty too.
    """

    positions: Indices
    brighter: Floats
    darker: Floats
    between: Flags
    tinge: Floats
    uneven: float
    sudden: Flags


def _empty(picture: Colours, seen: Seen, parsed: Parsed, judged: Verdict) -> _Empty:
    """Compare what looks empty, from left of the fields to the paper's right edge, with paper."""
    assert parsed.routing is not None
    end = int(parsed.routing.span[0]) + _END
    positions = np.arange(parsed.first - 2, end + 1)
    known = (positions >= 0) & (positions < len(judged.best))
    blank = ~known
    blank[known] = judged.best[positions[known]] == NOTHING
    printed = np.flatnonzero(judged.sure & (judged.best != NOTHING))
    if not len(printed):
        # Nothing is certain, and the field that was found is all there is to go by.
        printed = parsed.routing.span
    if seen.amount is not None:
        amount = np.arange(end - _END + _AMOUNT, end)
        blank &= ~np.isin(positions, amount)
        printed = np.union1d(printed, amount)
    empty = positions[blank]
    off, uneven = paper.differences(picture, seen.view, seen.main, empty, printed)
    return _Empty(
        empty,
        off.max(axis=1),
        -off.min(axis=1),
        _between(empty, printed),
        np.ptp(off[:, :-1], axis=1),
        uneven,
        _sudden(off, empty),
    )


def _between(positions: Indices, printed: Indices) -> Flags:
    """Tell which positions have characters next to them, or next but one, on both sides."""
    away = positions[:, None] - printed
    left, right = (away > 0) & (away <= _NEXT), (away < 0) & (away >= -_NEXT)
    return np.asarray(left.any(axis=1) & right.any(axis=1))


def _sudden(off: Floats, positions: Indices) -> Flags:
    """Tell where light changes at once, not as it falls off from one position to the next."""
    # Where there are characters there is paper, by which everything is measured.
    beside = np.arange(positions[0] - _WIDE, positions[-1] + _WIDE + 1)
    level = np.zeros((len(beside), off.shape[1]))
    level[positions - beside[0]] = off
    level[-_WIDE:] = off[-1]
    step = level[_WIDE + 1 : -_WIDE + 1] - level[_WIDE - 1 : -_WIDE - 1]
    slope = np.abs(level[2 * _WIDE :] - level[: -2 * _WIDE])
    much = (step > _SUDDENLY_BRIGHTER) | (step < -_SUDDENLY_DARKER)
    return np.asarray((much & (np.abs(step) > _AT_ONCE * slope)).any(axis=1))


def _is_covered(empty: _Empty, parsed: Parsed) -> bool:
    """Tell whether there may be characters where none is seen."""
    near = (empty.positions >= parsed.first - 1) & (empty.positions <= parsed.last + _BESIDE)
    limit = np.where(empty.between, _BRIGHTER_BETWEEN, _BRIGHTER)
    # Beyond the ends of what is printed the paper is not known as well.
    inside = (empty.positions > parsed.first) & (empty.positions < parsed.last)
    most = max(_UNEVEN * empty.uneven + _MORE, _EVEN)
    paper_like = empty.brighter <= np.where(inside, np.minimum(limit, most), limit)
    paper_like &= ~(empty.between & (empty.tinge > _TINGE))
    if not paper_like[near].all() or (empty.darker[near] > _DARKER).any():
        return True
    return bool((empty.sudden[:-1] & empty.sudden[1:]).any())


def _is_cut(empty: _Empty) -> bool:
    """Tell whether the margin right of the last position is no paper, or not in the picture."""
    outside = np.isnan(empty.brighter[-_MARGIN:])
    return bool(outside.any() or empty.sudden[-_MARGIN:].any())


def _is_folded(seen: Seen, judged: Verdict) -> bool:
    """Tell whether some characters stand aside of where those left of them lead."""
    printed = judged.sure & (judged.best != NOTHING)
    aside = seen.main.cells.right_of_place(np.where(printed, judged.best, 0))[printed]
    if len(aside) < 2 * _NEIGHBOURS:
        return False
    mean = np.convolve(aside, np.ones(_NEIGHBOURS) / _NEIGHBOURS, "valid")
    return bool(np.abs(mean[_NEIGHBOURS:] - mean[:-_NEIGHBOURS]).max() > _STEP)


def _is_short(seen: Seen, parsed: Parsed) -> bool:
    """Tell whether the amount is further from the transit field than two presses make it."""
    if seen.amount is None or parsed.routing is None:
        return False
    found = fields.parse_amount(seen.amount.likely)
    if found is None:
        return False
    first = seen.between + seen.amount.cells.first + int(found.span[0]) - seen.main.cells.first
    return abs(first - int(parsed.routing.span[0]) - _AMOUNT) > 1
