"""From a picture of any mode to the two grey planes that are read."""

import cv2
import numpy as np
from PIL import Image

from .arrays import Colours, Grey


def colours(image: Image.Image) -> Colours:
    """Return a picture of any mode as red, green and blue, or as one grey plane."""
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.mode.startswith("I;16"):
        return (np.asarray(image) >> 8).astype(np.uint8)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def planes(image: Image.Image) -> tuple[Grey, Grey]:
    """Return what `split` makes of the colours of ``image``."""
    return split(colours(image))


def split(picture: Colours) -> tuple[Grey, Grey]:
    """Return height x width grey planes, 0 is black: the value of HSV, and the luminance.

    Magnetic ink is black, so it is dark in every channel; a coloured pen and a coloured background
    are bright in one of them. The value, the brightest channel, is what they disturb least. The
    luminance sees them all, which makes it the second opinion. A grey picture gives one plane
    twice.
    """
    if picture.ndim == 2:
        return picture, picture
    red, green, blue = cv2.split(picture)
    value = cv2.max(cv2.max(red, green), blue)
    return np.asarray(value, np.uint8), np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def fit(grey: Grey, longest: int, how: int = cv2.INTER_AREA) -> tuple[Grey, float]:
    """Shrink a plane until its longer side is at most ``longest``; also return the factor.

    ``how`` is OpenCV's interpolation. To average costs seven times as much as to sample.
    """
    factor = longest / max(grey.shape)
    if factor >= 1:
        return grey, 1.0
    return np.asarray(
        cv2.resize(grey, None, fx=factor, fy=factor, interpolation=how), np.uint8
    ), factor
