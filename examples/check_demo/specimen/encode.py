"""A picture as the bytes of an upload."""

import io

import cv2
import numpy as np
from PIL import Image

from .paper import Sheet


def jpeg(picture: Sheet, quality: int, dpi: int | None) -> bytes:
    """Return a JPEG that says its resolution, if ``dpi`` is given."""
    file = io.BytesIO()
    tag = {"dpi": (dpi, dpi)} if dpi else {}
    Image.fromarray(picture).save(file, "JPEG", quality=quality, **tag)
    return file.getvalue()


def png(picture: Sheet, dpi: int | None) -> bytes:
    """Return a PNG, packed quickly rather than tightly."""
    file = io.BytesIO()
    tag = {"dpi": (dpi, dpi)} if dpi else {}
    Image.fromarray(picture).save(file, "PNG", compress_level=1, **tag)
    return file.getvalue()


def black_and_white(picture: Sheet, dpi: int) -> bytes:
    """Return the TIFF that banks exchange: one bit per pixel, Group 4, zero is white.

    What is darker than its surroundings is black, as image-exchange scanners decide it.
    """
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    around = cv2.boxFilter(gray, -1, (2 * (dpi // 8) + 1,) * 2)
    bits = gray > 0.72 * around.astype(np.float32)
    file = io.BytesIO()
    Image.fromarray(bits).save(
        file, "TIFF", compression="group4", dpi=(dpi, dpi), tiffinfo={262: 0}
    )
    return file.getvalue()
