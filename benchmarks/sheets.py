"""Sheets that accidents happen to, and where their line is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from examples.check_demo.specimen import Check, wear
from examples.check_demo.specimen.draw import draw_sheet
from examples.check_demo.specimen.layout import Layout
from examples.check_scanner.recogniser import e13b

Sheet = NDArray[np.uint8]

#: Routing, account, serial and amount, as in `reading.Reading`; None for what is not on the line.
Fields = tuple[str | None, str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Paper:
    """A check's sheet at ``dpi``; ``line`` begins at position ``first``, counted from the right."""

    sheet: Sheet
    dpi: float
    line: str
    first: int
    truth: Fields

    def x(self, index: float) -> float:
        """Return the pixel column where the line's character of that index ends."""
        inches = e13b.RIGHT_MARGIN + (self.first - 1 - index) * e13b.PITCH
        return float(self.sheet.shape[1] - inches * self.dpi)

    @property
    def y(self) -> float:
        """The middle of the line's band in pixel rows."""
        return float(self.sheet.shape[0] - sum(e13b.PRINT_BAND) / 2 * self.dpi)

    def inside(self, chance: Random) -> float:
        """Return a pixel column somewhere between the ends of the line's numbers."""
        filled = [at for at, character in enumerate(self.line) if character != " "]
        return self.x(chance.choice(filled) - chance.random())


Draw = Callable[[Check, float, Random, np.random.Generator], Paper]


def specimen_paper(check: Check, dpi: float, chance: Random, noise: np.random.Generator) -> Paper:
    """Draw the sheet as the tiers' clean checks are, its background also behind the line or not."""
    making = wear.any_making(chance, 0.7, full_print=chance.random() < 0.4)
    sheet = draw_sheet(check, dpi, making, noise)
    amount = str(int(check.amount * 100)) if check.layout.encoded else None
    return Paper(
        sheet,
        dpi,
        check.micr_line,
        check.layout.first_position(check.serial),
        (check.routing, check.account, check.serial, amount),
    )


@dataclass(frozen=True, slots=True)
class Odd(Layout):
    """A line laid out by hand: ``text`` has what stands right of the amount's place."""

    text: str = ""

    def line(self, *_: object) -> str:
        """Return the text."""
        return self.text

    def first_position(self, serial: str) -> int:
        """Return where a personal check's line begins."""
        return Layout().first_position(serial)
