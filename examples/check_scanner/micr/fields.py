"""The grammar of the line: which positions belong to which field."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from examples.check_scanner.e13b import AMOUNT, CHARACTERS, DASH, ON_US, TRANSIT

Floats = NDArray[np.float64]
Positions = NDArray[np.intp]

_DIGITS = np.array([CHARACTERS.index(digit) for digit in "0123456789"])
_TRANSIT, _AMOUNT, _ON_US, _DASH = (CHARACTERS.index(c) for c in (TRANSIT, AMOUNT, ON_US, DASH))
#: Lengths of fields in positions, symbols included.
TRANSIT_LENGTH, AMOUNT_LENGTH = 11, 12
#: Positions behind the transit field: a blank, the on-us field's 18, and what the amount field
#: leaves to lines that are longer than they should be.
ON_US_LENGTH = 22

# A position whose best character is less likely cannot be read.
LEGIBLE = 0.2


@dataclass(frozen=True, slots=True)
class Found:
    """A field: its digits and the positions (rows of the scores) that it is made of.

    ``span`` are all its positions from symbol to symbol, ``digits`` those with digits.
    """

    text: str
    digits: Positions
    span: Positions


@dataclass(frozen=True, slots=True)
class Parsed:
    """The fields of the main line; ``text`` has one character per position, blanks included.

    ``used`` are the first and last position that belong to a field, ``doubts`` sentences on what
    does not fit the grammar.
    """

    text: str
    used: tuple[int, int]
    dashed: bool
    routing: Found | None
    account: Found | None
    serial: Found | None
    doubts: tuple[str, ...]


def parse(score: Floats, blank: NDArray[np.bool_]) -> Parsed:
    """Find the fields in ``score`` (positions x characters); ``blank`` says where no ink is."""
    text = _text(score, blank, np.arange(len(CHARACTERS)))
    start = _best(score, TRANSIT_LENGTH, _TRANSIT)
    if start is None:
        return Parsed(text, (0, len(text) - 1), False, None, None, None, ("no transit field",))
    inside = np.arange(start + 1, start + TRANSIT_LENGTH - 1)
    dashed = bool(score[inside[4], _DASH] > score[inside[4], _DIGITS].max())
    if dashed:
        inside = np.delete(inside, 4)
    span = np.arange(start, start + TRANSIT_LENGTH)
    routing = Found(_digits(score, inside), inside, span)
    middle = TRANSIT + routing.text + TRANSIT
    if dashed:
        middle = f"{TRANSIT}{routing.text[:4]}{DASH}{routing.text[4:]}{TRANSIT}"
    free = np.array([*_DIGITS, _ON_US, _DASH])
    before = _text(score[:start], blank[:start], free)
    beyond = slice(span[-1] + 1, span[-1] + 1 + ON_US_LENGTH)
    after = _text(score[beyond], blank[beyond], free)
    auxiliary = _auxiliary(before)
    account, serial, end, doubts = _on_us(after, span[-1] + 1, auxiliary is not None)
    left = start
    if auxiliary is not None:
        left = int(auxiliary.span[0])
        serial = auxiliary
    used = (left, max(end, int(span[-1])))
    line = (before + middle + after)
    return Parsed(line, used, dashed, routing, account, serial, tuple(doubts))


def parse_amount(score: Floats) -> Found | None:
    """Find the amount field: ten digits between two symbols."""
    start = _best(score, AMOUNT_LENGTH, _AMOUNT)
    if start is None:
        return None
    digits = np.arange(start + 1, start + AMOUNT_LENGTH - 1)
    return Found(_digits(score, digits), digits, np.arange(start, start + AMOUNT_LENGTH))


def _text(score: Floats, blank: NDArray[np.bool_], allowed: NDArray[np.intp]) -> str:
    if not len(score):
        return ""
    best = allowed[score[:, allowed].argmax(axis=1)]
    return "".join(
        " " if empty else CHARACTERS[character] if value > LEGIBLE else "?"
        for empty, character, value in zip(
            blank, best, score[:, allowed].max(axis=1), strict=True
        )
    )


def _digits(score: Floats, positions: Positions) -> str:
    return "".join(CHARACTERS[_DIGITS[k]] for k in score[positions][:, _DIGITS].argmax(axis=1))


def _best(score: Floats, length: int, symbol: int) -> int | None:
    """Return where a field of that length, between two symbols, fits best."""
    starts = np.arange(len(score) - length + 1)
    if not len(starts):
        return None
    digit = score[:, _DIGITS].max(axis=1)
    digit = np.maximum(digit, score[:, _DASH]) if symbol == _TRANSIT else digit
    sums = np.concatenate([[0.0], np.cumsum(digit)])
    inside = sums[starts + length - 1] - sums[starts + 1]
    # The symbols weigh as much as half of the digits: they are what tells a field from another.
    frame = score[starts, symbol] + score[starts + length - 1, symbol]
    start = int(starts[(inside + length / 4 * frame).argmax()])
    ends = score[[start, start + length - 1], symbol]
    return start if ends.max() > 0.5 and ends.min() > 0.15 else None


def _auxiliary(text: str) -> Found | None:
    """Find the auxiliary on-us field left of the transit field: digits between two symbols."""
    closing = text.rfind(ON_US)
    opening = text.rfind(ON_US, 0, closing) if closing > 0 else -1
    if opening < 0:
        return None
    inside = np.arange(opening + 1, closing)
    return _gathered(text, inside, 0, np.arange(opening, closing + 1))


def _on_us(
    text: str, offset: int, business: bool
) -> tuple[Found | None, Found | None, int, list[str]]:
    """Take the on-us field apart: account, serial, last position, doubts."""
    closing = text.rfind(ON_US)
    if closing < 0:
        return None, None, offset, ["no on-us symbol behind the account"]
    left, right = np.arange(closing), np.arange(closing + 1, len(text))
    # What stands far off behind a gap is not of this field.
    serial = _tokens(text, right)
    serial_at = serial[0] if serial and serial[0][0] - closing <= 4 else np.array([], np.intp)
    for token in serial[1:]:
        if token[0] - serial_at[-1] > 2 if len(serial_at) else True:
            break
        serial_at = np.concatenate([serial_at, token])
    end = int(max(serial_at[-1] if len(serial_at) else closing, closing))
    doubts: list[str] = []
    parts = [np.array(part, np.intp) for part in _cut(text, left) if len(_tokens(text, part))]
    if not parts:
        return None, None, offset + end, ["no account before the on-us symbol"]
    account_at = parts[-1]
    own: NDArray[np.intp] = serial_at
    if len(parts) > 1:
        shorter, account_at = sorted((parts[0], np.concatenate(parts[1:])), key=len)
        own = shorter if not len(serial_at) else serial_at
        if len(account_at) - len(shorter) < 3:
            doubts.append("it is not clear which number is the account")
    elif not len(serial_at) and not business:
        tokens = _tokens(text, account_at)
        if len(tokens) > 1 and len(tokens[0]) <= 6:
            own, account_at = tokens[0], np.arange(tokens[1][0], account_at[-1] + 1)
            if len(tokens) > 2:
                doubts.append("it is not clear where the account begins")
    account = _gathered(text, account_at, offset, offset + account_at)
    found = _gathered(text, own, offset, offset + own) if len(own) else None
    return account, found, offset + end, doubts


def _cut(text: str, positions: Positions) -> list[list[int]]:
    """Split positions at on-us symbols."""
    parts: list[list[int]] = [[]]
    for position in positions:
        if text[position] == ON_US:
            parts.append([])
        else:
            parts[-1].append(int(position))
    return parts


def _tokens(text: str, positions: Positions | list[int]) -> list[Positions]:
    """Return runs without blanks."""
    runs: list[list[int]] = [[]]
    for position in positions:
        if text[position] == " ":
            runs.append([])
        else:
            runs[-1].append(int(position))
    return [np.array(run, np.intp) for run in runs if run]


def _gathered(text: str, positions: Positions, offset: int, span: Positions) -> Found | None:
    digits = [int(p) for p in positions if text[p] not in (" ", DASH, ON_US)]
    if not digits:
        return None
    at = np.array(digits, np.intp)
    return Found("".join(text[p] for p in digits), at + offset, span)
