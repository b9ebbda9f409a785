"""Drawing a check: print, pen and magnetic ink on security paper."""

import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from examples.check_scanner.recogniser import e13b

from . import form, paper
from .camera import grain
from .invent import Check
from .magnetic import Press, print_line

DPI = 200
SIZE = (1200, 550)

_PRINT = (0.16, 0.17, 0.22)
_MAGNETIC = (0.07, 0.07, 0.08)
_STAMP = (0.86, 0.35, 0.38)
PENS = ((0.10, 0.16, 0.48), (0.12, 0.12, 0.15), (0.08, 0.22, 0.42))


@dataclass(frozen=True, slots=True)
class Making:
    """How a check was made: the presses of its line and of its amount, and its paper.

    The amount is printed by the first bank to take the check, on another machine. ``plain_below``
    is how many inches from the bottom edge up the background keeps clear of.
    """

    press: Press = field(default_factory=Press)
    amount_press: Press = field(default_factory=Press)
    plain_below: float = e13b.CLEAR_BAND


def draw(check: Check) -> Image.Image:
    """Draw a check; equal checks give equal pixels (with equal libraries)."""
    rng = np.random.Generator(np.random.SFC64(check.seed))
    sheet = draw_sheet(check, DPI, Making(), rng)
    return Image.fromarray(grain(sheet, 2.8, rng))


def draw_jpeg(check: Check) -> bytes:
    """Draw a check as a scanner would deliver it: a JPEG of 50 to 400 kB that knows its DPI."""
    jpeg = io.BytesIO()
    draw(check).save(jpeg, "JPEG", quality=88, dpi=(DPI, DPI))
    return jpeg.getvalue()


def draw_sheet(check: Check, dpi: float, making: Making, rng: np.random.Generator) -> paper.Sheet:
    """Draw the paper itself, as no camera has seen it yet."""
    place = form.Form(check, dpi)
    sheet = paper.security_paper(check.layout.inches, dpi, making.plain_below, rng)
    paper.ink(sheet, form.stamp(place), _STAMP)
    black = form.printed(place)
    if check.layout.typeset:
        black = np.maximum(black, form.typeset(place))
    paper.ink(sheet, black, _PRINT)
    paper.ink(sheet, form.handwritten(place), PENS[check.seed % len(PENS)])
    _magnetic(sheet, check, dpi, making, rng)
    return sheet


def _magnetic(
    sheet: paper.Sheet, check: Check, dpi: float, making: Making, rng: np.random.Generator
) -> None:
    """Print the line, and then the amount with the other press."""
    line = check.micr_line
    first = check.layout.first_position(check.serial)
    own, symbol, _ = line.partition(e13b.AMOUNT)
    jobs = [(own, first, making.press)]
    if symbol:
        jobs.append((line[len(own) :], first - len(own), making.amount_press))
    for text, position, press in jobs:
        width = check.layout.inches[0]
        coverage, top = print_line(text, position, width, dpi, press, rng)
        paper.ink(sheet, coverage, _MAGNETIC, sheet.shape[0] - round(top * dpi))
