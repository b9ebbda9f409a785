"""Samples to measure a recogniser with: a check, how it was seen, and what is on its line.

Four tiers, each harder than the one before:

========== =====================================================================================
``clean``  scanned straight at 200 to 240 dpi
``scan``   150 to 300 dpi, up to 1.5 degrees askew, noise, JPEG; some black and white
``mobile`` a photo on a table: up to 5 degrees and 3 % of perspective, uneven light, blur
``hard``   a worse photo at 130 to 220 dpi, with pen strokes through the line, security print in
           its band, folds and shadows
========== =====================================================================================
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np
from PIL import Image

from . import camera, encode, paper, wear
from .draw import PENS, draw_sheet
from .invent import Check, vary

TIERS = ("clean", "scan", "mobile", "hard")


@dataclass(frozen=True, slots=True)
class Truth:
    """What is on the line.

    ``routing``, ``account`` and ``serial`` are digits without the dashes and blanks between them,
    ``amount`` cents without leading zeros (``"104200"``), None if not on the line. ``line`` is all
    of it from left to right, with the symbols of `e13b` and a blank for each blank position.
    ``dashed_transit``: the routing number is one of eight digits, without a check digit.
    """

    routing: str
    account: str
    serial: str
    amount: str | None
    line: str
    dashed_transit: bool


@dataclass(frozen=True)
class Sample:
    """A check as it arrives; ``dpi`` is its true resolution, whatever ``upload`` says of it."""

    tier: str
    check: Check
    upload: bytes
    suffix: str
    dpi: float

    @cached_property
    def image(self) -> Image.Image:
        """The upload, decoded: mode ``RGB``, with ``info["dpi"]`` if the file tells."""
        with Image.open(io.BytesIO(self.upload)) as image:
            return image.convert("RGB")

    @property
    def truth(self) -> Truth:
        """What a reader of the line should find."""
        check = self.check
        return Truth(
            routing=check.routing,
            account=check.account,
            serial=check.serial,
            amount=str(int(check.amount * 100)) if check.layout.encoded else None,
            line=check.micr_line,
            dashed_transit=len(check.routing) == 8,
        )

    @property
    def file_name(self) -> str:
        """The name under which it is uploaded for deposit."""
        return self.check.file_name.removesuffix(".jpg") + self.suffix


def sample(seed: int, tier: str) -> Sample:
    """Make the sample of that number in a tier; the same for the same arguments.

    Checks of different tiers are different checks. Takes 20 to 150 ms.

    >>> sample(1, "clean").truth.routing
    '051310493'
    """
    number = seed * len(TIERS) + TIERS.index(tier)
    chance, noise = Random(f"sample {number}"), np.random.Generator(np.random.SFC64(number))
    return _MAKERS[tier](vary(number), chance, noise)


def _clean(check: Check, chance: Random, noise: np.random.Generator) -> Sample:
    dpi = chance.choice((200, 240))
    sheet = draw_sheet(check, dpi, wear.any_making(chance, 0.5, full_print=False), noise)
    seen = camera.grain(sheet, chance.uniform(1, 4), noise)
    if chance.random() < 0.2:
        return Sample("clean", check, encode.png(seen, dpi), ".png", dpi)
    return Sample("clean", check, encode.jpeg(seen, chance.randint(85, 95), dpi), ".jpg", dpi)


def _scan(check: Check, chance: Random, noise: np.random.Generator) -> Sample:
    # Black and white is exchanged at 200 dpi at least.
    bits = chance.random() < 0.3
    dpi = chance.choice((200, 240, 300) if bits else (150, 200, 200, 240, 300))
    sheet = draw_sheet(check, dpi, wear.any_making(chance, 1.0, full_print=False), noise)
    bed = chance.choice((12, 40, 225, 250))
    seen = camera.flat(sheet, chance.uniform(-1.5, 1.5), bed)
    seen = camera.focus(seen, chance.uniform(0.2, 0.8), 0, noise)
    seen = camera.grain(seen, chance.uniform(2, 14), noise)
    if bits:
        return Sample("scan", check, encode.black_and_white(seen, dpi), ".tif", dpi)
    return Sample("scan", check, encode.jpeg(seen, chance.randint(55, 92), dpi), ".jpg", dpi)


def _mobile(check: Check, chance: Random, noise: np.random.Generator) -> Sample:
    dpi = chance.uniform(150, 260)
    sheet = draw_sheet(check, dpi, wear.any_making(chance, 1.0, full_print=False), noise)
    seen = camera.photograph(sheet, _pose(chance), noise)
    seen = camera.illuminate(seen, camera.uneven(chance.uniform(0.1, 0.4), noise))
    seen = camera.focus(seen, chance.uniform(0.4, 1.1), 0, noise)
    seen = camera.grain(seen, chance.uniform(2, 9), noise)
    return Sample("mobile", check, encode.jpeg(seen, chance.randint(60, 92), None), ".jpg", dpi)


def _hard(check: Check, chance: Random, noise: np.random.Generator) -> Sample:
    dpi = chance.uniform(130, 220)
    making = wear.any_making(chance, 1.5, full_print=chance.random() < 0.5)
    sheet = draw_sheet(check, dpi, making, noise)
    if chance.random() < 0.7:
        size = (sheet.shape[1], sheet.shape[0])
        paper.ink(sheet, wear.strokes(size, dpi, chance), chance.choice(PENS))
    if chance.random() < 0.3:
        sheet = camera.fold(sheet, noise)
    seen = camera.photograph(sheet, _pose(chance), noise)
    light = camera.uneven(chance.uniform(0.2, 0.5), noise)
    light = camera.shadow(light, noise) if chance.random() < 0.4 else light
    seen = camera.illuminate(seen, light)
    seen = camera.focus(seen, chance.uniform(0.6, 1.3) * dpi / 180, chance.uniform(0, 2), noise)
    seen = camera.flatten(seen, chance.uniform(10, 70), chance.uniform(170, 250))
    seen = camera.grain(seen, chance.uniform(5, 14), noise)
    return Sample("hard", check, encode.jpeg(seen, chance.randint(45, 88), None), ".jpg", dpi)


def _pose(chance: Random) -> camera.Pose:
    return camera.Pose(
        turn=chance.uniform(-5, 5),
        lean=chance.uniform(0, 0.03),
        bend=chance.uniform(0, 0.012) if chance.random() < 0.5 else 0.0,
        margin=chance.uniform(0.01, 0.1),
    )


_MAKERS: dict[str, Callable[[Check, Random, np.random.Generator], Sample]] = {
    "clean": _clean,
    "scan": _scan,
    "mobile": _mobile,
    "hard": _hard,
}
