"""The grammar of the line: which positions belong to which field."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from ..e13b import AMOUNT, CHARACTERS, DASH, ON_US, TRANSIT
from .arrays import Flags, Floats, Indices

DIGITS = np.array([CHARACTERS.index(digit) for digit in "0123456789"])
_TRANSIT, _AMOUNT, _ON_US, _DASH = (CHARACTERS.index(c) for c in (TRANSIT, AMOUNT, ON_US, DASH))
_IN_ON_US = np.array([*DIGITS, _ON_US, _DASH])

# Where a dash may be among the nine positions between transit symbols.
_DASHES = (4, 5)

#: Lengths of fields in positions, symbols included.
TRANSIT_LENGTH, AMOUNT_LENGTH = 11, 12
#: Indices behind the transit field: a blank, the on-us field's 18, and what the amount field
#: leaves to lines that are longer than they should be.
ON_US_LENGTH = 22

# The better and the worse of a field's two symbols must be about this likely.
_SYMBOL, _DAMAGED = 0.5, 0.15
# A serial stands at most so many positions behind the on-us symbol, its parts so near together.
_SERIAL_WITHIN, _SERIAL_GAP = 4, 2
# The longest serial that is looked for left of an account.
_SERIAL_LENGTH = 6
# The shortest one that is believed right of an account if there may be one on the left as well.
_SHORTEST_SERIAL = 3
# Two numbers whose lengths differ by less could be each other.
_TELLING = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A field: its digits and the positions that it is made of.

    ``digits`` are the positions of ``text``, ``span`` all from symbol to symbol.
    """

    text: str
    digits: Indices
    span: Indices


@dataclass(frozen=True, slots=True)
class Parsed:
    """The fields of the main line; ``text`` has one character per position, blanks included.

    ``first`` and ``last`` are the outermost positions of fields, ``dashed`` says that the transit
    field is one of eight digits around a dash, ``doubts`` are sentences on what the grammar leaves
    open.
    """

    text: str
    first: int
    last: int
    dashed: bool = False
    routing: Found | None = None
    account: Found | None = None
    serial: Found | None = None
    doubts: tuple[str, ...] = ()


def parse(likely: Floats, blank: Flags) -> Parsed:
    """Find the fields.

    ``likely`` (positions x characters) is 1 for a position's best reading, less for others;
    ``blank`` tells where nothing at all is the best.
    """
    start = _framed(likely, TRANSIT_LENGTH, _TRANSIT)
    if start is None:
        text = _text(likely, blank, np.arange(len(CHARACTERS)))
        return Parsed(text, 0, len(text) - 1)
    routing, dashed = _transit(likely, start)
    end = start + TRANSIT_LENGTH
    middle = _with_dashes(routing)
    before = _text(likely[:start], blank[:start], _IN_ON_US)
    beyond = slice(end, end + ON_US_LENGTH)
    after = _text(likely[beyond], blank[beyond], _IN_ON_US)
    parsed = _on_us(after, end, auxiliary := _auxiliary(before))
    return replace(
        parsed,
        text=f"{before}{TRANSIT}{middle}{TRANSIT}{after}",
        first=start if auxiliary is None else int(auxiliary.span[0]),
        dashed=dashed,
        routing=routing,
    )


def parse_amount(likely: Floats) -> Found | None:
    """Find the amount field: ten digits between two symbols."""
    start = _framed(likely, AMOUNT_LENGTH, _AMOUNT)
    if start is None:
        return None
    digits = np.arange(start + 1, start + AMOUNT_LENGTH - 1)
    return Found(_digits(likely, digits), digits, np.arange(start, start + AMOUNT_LENGTH))


def _framed(likely: Floats, length: int, symbol: int) -> int | None:
    """Return where a field of that length, between two symbols, fits best."""
    starts = np.arange(len(likely) - length + 1)
    if not len(starts):
        return None
    digit = likely[:, DIGITS].max(axis=1)
    if symbol == _TRANSIT:
        digit = np.maximum(digit, likely[:, _DASH])
    sums = np.concatenate([[0.0], np.cumsum(digit)])
    inside = sums[starts + length - 1] - sums[starts + 1]
    # The symbols weigh half as much as the digits: they are what tells a field from another.
    frame = likely[starts, symbol] + likely[starts + length - 1, symbol]
    start = int(starts[(inside + length / 4 * frame).argmax()])
    ends = likely[[start, start + length - 1], symbol]
    return start if ends.max() > _SYMBOL and ends.min() > _DAMAGED else None


def _transit(likely: Floats, start: int) -> tuple[Found, bool]:
    """Read the routing number: nine digits, or eight around a dash.

    Four and four are how it was before there was a check digit; five and three are Canada's.
    """
    inside = np.arange(start + 1, start + TRANSIT_LENGTH - 1)
    lead = likely[inside, _DASH] - likely[inside][:, DIGITS].max(axis=1)
    place = max(_DASHES, key=lambda place: float(lead[place]))
    dashed = bool(lead[place] > 0)
    digits = np.delete(inside, place) if dashed else inside
    span = np.arange(start, start + TRANSIT_LENGTH)
    return Found(_digits(likely, digits), digits, span), dashed


