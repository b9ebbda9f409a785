"""Checks to learn from: worse than any tier's, and more different from each other.

Cuts of the typeface go beyond what the standard allows, pens are of any colour and width, and
photos are darker, coarser and less sharp.
"""

import io
from dataclasses import replace
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..specimen import camera, encode, paper, wear
from ..specimen.draw import PENS, Making, draw_sheet
from ..specimen.glyphs import Face
from ..specimen.hand import Pen
from ..specimen.invent import vary

# Checks of other numbers than the specimens' and the benchmarks'.
_FIRST = 30_000_000


def practice(seed: int) -> tuple[Image.Image, str]:
    """Return a picture, mode ``RGB``, and what is printed on its line; the same for the same seed.

    Takes about 80 ms.

    >>> practice(1)[1]
    '⑆097948214⑆ 6324 040840487⑈    ⑇0000094656⑇'
    """
    chance = Random(f"practice {seed}")
    noise = np.random.Generator(np.random.SFC64([seed, 77]))
    check = vary(_FIRST + seed)
    bits = chance.random() < 0.1
    dpi = chance.choice((200, 240, 300)) if bits else chance.uniform(120, 260)
    sheet = draw_sheet(check, dpi, _making(chance), noise)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        size = sheet.shape[1], sheet.shape[0]
        paper.ink(sheet, _strokes(size, dpi, chance), _pen(chance))
    if chance.random() < 0.25:
        sheet = camera.fold(sheet, noise)
    if bits or chance.random() < 0.3:
        seen = camera.flat(sheet, chance.uniform(-3, 3), chance.choice((12, 40, 225, 250)))
    else:
        seen = _photograph(sheet, chance, noise)
    shake = chance.uniform(0, 2.2) if chance.random() < 0.6 else 0.0
    seen = camera.focus(seen, chance.uniform(0.3, 1.4) * dpi / 180, shake, noise)
    if chance.random() < 0.6:
        seen = camera.flatten(seen, chance.uniform(0, 75), chance.uniform(165, 255))
    seen = camera.grain(seen, chance.uniform(1, 15), noise)
    if bits:
        upload = encode.black_and_white(seen, int(dpi))
    else:
        upload = encode.jpeg(seen, chance.randint(40, 92), None)
    with Image.open(io.BytesIO(upload)) as image:
        return image.convert("RGB"), check.micr_line


def _photograph(sheet: paper.Sheet, chance: Random, noise: np.random.Generator) -> paper.Sheet:
    pose = camera.Pose(
        turn=chance.uniform(-6, 6),
        lean=chance.uniform(0, 0.035),
        bend=chance.uniform(0, 0.014) if chance.random() < 0.5 else 0.0,
        margin=chance.uniform(0.01, 0.1),
    )
    seen = camera.photograph(sheet, pose, noise)
    light = camera.uneven(chance.uniform(0.1, 0.5), noise)
    light = camera.shadow(light, noise) if chance.random() < 0.4 else light
    return camera.illuminate(seen, light)


def _making(chance: Random) -> Making:
    making = wear.any_making(chance, chance.uniform(0.3, 2.2), full_print=chance.random() < 0.5)
    own = replace(making.press, face=_cut(making.press.face, chance))
    if chance.random() < 0.5:
        return replace(making, press=own, amount_press=own)
    other = making.amount_press
    return replace(making, press=own, amount_press=replace(other, face=_cut(other.face, chance)))


def _cut(face: Face, chance: Random) -> Face:
    return replace(
        face,
        corner=chance.choice((0.0, 0.2, 0.3, 0.375)),
        weight=max(-0.22, min(0.3, chance.gauss(0.03, 0.1))),
        aspect=chance.choice((0.0, 0.0, 0.08, -0.08, 0.15)),
        loose=chance.uniform(0, 0.18),
    )


def _pen(chance: Random) -> tuple[float, float, float]:
    """Choose a pen's colour: one of the usual ones, or any that is dark in some channel."""
    if chance.random() < 0.6:
        return chance.choice(PENS)
    dark = chance.uniform(0.02, 0.35)
    red, green, blue = (
        min(1.0, dark + chance.uniform(0, 0.5) * (chance.random() < 0.4)) for _ in range(3)
    )
    return red, green, blue


def _strokes(size: tuple[int, int], dpi: float, chance: Random) -> NDArray[np.uint8]:
    mask = wear.strokes(size, dpi, chance)
    if chance.random() < 0.5:
        return mask
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    pen = Pen(mask, chance, width=chance.uniform(0.005, 0.022) * dpi)
    for _ in range(chance.randint(1, 4)):
        steps = chance.randint(2, 7)
        along = np.cumsum([chance.uniform(-0.15, 0.4) for _ in range(steps)])
        x = chance.uniform(0.05, 0.9) * width + along * dpi
        y = height - np.array([chance.uniform(0.1, 0.6) for _ in range(steps)]) * dpi
        pen.line(np.column_stack([x, y]))
    return mask
