"""From a picture of any mode to the two grey planes that are read."""

import cv2
import numpy as np
from PIL import Image

from examples.check_scanner.micr.arrays import Grey


def planes(image: Image.Image) -> tuple[Grey, Grey]:
    """Return height x width grey planes, 0 is black: the value of HSV, and the luminance.

    Magnetic ink is black, so it is dark in every channel; a coloured pen and a coloured background
    are bright in one of them. The value, the brightest channel, is what they disturb least. The
    luminance sees them all, which makes it the second opinion. A grey picture gives one plane
    twice.
    """
    if image.mode in ("1", "L"):
        grey = np.asarray(image.convert("L"))
        return grey, grey
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return grey, grey
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    colour = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    red, green, blue = cv2.split(colour)
    value = cv2.max(cv2.max(red, green), blue)
    return np.asarray(value, np.uint8), np.asarray(cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY))


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
