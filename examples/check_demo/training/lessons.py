"""What the recogniser sees at each position of a line, and what is printed there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.check_scanner.recogniser.e13b import AMOUNT, CHARACTERS
from examples.check_scanner.recogniser.micr.cells import levels
from examples.check_scanner.recogniser.micr.grey import planes
from examples.check_scanner.recogniser.micr.line import Group, see
from examples.check_scanner.recogniser.micr.verdict import NOTHING
from examples.check_scanner.recogniser.model import Model

#: Levels of ink in lessons.
FULL, PAPER = 180, 40
# Correlation of characters by which a line is laid over what is printed; and how many of those that
# are printed have to be found, so that the two surely lie upon each other.
_LIKE, _FOUND = 0.6, 0.5


@dataclass(frozen=True, slots=True)
class Lesson:
    """Positions of a line: ``seen`` and ``level`` are what `network.logits` is given.

    Of full ink ``seen`` has `FULL` levels, and `PAPER` where there is none, in a quarter of the
    memory. ``printed`` indexes `e13b.CHARACTERS`, or is `verdict.NOTHING`.
    """

    seen: NDArray[np.uint8]
    level: NDArray[np.float32]
    printed: NDArray[np.uint8]


def lessons(model: Model, image: Image.Image, line: str) -> list[Lesson]:
    """Return a lesson for each part of the line that is found in ``image``.

    Templates tell which position is which. What the network has learned before only corrects the
    line's course.
    """
    seen = see(*planes(image), model.bank)
    if seen is None:
        return []
    own, symbol, amount = line.partition(AMOUNT)
    parts = [(seen.main, own), (seen.amount, symbol + amount)]
    # Where an amount is that was not found, positions right of the line are not empty.
    blank_after = not symbol or seen.amount is not None
    made = [
        _lesson(group, text, model, blank_after)
        for group, text in parts
        if group is not None and text
    ]
    return [one for one in made if one is not None]


def _lesson(group: Group, text: str, model: Model, blank_after: bool) -> Lesson | None:
    like = group.cells.score
    looks = np.where(like.max(axis=1) > _LIKE, like.argmax(axis=1), NOTHING)
    printed = np.array([CHARACTERS.find(one) % (NOTHING + 1) for one in text])
    laid = {at: _laid(printed, at, len(looks)) for at in range(-len(looks), len(text))}
    agree = {at: int(((row == looks) & (row != NOTHING)).sum()) for at, row in laid.items()}
    at = max(agree, key=lambda one: agree[one])
    if agree[at] < _FOUND * (printed != NOTHING).sum():
        return None
    index = np.arange(len(looks)) + at
    known = index < len(text.rstrip()) + (len(index) if blank_after else 0)
    if text.startswith(AMOUNT):
        known = (index >= -1) & (index <= len(text))
    level = levels(group.cells, model.bank.ink[group.cells.variant])
    seen = np.clip(group.cells.around[known] * FULL + PAPER, 0, 255)
    return Lesson(
        seen.astype(np.uint8),
        level[known].astype(np.float32),
        laid[at][known].astype(np.uint8),
    )


def _laid(printed: NDArray[np.intp], at: int, count: int) -> NDArray[np.intp]:
    """Return what is printed at ``count`` positions, the first of which is number ``at``."""
    index = np.arange(count) + at
    inside = (index >= 0) & (index < len(printed))
    return np.where(inside, printed[np.clip(index, 0, len(printed) - 1)], NOTHING)
