"""Drawing a check: print, pen and magnetic ink on security paper, six by 2.75 inches."""

import io
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from examples.check_scanner import e13b
from examples.check_scanner.specimen import paper
from examples.check_scanner.specimen.hand import Pen
from examples.check_scanner.specimen.invent import Check

DPI = 200
SIZE = (1200, 550)

_PRINT = (0.16, 0.17, 0.22)
_MAGNETIC = (0.07, 0.07, 0.08)
_STAMP = (0.86, 0.35, 0.38)
_PENS = ((0.10, 0.16, 0.48), (0.12, 0.12, 0.15), (0.08, 0.22, 0.42))

# The pen's mask is drawn this many times larger and averaged down.
_FINE = 2


def draw(check: Check) -> Image.Image:
    """Draw a check; equal checks give equal pixels (with equal Pillow and numpy)."""
    noise = np.random.default_rng(check.seed)
    clear_band = SIZE[1] - round(e13b.CLEAR_BAND * DPI)
    sheet = paper.security_paper(SIZE, clear_band, noise)
    sheet = paper.ink(sheet, _stamp(), _STAMP)
    sheet = paper.ink(sheet, _form(check), _PRINT)
    sheet = paper.ink(sheet, _pen(check), _PENS[check.seed % len(_PENS)])
    sheet = paper.ink(sheet, _micr(check), _MAGNETIC)
    return Image.fromarray(paper.scan(sheet, noise))


def draw_jpeg(check: Check) -> bytes:
    """Draw a check as a scanner would deliver it: a JPEG of 50 to 400 kB that knows its DPI."""
    jpeg = io.BytesIO()
    draw(check).save(jpeg, "JPEG", quality=88, dpi=(DPI, DPI))
    return jpeg.getvalue()


def _form(check: Check) -> NDArray[np.uint8]:
    """What the printer of the check book printed."""
    mask = Image.new("L", SIZE)
    pen = ImageDraw.Draw(mask)

    def text(x: int, y: int, words: str, size: int, anchor: str = "ls", bold: float = 0) -> None:
        font = ImageFont.load_default(size)
        pen.text((x, y), words, fill=255, font=font, anchor=anchor, stroke_width=bold)

    def rule(x0: int, x1: int, y: int) -> None:
        pen.line((x0, y, x1, y), fill=230, width=2)

    text(56, 62, check.payer.upper(), 25, bold=0.5)
    for row, line in enumerate(check.address):
        text(56, 90 + 25 * row, line, 20)
    text(600, 34, "SPECIMEN · DRAWN BY A PROGRAM · NO VALUE", 12, "ms")
    text(1144, 66, check.serial, 32, "rs", bold=0.5)
    # The same bank as a fraction, as it was before there was magnetic ink.
    text(1144, 94, f"{check.routing[:2]}-{int(check.routing[4:8])}/{check.routing[:4]}", 15, "rs")

    text(772, 130, "DATE", 13)
    rule(812, 1050, 132)
    text(56, 187, "PAY TO THE", 14)
    text(56, 204, "ORDER OF", 14)
    rule(150, 880, 205)
    text(896, 206, "$", 32, bold=0.5)
    pen.rectangle((924, 168, 1144, 212), outline=230, width=2)
    rule(56, 1030, 274)
    text(1042, 275, "DOLLARS", 17)

    _emblem(pen, 82, 328)
    text(122, 325, check.bank, 25, bold=0.5)
    text(122, 349, check.bank_town, 16)
    text(56, 402, "MEMO", 13)
    rule(108, 520, 404)
    rule(690, 1144, 404)
    text(1144, 417, "AUTHORIZED SIGNATURE", 10, "rs")
    return np.asarray(mask)


def _emblem(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    """A bank's emblem: a small temple in a ring."""
    pen.ellipse((x - 26, y - 26, x + 26, y + 26), outline=230, width=2)
    pen.polygon((x - 17, y - 5, x, y - 17, x + 17, y - 5), fill=230)
    for column in (-12, -4, 4, 12):
        pen.rectangle((x + column - 2, y - 2, x + column + 1, y + 9), fill=230)
    pen.rectangle((x - 17, y + 11, x + 17, y + 14), fill=230)


def _pen(check: Check) -> NDArray[np.uint8]:
    """What the payer wrote."""
    mask = Image.new("L", (SIZE[0] * _FINE, SIZE[1] * _FINE))
    pen = Pen(ImageDraw.Draw(mask), Random(check.seed), width=2.4 * _FINE)

    def write(text: str, x: int, y: int, height: int, room: int) -> None:
        pen.write(text, x * _FINE, y * _FINE, height * _FINE, room * _FINE)

    write(f"{check.written:%m/%d/%Y}", 824, 126, 22, 220)
    write(check.payee, 168, 198, 26, 640)
    write(f"{check.amount}", 938, 205, 27, 190)
    write(check.amount_in_words.capitalize(), 72, 267, 25, 930)
    write(check.memo, 120, 398, 20, 380)
    pen.sign(720 * _FINE, 390 * _FINE, 300 * _FINE, 56 * _FINE)
    return np.asarray(mask.reduce(_FINE))


def _micr(check: Check) -> NDArray[np.uint8]:
    """What the bank's printer put on the bottom line, every glyph in its position."""
    module = e13b.MODULE * DPI
    bottom, top = (SIZE[1] - round(inches * DPI) for inches in e13b.PRINT_BAND)
    glyph_top = (bottom - top - e13b.GLYPH_HEIGHT * module) / 2
    placed = [
        (character, SIZE[0] - e13b.right_edge(e13b.FIRST_POSITION - index) * DPI, glyph_top)
        for index, character in enumerate(check.micr_line)
        if character != " "
    ]
    mask = Image.new("L", SIZE)
    mask.paste(e13b.render(placed, (SIZE[0], bottom - top), module), (0, top))
    return np.asarray(mask)


def _stamp() -> NDArray[np.uint8]:
    """SPECIMEN across the whole check, pale enough to leave everything legible."""
    mask = Image.new("L", SIZE)
    font = ImageFont.load_default(190)
    middle = (SIZE[0] // 2, SIZE[1] // 2 - 36)
    ImageDraw.Draw(mask).text(middle, "SPECIMEN", fill=70, font=font, anchor="mm", stroke_width=2)
    return np.asarray(mask.rotate(12, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1)))
