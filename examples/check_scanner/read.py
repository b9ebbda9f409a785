"""Stage 2, read: the place for the MICR recogniser.

This version does not read, it locates: the clear band along the bottom edge, how much ink is in
the strip where the line is printed, and the box around that ink. The recogniser belongs into
`read`, behind the same two arguments: it will match ``model.templates`` along ``MicrBand.ink`` and
test the routing number's check digit before it believes itself.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from examples.check_scanner import e13b
from examples.check_scanner.model import Model

#: Left, top, right, bottom in pixels of the upright image; right and bottom are just outside.
Box = tuple[int, int, int, int]

# A personal check's width, for images that do not say their resolution.
_USUAL_WIDTH = 6.0
# Ink is darker than this share of the paper around it; security backgrounds are much paler.
_INK = 0.55


@dataclass(frozen=True, slots=True)
class MicrBand:
    """Where the MICR line is, not what it says.

    ``density`` is the inked share (0 to 1) of the strip where the line may be printed, ``ink`` the
    box around that ink (None: nothing there), ``dpi`` the resolution that was assumed.
    """

    clear: Box
    ink: Box | None
    density: float
    dpi: float
    model_version: str


def read(model: Model, image: Image.Image) -> MicrBand:
    """Locate the MICR band of an upright check; the recogniser goes here."""
    dpi = _resolution(image)
    width, height = image.size

    def row(inches_from_bottom: float) -> int:
        return max(0, height - round(inches_from_bottom * dpi))

    low, high = e13b.PRINT_BAND
    top, bottom = row(high), row(low)
    strip = np.asarray(image.convert("L"))[top:bottom]
    dark = strip < _INK * np.median(strip) if strip.size else np.zeros((0, width), dtype=bool)
    found = _extent(dark, speck=e13b.MODULE * dpi)
    return MicrBand(
        clear=(0, row(e13b.CLEAR_BAND), width, height),
        ink=found and (found[0], top + found[1], found[2], top + found[3]),
        density=round(float(dark.mean()), 4) if dark.size else 0.0,
        dpi=round(dpi, 1),
        model_version=model.version,
    )


def _resolution(image: Image.Image) -> float:
    """Pixels per inch: what the file says, if a check of that size can exist, or a guess."""
    claimed = float(image.info.get("dpi", (0, 0))[0])
    if claimed and 5.5 <= image.width / claimed <= 9:
        return claimed
    return image.width / _USUAL_WIDTH


def _extent(dark: NDArray[np.bool_], speck: float) -> Box | None:
    """Box around all columns and rows that hold more ink than a speck of that many pixels."""
    columns = np.flatnonzero(dark.sum(axis=0) > speck)
    rows = np.flatnonzero(dark.sum(axis=1) > speck)
    if not columns.size or not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
