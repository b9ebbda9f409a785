"""Stage 2, check the image: opening pictures that strangers uploaded."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import BadImageError

#: Bytes that we are willing to download: more than a phone's photo or a 600 dpi scan needs.
MAX_BYTES = 32_000_000
#: Pixels that we are willing to decode: more than any phone's photo of a check (3 bytes each in
#: memory), far less than what a few kilobytes of crafted PNG can claim to be.
MAX_PIXELS = 50_000_000
#: Long and short side, in pixels, below which nobody can read a check: 65 dots per inch.
MIN_SIDES = (400, 150)
#: Long side, in pixels, that is enough to read a check: more is halved while that leaves as much.
#: 200 dpi, at which exchanges want images, on the longest check there is, 8.5 in, are 1,700.
ENOUGH = 1_700
#: Resolutions, in dots per inch, that an image of a check can have: what a file says is often
#: nobody's measurement (cameras write 72).
PLAUSIBLE_DPI = (75.0, 1_200.0)

_FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "GIF")


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded, upright image: 8 bits, mode ``L`` or ``RGB``.

    ``dpi`` is what the file says, in dots per inch of this image, or None if that cannot be true;
    ``format`` is what the file is, whatever its name says.
    """

    image: Image.Image
    dpi: float | None
    format: str


def open_picture(path: Path) -> Picture:
    """Decode an image once, upright, no larger than it takes to read a check.

    Sizes are judged by the header before a single pixel is decoded. Raises `BadImageError`, with a
    sentence for the uploader, for what is no image, is damaged, too large or too small, or has
    several pages or frames: which of them is the check is not ours to guess.
    """
    size = path.stat().st_size
    if not size:
        raise BadImageError("The file is empty.")
    if size > MAX_BYTES:
        raise too_large(size)
    with path.open("rb") as file, warnings.catch_warnings():
        # About sizes that Pillow finds suspicious (ours are stricter) and about odd metadata.
        warnings.simplefilter("ignore")
        try:
            return _decode(file)
        except BadImageError:
            raise
        except UnidentifiedImageError as error:
            raise BadImageError("The file is no JPEG, PNG, TIFF, BMP or GIF image.") from error
        except Image.DecompressionBombError as error:
            raise BadImageError(f"The image has more than {MAX_PIXELS:,} pixels.") from error
        except Exception as error:
            # Whatever a crafted file makes a decoder raise (Pillow: OSError and SyntaxError, but
            # also KeyError, struct.error, MemoryError), it will raise the next time, too.
            raise BadImageError(f"The image cannot be decoded: {error}") from error


def too_large(size: int) -> BadImageError:
    """Return the error for a file of ``size`` bytes, above `MAX_BYTES`."""
    return BadImageError(f"The file has {size:,} bytes, more than {MAX_BYTES:,}.")


def _decode(file: BinaryIO) -> Picture:
    with Image.open(file, formats=_FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise BadImageError(f"{width} x {height} pixels are more than {MAX_PIXELS:,}.")
        if max(image.size) < MIN_SIDES[0] or min(image.size) < MIN_SIDES[1]:
            least = " x ".join(map(str, MIN_SIDES))
            raise BadImageError(f"{width} x {height} pixels are too few: {least} are the least.")
        # The second image in a phone's MPO is the first one's depth or brightness.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise BadImageError(f"The {image.format} has several pages or frames: send the front.")
        dpi = _resolution(image)
        if image.format == "JPEG":
            # Decodes at a half, a quarter or an eighth, for a fraction of the time.
            image.draft(None, _draft_size(width, height))
        decoded = ImageOps.exif_transpose(_eight_bits(image))
        if (factor := max(decoded.size) // ENOUGH) > 1:
            decoded = decoded.reduce(factor)
        scale = max(decoded.size) / max(width, height)
        return Picture(decoded, dpi * scale if dpi else None, image.format or "")


def _draft_size(width: int, height: int) -> tuple[int, int]:
    factor = max(1, max(width, height) // ENOUGH)
    return width // factor, height // factor


def _resolution(image: Image.Image) -> float | None:
    """Dots per inch as the file says, if both axes agree and a check can have it."""
    try:
        across, down = (float(number) for number in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    least, most = PLAUSIBLE_DPI
    return across if least <= across <= most and abs(across - down) <= across / 100 else None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Gray or RGB of 8 bits, on white paper where the image is transparent; EXIF stays."""
    mode = image.mode
    if mode.startswith("I;16"):  # Pillow's own conversion clips all but the darkest 1/256 to white
        pixels = np.asarray(image).astype(np.uint16) >> 8
        gray = Image.fromarray(pixels.astype(np.uint8))
        gray.info.update(image.info)
        return gray
    if mode in ("I", "F"):
        raise BadImageError(f"Pixels of 32 bits ({image.format}, mode {mode}): send 8 or 16 bits.")
    if mode in ("1", "L"):
        return image.convert("L")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(colours)
        paper.info.update(image.info)
        return paper.convert("RGB")
    return image.convert("RGB")
