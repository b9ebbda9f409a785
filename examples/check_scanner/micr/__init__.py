"""Reading the MICR line of a check: `read`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from examples.check_scanner.micr import trust
from examples.check_scanner.micr.grey import planes
from examples.check_scanner.micr.line import see
from examples.check_scanner.reading import Reading

if TYPE_CHECKING:  # the model is made ready by `micr.bank`
    from examples.check_scanner.model import Model


def read(model: Model, image: Image.Image) -> Reading:
    """Read the MICR line."""
    value, luminance = planes(image)
    seen = see(value, luminance, model.bank)
    if seen is None:
        return trust.nothing(model.version)
    return trust.judged(seen, model.version)
