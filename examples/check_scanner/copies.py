"""Stage 3, copies: two small ones for people to look at, a bitonal one for other banks."""

from pathlib import Path

from PIL import Image

from .bitonal import write_g4
from .picture import Picture

#: Widths of the copies for people, in pixels.
WIDTHS = (300, 150)
#: File name and type of every copy.
TYPES = {f"{width}px.jpg": "image/jpeg" for width in WIDTHS} | {"check.tif": "image/tiff"}


def narrow(image: Image.Image, width: int) -> Image.Image:
    """Return ``image`` at ``width`` pixels, height in proportion; smaller ones are enlarged."""
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)


def write_copies(picture: Picture, directory: Path) -> dict[str, Path]:
    """Write all copies into ``directory`` and return them by name.

    Names say what a copy is: an uploader's file name never becomes a path on our disk. Metadata
    (camera, place, time) stays behind.
    """
    written = {name: directory / name for name in TYPES}
    smaller = picture.image
    for width in WIDTHS:
        smaller = narrow(smaller, width)
        smaller.save(directory / f"{width}px.jpg", "JPEG", quality=85)
    write_g4(picture, directory / "check.tif")
    return written
