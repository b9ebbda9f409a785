"""The image that banks exchange: black and white, 200 dots per inch, TIFF with Group 4.

ANSI X9.100-181 fixes the TIFF (one strip, min-is-white, a few tags in inches), the exchanges'
rules the resolution: 200 or 240 dpi.
"""

import struct
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .picture import Picture

DPI = 200
#: Inches that a check may be wide; the first is a personal one's width.
WIDTHS_IN = (6.0, 8.75)

# The surroundings that a pixel is compared with, in inches: wider than any stroke of a pen.
_WINDOW = 0.2
# How much darker than its surroundings (0 to 255) ink is: more than what security backgrounds are.
_DARKER = 24

# TIFF tags, by their numbers in TIFF 6.0.
_PHOTOMETRIC, _FILL_ORDER, _ORIENTATION, _ROWS_PER_STRIP, _T6_OPTIONS = 262, 266, 274, 278, 293


def write_g4(picture: Picture, path: Path) -> None:
    """Write ``picture`` as a bitonal Group 4 TIFF of `DPI` dots per inch."""
    gray = np.asarray(picture.image.convert("L"))
    path.write_bytes(g4(binarise(at_200_dpi(gray, picture.dpi))))


def g4(ink: NDArray[np.bool_]) -> bytes:
    """Pack a page, ink being True, as one strip with white as 0 (min-is-white)."""
    packed = BytesIO()
    Image.fromarray(ink).save(
        packed,
        "TIFF",
        compression="group4",
        dpi=(DPI, DPI),
        # Without it Pillow begins another strip every 64 kB.
        tiffinfo={_ROWS_PER_STRIP: ink.shape[0], _FILL_ORDER: 1, _ORIENTATION: 1, _T6_OPTIONS: 0},
    )
    # These bits are right, but Pillow has labelled them with black as 0. Asked for the other label
    # it turns the bits around in a Python loop: 53 ms for 1200 x 550 pixels, this way 2 ms.
    return _labelled(packed.getvalue(), _PHOTOMETRIC, 0)


def _labelled(tiff: bytes, tag: int, value: int) -> bytes:
    """The same little-endian TIFF with another value of a tag that is one SHORT."""
    (directory,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, directory)
    changed = bytearray(tiff)
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        if struct.unpack_from("<HHI", tiff, entry) == (tag, 3, 1):
            struct.pack_into("<H", changed, entry + 8, value)
            return bytes(changed)
    raise ValueError(f"The TIFF has no tag {tag}.")


def at_200_dpi(gray: NDArray[np.uint8], dpi: float | None) -> NDArray[np.uint8]:
    """Scale a gray image to `DPI`.

    A resolution that would make it wider than a check, or narrower, is not believed: a photograph
    then counts as a check of 6 inches that fills its width.
    """
    width = gray.shape[1]
    if dpi is None or not WIDTHS_IN[0] * 0.8 <= width / dpi <= WIDTHS_IN[1]:
        dpi = width / WIDTHS_IN[0]
    scale = DPI / dpi
    if abs(scale - 1) < 0.01:
        return gray
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(gray, None, fx=scale, fy=scale, interpolation=method).astype(np.uint8)


def binarise(gray: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which pixels are ink: darker than their surroundings."""
    window = round(_WINDOW * DPI) | 1
    mean = cv2.ADAPTIVE_THRESH_MEAN_C
    page = cv2.adaptiveThreshold(gray, 255, mean, cv2.THRESH_BINARY_INV, window, _DARKER)
    return page.astype(np.bool_)