def _with_dashes(found: Found) -> str:
    """Return a character for each position of the routing number."""
    text = [DASH] * int(found.span[-1] - found.span[0] - 1)
    for digit, place in zip(found.text, found.digits - found.span[0] - 1, strict=True):
        text[place] = digit
    return "".join(text)


def _auxiliary(text: str) -> Found | None:
    """Find the auxiliary on-us field left of the transit field: a serial between two symbols."""
    closing = text.rfind(ON_US)
    opening = text.rfind(ON_US, 0, closing) if closing > 0 else -1
    if opening < 0:
        return None
    found = _gathered(text, np.arange(opening + 1, closing), 0)
    return found and replace(found, span=np.arange(opening, closing + 1))


def _on_us(text: str, offset: int, auxiliary: Found | None) -> Parsed:
    """Take the on-us field apart; position 0 of ``text`` is ``offset`` of the line.

    The account ends at the on-us symbol. The serial is in the auxiliary field, right of the
    symbol, or left of the account with a blank in between.
    """
    doubts: list[str] = []
    closing = text.rfind(ON_US)
    if closing < 0:
        closing = _where_digits_end(text)
        doubts.append("No on-us symbol can be seen behind the account.")
    right = _serial_right(text, closing)
    parts = [part for part in _cut(text, closing) if _runs(text, part)]
    runs = [run for part in parts for run in _runs(text, part)]
    account = np.concatenate(runs) if runs else np.array([], np.intp)
    left = account[:0]
    if len(parts) > 1:
        # Two numbers with an on-us symbol between them: serials are shorter.
        numbers = [_digits_of(text, part) for part in (parts[0], np.concatenate(parts[1:]))]
        left, account = sorted(numbers, key=len)
        if len(account) - len(left) < _TELLING:
            doubts.append("It is not clear which number is the account.")
        if len(parts) > 2 or len(right) or auxiliary is not None:
            doubts.append("There are more numbers than an account and a serial.")
    elif auxiliary is None and len(right) < _SHORTEST_SERIAL and _serial_left(runs):
        # What is right of the symbol, if anything, is a stroke of a pen.
        left, account, right = runs[0], np.concatenate(runs[1:]), right[:0]
        if len(runs) > 2:
            doubts.append("It is not clear where the account begins.")
    serial = auxiliary or _gathered(text, right if len(right) else left, offset)
    last = int(right[-1]) if len(right) else min(closing, len(text) - 1)
    number = _gathered(text, account, offset)
    if serial is None and any(text[p] == DASH for p in account):
        doubts.append("It is not clear whether the account begins with a serial.")
    return Parsed(text, 0, offset + last, account=number, serial=serial, doubts=tuple(doubts))


def _where_digits_end(text: str) -> int:
    """Return the position behind the first digits, which may have blanks among them."""
    end = 0
    for run in _runs(text, np.arange(len(text))):
        if end and run[0] - end > _SERIAL_GAP:
            break
        end = int(run[-1]) + 1
    return end


def _serial_left(runs: list[Indices]) -> bool:
    """Tell whether what is left of the on-us symbol may be a serial and an account."""
    return len(runs) > 1 and len(runs[0]) <= _SERIAL_LENGTH


def _serial_right(text: str, closing: int) -> Indices:
    """Return the positions of the number right of the on-us symbol, if there is one."""
    serial: list[int] = []
    for run in _runs(text, np.arange(closing + 1, len(text))):
        if serial and run[0] - serial[-1] > _SERIAL_GAP:
            break
        if not serial and run[0] - closing > _SERIAL_WITHIN:
            break
        serial.extend(int(p) for p in run)
    return np.array(serial, np.intp)


def _cut(text: str, end: int) -> list[Indices]:
    """Split the positions before ``end`` at on-us symbols."""
    marks = [-1, *(p for p in range(end) if text[p] == ON_US), end]
    return [np.arange(a + 1, b) for a, b in pairwise(marks)]


def _runs(text: str, positions: Indices) -> list[Indices]:
    """Return runs of positions without blanks."""
    filled = np.array([p for p in positions if text[p] != " "], np.intp)
    if not len(filled):
        return []
    return np.split(filled, np.flatnonzero(np.diff(filled) > 1) + 1)


def _digits_of(text: str, positions: Indices) -> Indices:
    """Return which of the positions are digits."""
    return np.array([p for p in positions if text[p].isdigit()], np.intp)


def _gathered(text: str, positions: Indices, offset: int) -> Found | None:
    """Return the field of these positions; dashes and blanks are not part of its text."""
    digits = _digits_of(text, positions)
    if not len(digits):
        return None
    span = np.arange(digits[0], digits[-1] + 1) + offset
    return Found("".join(text[p] for p in digits), digits + offset, span)


def _text(likely: Floats, blank: Flags, allowed: Indices) -> str:
    best = allowed[likely[:, allowed].argmax(axis=1)] if len(likely) else []
    return "".join(" " if empty else CHARACTERS[k] for empty, k in zip(blank, best, strict=True))


def _digits(likely: Floats, positions: Indices) -> str:
    return "".join(CHARACTERS[DIGITS[k]] for k in likely[positions][:, DIGITS].argmax(axis=1))
