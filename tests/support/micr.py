"""Checks drawn flat, the fields that are printed on them, and those that were read."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
from PIL import Image, ImageDraw

from examples.check_demo.specimen import Check, check_digit, invent
from examples.check_demo.specimen.draw import Making, draw_sheet
from examples.check_demo.specimen.glyphs import Face
from examples.check_demo.specimen.magnetic import Press
from examples.check_scanner.reading import Decision, Reading
from examples.check_scanner.recogniser import e13b

PERSONAL = replace(
    invent(3), routing="12500002" + check_digit("12500002"), account="4079361852", serial="1067"
)

AMOUNT = Decimal("1204.56")


def drawn(check: Check, dpi: float = 200, face: Face | None = None) -> Image.Image:
    """The check's sheet as it lies there; its amount from the same press."""
    press = Press(face=face or Face())
    making = Making(press=press, amount_press=press)
    sheet = draw_sheet(check, dpi, making, np.random.default_rng(1))
    return Image.fromarray(np.asarray(sheet, np.uint8))


def texts(reading: Reading) -> list[str | None]:
    """The four fields."""
    fields = (reading.routing, reading.account, reading.serial, reading.amount)
    return [field.text for field in fields]


def printed(check: Check) -> list[str | None]:
    """What they should be."""
    amount = str(int(check.amount * 100)) if check.layout.encoded else None
    return [check.routing, check.account, check.serial, amount]


def assert_read(reading: Reading, check: Check) -> None:
    """All fields are right, and there was no doubt about them."""
    assert texts(reading) == printed(check)
    assert (reading.decision, reading.reason) == (Decision.ACCEPT, "")
    assert reading.line == check.micr_line


def stroke(image: Image.Image, *inches: tuple[float, float], width: float = 0.02) -> Image.Image:
    """Draw a black line through points given in inches from the bottom left corner, at 200 dpi."""
    marked = image.copy()
    points = [(x * 200, marked.height - y * 200) for x, y in inches]
    ImageDraw.Draw(marked).line(points, fill=(25, 25, 30), width=round(width * 200), joint="curve")
    return marked


def left_of(check: Check, character: int) -> float:
    """Inches from the paper's left edge to the left edge of the line's n-th character."""
    position = check.layout.first_position(check.serial) - character
    return check.layout.inches[0] - e13b.right_edge(position) - 7 * e13b.MODULE
