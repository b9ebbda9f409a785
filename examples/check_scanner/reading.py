"""What was read off a check: the words that the recogniser and the rest of the pipeline share."""

from dataclasses import dataclass
from enum import StrEnum

#: x and y in pixels of the image that was read, as it stands upright.
Point = tuple[float, float]


class Decision(StrEnum):
    """What becomes of a check."""

    ACCEPT = "accept"
    REVIEW = "review"  # a person has to look at it
    REJECT = "reject"  # no person could accept it as it is


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the MICR line.

    ``text`` holds digits only (of the amount: cents), None if the field is not on the check or
    cannot be read. ``confidence`` goes from 0 to 1: of fields with 0.9, nine in ten are right.
    ``box`` has the corners around the field's characters, clockwise from the top left one.
    """

    text: str | None
    confidence: float
    box: tuple[Point, Point, Point, Point] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """The MICR line of one check.

    ``line`` is the whole line from left to right, with the symbols of `e13b`, a blank for each
    blank position and ``?`` for what cannot be read; it is empty if no line was found. ``decision``
    is about the reading alone, ``reason`` is a sentence for people, empty when accepted.
    """

    line: str
    routing: Field
    account: Field
    serial: Field
    amount: Field
    decision: Decision
    reason: str
    confidence: float
    model_version: str
