"""Opening pictures that strangers uploaded."""

import warnings
from pathlib import Path

from PIL import Image, ImageOps

from examples.check_scanner.errors import BadImageError

#: Pixels that we are willing to decode: more than any phone's photo of a check (3 bytes each in
#: memory), far less than what a few kilobytes of crafted PNG can claim to be.
MAX_PIXELS = 50_000_000


def open_upright(path: Path) -> Image.Image:
    """Decode a JPEG or PNG into RGB, turned the way its EXIF orientation asks for.

    The size is read from the header and judged before a single pixel is decoded. Raises
    `BadImageError` for other formats, damaged files and images above `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels on; the limit below is stricter and raises.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=("JPEG", "PNG")) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise BadImageError(
                        f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}."
                    )
                return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        # Pillow reports a broken PNG chunk as SyntaxError, a truncated JPEG as OSError.
        raise BadImageError(f"Not a JPEG or PNG that can be decoded: {error}") from error
