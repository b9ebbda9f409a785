"""What is on the paper besides magnetic ink: the form, and what the payer put into it."""

from dataclasses import dataclass
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .hand import Pen
from .invent import Check

#: Lengths below are in 1/200 inch, on a personal check of 1200 x 550.
_UNIT = 1 / 200
_PERSONAL = (1200, 550)
_BAND = 125


@dataclass(frozen=True, slots=True)
class Form:
    """Maps the personal check's places to pixels of any check: the middle stretches."""

    check: Check
    dpi: float

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the paper in pixels."""
        width, height = self.check.layout.inches
        return round(width * self.dpi), round(height * self.dpi)

    def x(self, units: float) -> float:
        """Left of the middle things keep their distance from the left edge, else the right's."""
        width = self.check.layout.inches[0] / _UNIT
        return (units + (width - _PERSONAL[0] if units > _PERSONAL[0] / 2 else 0)) * self.scale

    def y(self, units: float) -> float:
        """Rows spread over all that is above the MICR band."""
        height = self.check.layout.inches[1] / _UNIT
        return units * (height - _BAND) / (_PERSONAL[1] - _BAND) * self.scale

    @property
    def scale(self) -> float:
        """Pixels per unit."""
        return self.dpi * _UNIT

    @property
    def amount_box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the courtesy amount's box, in pixels."""
        bottom = self.y(212)
        return self.x(924), bottom - 44 * self.scale, self.x(1144), bottom


class _Printer:
    """Sets type and rules on a mask; places in units, sizes too."""

    def __init__(self, form: Form) -> None:
        self.form = form
        self.mask = Image.new("L", form.size)
        self._pen = ImageDraw.Draw(self.mask)

    def text(
        self, x: float, y: float, words: str, size: float, anchor: str = "ls", bold: float = 0
    ) -> None:
        scale = self.form.scale
        font = ImageFont.load_default(size * scale)
        place = (self.form.x(x), self.form.y(y))
        self._pen.text(place, words, fill=255, font=font, anchor=anchor, stroke_width=bold * scale)

    def rule(self, x0: float, x1: float, y: float) -> None:
        row = self.form.y(y)
        self._pen.line((self.form.x(x0), row, self.form.x(x1), row), fill=230, width=self._thick)

    def frame(self, box: tuple[float, float, float, float]) -> None:
        self._pen.rectangle(box, outline=230, width=self._thick)

    @property
    def _thick(self) -> int:
        return max(1, round(2 * self.form.scale))

    def emblem(self, x: float, y: float) -> None:
        """A bank's emblem: a small temple in a ring."""
        x, y, unit = self.form.x(x), self.form.y(y), self.form.scale

        def around(*numbers: float) -> list[float]:
            return [(y if index % 2 else x) + n * unit for index, n in enumerate(numbers)]

        self._pen.ellipse(around(-26, -26, 26, 26), outline=230, width=self._thick)
        self._pen.polygon(around(-17, -5, 0, -17, 17, -5), fill=230)
        for column in (-12, -4, 4, 12):
            self._pen.rectangle(around(column - 2, -2, column + 1, 9), fill=230)
        self._pen.rectangle(around(-17, 11, 17, 14), fill=230)


def printed(form: Form) -> NDArray[np.uint8]:
    """Return what the printer of the check book printed."""
    to = _Printer(form)
    check = form.check
    to.text(56, 62, check.payer.upper(), 25, bold=0.5)
    for row, line in enumerate(check.address):
        to.text(56, 90 + 25 * row, line, 20)
    to.text(600, 34, "SPECIMEN · DRAWN BY A PROGRAM · NO VALUE", 12, "ms")
    to.text(1144, 66, check.serial, 32, "rs", bold=0.5)
    # The same bank as a fraction, as it was before there was magnetic ink.
    fraction = f"{check.routing[:2]}-{int(check.routing[4:8])}/{check.routing[:4]}"
    to.text(1144, 94, fraction, 15, "rs")
    to.text(772, 130, "DATE", 13)
    to.rule(812, 1050, 132)
    to.text(56, 187, "PAY TO THE", 14)
    to.text(56, 204, "ORDER OF", 14)
    to.rule(150, 880, 205)
    to.text(896, 206, "$", 32, bold=0.5)
    to.frame(form.amount_box)
    to.rule(56, 1030, 274)
    to.text(1042, 275, "DOLLARS", 17)
    to.emblem(82, 328)
    to.text(122, 325, check.bank, 25, bold=0.5)
    to.text(122, 349, check.bank_town, 16)
    to.text(56, 402, "MEMO", 13)
    to.rule(108, 520, 404)
    to.rule(690, 1144, 404)
    to.text(1144, 417, "AUTHORIZED SIGNATURE", 10, "rs")
    return np.asarray(to.mask)


def typeset(form: Form) -> NDArray[np.uint8]:
    """Return what the payer's office printer filled in; the signature is another matter."""
    to = _Printer(form)
    check = form.check
    to.text(824, 126, f"{check.written:%m/%d/%Y}", 22)
    to.text(168, 198, check.payee, 25)
    stars = "**" if check.seed % 3 == 0 else ""
    to.text(944, 203, f"{stars}{check.amount:,}", 27)
    to.text(72, 267, check.amount_in_words.capitalize(), 23)
    to.text(120, 398, check.memo, 20)
    return np.asarray(to.mask)


def handwritten(form: Form) -> NDArray[np.uint8]:
    """Return what the payer wrote with a pen; on a typeset check, the signature alone."""
    mask = np.zeros(form.size[::-1], np.uint8)
    check, scale = form.check, form.scale
    pen = Pen(mask, Random(check.seed), width=1.7 * scale)

    def write(text: str, x: float, y: float, height: float, room: float) -> None:
        pen.write(text, form.x(x), form.y(y), height * scale, room * scale)

    if not check.layout.typeset:
        write(f"{check.written:%m/%d/%Y}", 824, 126, 22, 220)
        write(check.payee, 168, 198, 26, 640)
        write(f"{check.amount}", 938, 205, 27, 190)
        write(check.amount_in_words.capitalize(), 72, 267, 25, 930)
        write(check.memo, 120, 398, 20, 380)
    pen.sign(form.x(720), form.y(390), 300 * scale, 56 * scale)
    return mask


def stamp(form: Form) -> NDArray[np.uint8]:
    """Return SPECIMEN across the whole check, pale enough to leave everything legible."""
    width, height = form.size
    # Drawn at a quarter and enlarged: nobody looks for sharp edges in it.
    small = Image.new("L", (width // 4, height // 4))
    font = ImageFont.load_default(190 * form.scale / 4)
    middle = (small.width // 2, small.height // 2 - round(9 * form.scale))
    ImageDraw.Draw(small).text(middle, "SPECIMEN", fill=70, font=font, anchor="mm", stroke_width=1)
    turned = small.rotate(12, Image.Resampling.BICUBIC)
    return np.asarray(cv2.resize(np.asarray(turned), (width, height)), np.uint8)
