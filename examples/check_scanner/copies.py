"""Stage 3, copies: the small pictures that people look at later."""

from pathlib import Path

from PIL import Image

#: Widths of the archived copies, in pixels.
WIDTHS = (300, 150)


def narrow(image: Image.Image, width: int) -> Image.Image:
    """Return ``image`` at ``width`` pixels, height in proportion; smaller ones are enlarged."""
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def write_copies(image: Image.Image, directory: Path) -> dict[int, Path]:
    """Write one JPEG per entry of `WIDTHS` into ``directory`` and return them by width.

    The files are named by width alone: an uploader's file name never becomes a path on our disk.
    Metadata (camera, place, time) stays behind.
    """
    copies = {width: directory / f"{width}px.jpg" for width in WIDTHS}
    for width, path in copies.items():
        narrow(image, width).save(path, "JPEG", quality=85, optimize=True)
    return copies
