"""From positions to a reading: the fields, and whether they may be used without a person."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...reading import Decision, Field, Point, Reading
from ..e13b import AMOUNT, CHARACTERS, GLYPH_HEIGHT, ON_US
from . import fields, quality, routing
from .arrays import Colours, Indices
from .fields import Found, Parsed
from .line import Group, Seen
from .locate import PITCH
from .verdict import NOTHING, Verdict, verdict

_NONE = Field(None, 0.0)
# Indices right of a serial that have to be seen empty: only blanks end it.
_QUIET = 2
# Confidence in what may still be vouched for by the check digit.
_LEGIBLE = 0.9
# Fewest digits of a serial; digits of an account are next to each other, but for a dash or a blank.
_SHORTEST, _WIDEST = 3, 2
# So many blanks between two fields, and a digit may be hidden there: layouts leave one to three.
_FAR_APART = 5
# The most confidence there is: the curve was not measured any further.
_MOST = 0.999
# Confidence in a character that another one is more like.
_ANOTHER = 0.05
#: Fewest and most digits of an account.
_ACCOUNT = (3, 17)


@dataclass(frozen=True, slots=True)
class _Line:
    """A group with what was made of it."""

    group: Group
    verdict: Verdict


def nothing(version: str) -> Reading:
    """Return the reading of a picture in which no MICR line was found."""
    reason = "No MICR line was found in the picture."
    return Reading("", _NONE, _NONE, _NONE, _NONE, Decision.REVIEW, reason, 0.0, version)


def judged(seen: Seen, version: str, picture: Colours) -> Reading:
    """Return the reading of a line that was seen in ``picture``: accept what leaves no doubt."""
    main = _Line(seen.main, verdict(seen.main))
    parsed = fields.parse(seen.main.likely, main.verdict.best == NOTHING)
    if parsed.routing is None:
        return _illegible(seen, parsed, version)
    whole = main
    main = _as_parsed(main, np.arange(len(parsed.text)), parsed.text)
    number, mended = _routing(parsed, main)
    main = _vouched(number, parsed, main)
    found = {"routing number": number, "account": parsed.account, "serial": parsed.serial}
    doubts = [*_doubtful(found, main), *parsed.doubts]
    amount = None
    if seen.amount is not None:
        other = _Line(seen.amount, verdict(seen.amount))
        amount = fields.parse_amount(seen.amount.likely)
        if amount is None:
            doubts.append("There is an amount field that cannot be read.")
        else:
            other = _as_parsed(other, amount.span, f"{AMOUNT}{amount.text}{AMOUNT}")
            doubts += _doubtful({"amount": amount}, other)
    elif seen.loose:
        doubts.append("There is something where the amount would be.")
    if mended:
        doubts.insert(0, "The routing number was read by means of its check digit.")
    doubts += _grammar(parsed) + _ends(parsed, main, whole.verdict, seen)
    doubts[:0] = quality.doubts(picture, seen, parsed, whole.verdict)
    decision, reason = _decision(number, parsed, main, doubts)
    read = {
        "routing": _field(number, main, seen),
        "account": _field(parsed.account, main, seen),
        "serial": _field(parsed.serial, main, seen),
        "amount": _field(amount, other, seen, cents=True) if amount is not None else _NONE,
    }
    present = [field.confidence for field in read.values() if field.text is not None]
    return Reading(
        line=_whole(parsed, amount, seen),
        decision=decision,
        reason=reason,
        confidence=_rounded(np.prod(present)),
        model_version=version,
        **read,
    )


def _as_parsed(line: _Line, positions: Indices, text: str) -> _Line:
    """Believe of what is certain only what the grammar has not made something else of.

    The fields are the best that the grammar allows: a dash may have become a digit in them.
    """
    judged = line.verdict
    meant = np.array([CHARACTERS.find(character) % (NOTHING + 1) for character in text])
    sure, confidence = judged.sure.copy(), judged.confidence.copy()
    other = positions[judged.best[positions] != meant]
    sure[other] = False
    confidence[other] = np.minimum(confidence[other], _ANOTHER)
    return replace(line, verdict=replace(judged, sure=sure, confidence=confidence))


def _illegible(seen: Seen, parsed: Parsed, version: str) -> Reading:
    reason = "There is a MICR line, but no routing number can be read in it."
    text = parsed.text.strip()
    return Reading(text, _NONE, _NONE, _NONE, _NONE, Decision.REVIEW, reason, 0.0, version)


def _routing(parsed: Parsed, main: _Line) -> tuple[Found, bool]:
    """Return the routing number, if need be as its check digit says; and whether it was needed."""
    number = parsed.routing
    assert number is not None
    if parsed.dashed or routing.checks(number.text):
        return number, False
    cost = -main.group.logits[number.digits][:, fields.DIGITS]
    text = routing.mended(number.text, cost, ~main.verdict.sure[number.digits])
    if text is None:
        return number, False
    return Found(text, number.digits, number.span), True


def _vouched(number: Found, parsed: Parsed, main: _Line) -> _Line:
    """Believe a single doubtful digit of the routing number if the check digit says so too.

    Were it wrong, at least two would have to be: no change of one digit keeps the sum.
    """
    unsure = number.digits[~main.verdict.sure[number.digits]]
    if parsed.dashed or len(unsure) != 1 or not routing.checks(number.text):
        return main
    read = CHARACTERS.index(number.text[int(np.flatnonzero(number.digits == unsure[0])[0])])
    if main.verdict.best[unsure[0]] != read:
        return main
    if main.verdict.confidence[unsure[0]] < _LEGIBLE:
        return main
    sure = main.verdict.sure.copy()
    sure[unsure] = True
    return replace(main, verdict=replace(main.verdict, sure=sure))


def _doubtful(found: dict[str, Found | None], line: _Line) -> list[str]:
    """Return a sentence for each field with positions that are not sure."""
    sentences = []
    for name, field in found.items():
        if field is None:
            continue
        unsure = [int(p) for p in field.span if not line.verdict.sure[p]]
        digits = [p for p in unsure if p in field.digits]
        if digits:
            which = [str(int(np.flatnonzero(field.digits == p)[0]) + 1) for p in digits]
            places = " and ".join(filter(None, [", ".join(which[:-1]), which[-1]]))
            plural = "s" if len(digits) > 1 else ""
            sentences.append(f"Digit{plural} {places} of the {name} cannot be read for certain.")
        elif unsure:
            sentences.append(f"The symbols or blanks of the {name} cannot be read for certain.")
    return sentences


def _grammar(parsed: Parsed) -> list[str]:
    """Return what is missing or not as it should be."""
    doubts = []
    if parsed.dashed:
        doubts.append(
            "The routing number has a dash, as it had of old and has in Canada, and no check digit."
        )
    if parsed.account is None:
        doubts.append("No account can be found.")
    elif not _ACCOUNT[0] <= len(parsed.account.text) <= _ACCOUNT[1]:
        doubts.append(f"An account of {len(parsed.account.text)} digits is unusual.")
    elif (np.diff(parsed.account.digits, append=_end(parsed)) > _WIDEST).any():
        doubts.append("There is a gap in the account.")
    if parsed.serial is None:
        doubts.append("No serial number can be found.")
    elif len(parsed.serial.text) < _SHORTEST:
        doubts.append(f"A serial number of {len(parsed.serial.text)} digits is unusual.")
    elif (np.diff(parsed.serial.digits) > 1).any():
        doubts.append("There is a gap in the serial number.")
    printed = np.flatnonzero([character != " " for character in parsed.text])
    if (np.diff(printed[(printed >= parsed.first) & (printed <= parsed.last)]) > _FAR_APART).any():
        doubts.append("There is a wide gap between two fields.")
    return doubts


def _end(parsed: Parsed) -> int:
    """Return where the symbol behind the account is; next to it, if there is none."""
    assert parsed.account is not None
    behind = int(parsed.account.digits[-1]) + 1
    return max(behind, parsed.text.find(ON_US, behind))


def _ends(parsed: Parsed, main: _Line, whole: Verdict, seen: Seen) -> list[str]:
    """Return doubts about where the line begins and ends.

    Symbols enclose every field but a serial right of the account, which ends where blanks begin.
    ``whole`` is the verdict on the positions whatever the grammar makes of them.
    """
    judged, doubts = main.verdict, []
    between = np.arange(parsed.first, parsed.last + 1)
    if not judged.sure[between].all() and not _covered(parsed, judged):
        doubts.append("There is something between the fields.")
    behind = np.arange(parsed.last + 1, parsed.last + 1 + _QUIET)
    if seen.amount is None and behind[-1] >= len(judged.best):
        doubts.append("The line may go on outside of the picture.")
    behind = behind[behind < len(judged.best)]
    if (whole.best[behind] != NOTHING).any() or not whole.sure[behind].all():
        doubts.append("There is something right of the last field.")
    outside = np.ones(len(whole.best), bool)
    outside[parsed.first : parsed.last + 1 + _QUIET] = False
    if (outside & whole.sure & (whole.best != NOTHING)).any():
        doubts.append("There are characters outside of the fields.")
    return doubts


def _covered(parsed: Parsed, judged: Verdict) -> bool:
    """Tell whether all that is not sure belongs to a field, which has been said then."""
    unsure = {int(p) for p in np.flatnonzero(~judged.sure) if parsed.first <= p <= parsed.last}
    known = [f.span for f in (parsed.routing, parsed.account, parsed.serial) if f is not None]
    return unsure <= {int(p) for span in known for p in span}


def _decision(
    number: Found, parsed: Parsed, main: _Line, doubts: list[str]
) -> tuple[Decision, str]:
    if not parsed.dashed and main.verdict.sure[number.span].all():
        if not routing.checks(number.text):
            return Decision.REJECT, f"The check digit of the routing number {number.text} is wrong."
        if not routing.exists(number.text):
            return Decision.REJECT, f"No routing number begins with {number.text[:2]}."
    elif not parsed.dashed and not (routing.checks(number.text) and routing.exists(number.text)):
        doubts.insert(0, f"{number.text} is no routing number.")
    return (Decision.REVIEW, " ".join(doubts)) if doubts else (Decision.ACCEPT, "")


def _field(found: Found | None, line: _Line, seen: Seen, cents: bool = False) -> Field:
    if found is None:
        return _NONE
    text = str(int(found.text)) if cents else found.text
    confidence = _rounded(line.verdict.confidence[found.digits].prod())
    return Field(text, confidence, _box(found, line.group, seen))


def _rounded(confidence: np.floating[Any]) -> float:
    """Return a confidence for people: nothing is certain."""
    return min(round(float(confidence), 3), _MOST)


def _box(found: Found, group: Group, seen: Seen) -> tuple[Point, Point, Point, Point]:
    left = (group.cells.first + found.span[0]) * PITCH + 1
    right = (group.cells.first + found.span[-1]) * PITCH + 8
    x, y = group.track.points(
        np.array([left, right, right, left]), np.array([0.0, 0.0, GLYPH_HEIGHT, GLYPH_HEIGHT])
    )
    x, y = seen.view.place(x, y)
    corners = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
    return corners[0], corners[1], corners[2], corners[3]


def _whole(parsed: Parsed, amount: Found | None, seen: Seen) -> str:
    """Return the line with its amount field, blanks between them counted out."""
    main = parsed.text[parsed.first : parsed.last + 1]
    if amount is None or seen.amount is None:
        return main
    blanks = (
        seen.between
        + seen.amount.cells.first
        + int(amount.span[0])
        - (seen.main.cells.first + parsed.last)
    )
    return f"{main}{' ' * max(0, blanks - 1)}{AMOUNT}{amount.text}{AMOUNT}"
