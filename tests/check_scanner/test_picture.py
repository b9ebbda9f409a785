"""The check scanner's second and third stage: what is decoded, and the copies made of it."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin
from support.scanner import bomb

from examples.check_demo import specimen
from examples.check_scanner import bitonal, copies, picture
from examples.check_scanner.errors import BadImageError

WIDE = (600, 280)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., picture.Picture]:
    """Saves an image, or bytes, and opens them as an upload."""

    def open_it(image: Image.Image | bytes, format: str = "PNG", **options: Any) -> picture.Picture:
        path = tmp_path / "upload.jpg"  # a name says nothing about what is in a file
        if isinstance(image, bytes):
            path.write_bytes(image)
        else:
            image.save(path, format, **options)
        return picture.open_picture(path)

    return open_it


def corner(size: tuple[int, int] = WIDE, ink: object = "black", mode: str = "RGB") -> Image.Image:
    """White paper with one dark corner at the top left."""
    image = Image.new(mode, size, "white")
    image.paste(ink, (0, 0, 100, 100))  # type: ignore[arg-type]
    return image


# ---- what is decoded -------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "GIF"])
def test_every_usual_format_is_decoded(opened: Callable[..., picture.Picture], format: str) -> None:
    seen = opened(corner(), format)
    assert (seen.format, seen.image.size) == (format, WIDE)
    gray = np.asarray(seen.image.convert("L"))
    assert gray[50, 50] < 10
    assert gray[200, 400] > 245


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_phone_held_any_way_gives_an_upright_check(
    opened: Callable[..., picture.Picture], orientation: int
) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = corner()
    if orientation in turns:
        stored = stored.transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = opened(stored, "JPEG", exif=exif)
    assert seen.image.size == WIDE
    assert seen.image.getpixel((50, 50)) == pytest.approx((0, 0, 0), abs=5)


def test_unusual_pixels_keep_their_meaning(opened: Callable[..., picture.Picture]) -> None:
    """CMYK, a palette, 1 bit, 16 bits and transparency: ink stays dark, paper stays light."""
    clear = Image.new("RGBA", WIDE, (0, 0, 0, 0))  # transparent black: paper to who looks at it
    clear.paste((0, 0, 0, 255), (0, 0, 100, 100))
    deep = Image.fromarray(np.asarray(corner(mode="L")).astype(np.uint16) * 64 + 20_000)
    palette = corner().quantize(4)
    shown = palette.copy()
    shown.info["transparency"] = palette.getpixel((400, 200))
    for image, format in (
        (corner().convert("CMYK"), "JPEG"),
        (corner().convert("CMYK"), "TIFF"),
        (palette, "PNG"),
        (shown, "PNG"),
        (corner(mode="L").convert("1"), "PNG"),
        (corner(mode="L").convert("LA"), "PNG"),
        (clear, "PNG"),
        (deep, "PNG"),
        (deep, "TIFF"),
    ):
        seen = opened(image, format).image
        assert seen.mode in ("L", "RGB")
        gray = np.asarray(seen.convert("L")).astype(int)
        assert gray[200, 400] - gray[50, 50] > 60, (image.mode, format)
        assert gray[200, 400] > 130


def test_a_bomb_is_refused_by_its_header(opened: Callable[..., picture.Picture]) -> None:
    """30,000 x 30,000 pixels in a few bytes: nothing of that size is ever allocated."""
    for side in (8_000, 30_000, 1_000_000):
        tracemalloc.start()
        with pytest.raises(BadImageError, match="pixels"):
            opened(bomb(side))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1_000_000


@pytest.mark.parametrize("size", [(399, 399), (2000, 149), (10, 10)])
def test_what_is_too_small_to_read_is_refused_with_the_least_size(
    opened: Callable[..., picture.Picture], size: tuple[int, int]
) -> None:
    with pytest.raises(BadImageError, match=r"too few: 400 x 150"):
        opened(Image.new("L", size))


def test_a_file_with_too_many_bytes_is_not_even_opened(
    opened: Callable[..., picture.Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "MAX_BYTES", 1000)
    with pytest.raises(BadImageError, match="more than 1,000"):
        opened(bytes(1001))


@pytest.mark.parametrize("format", ["GIF", "TIFF", "PNG", "WEBP"])
def test_of_several_frames_or_pages_none_is_taken_silently(
    opened: Callable[..., picture.Picture], format: str
) -> None:
    second = corner(ink="gray")
    with pytest.raises(BadImageError, match="several pages|is no JPEG"):
        opened(corner(), format, save_all=True, append_images=[second])


def test_of_a_phones_double_picture_the_first_is_the_photograph(
    opened: Callable[..., picture.Picture],
) -> None:
    depth = Image.new("RGB", (60, 28), "gray")
    assert opened(corner(), "MPO", save_all=True, append_images=[depth]).image.size == WIDE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty"),
        (b"hello, I am a text file\n" * 50, "is no JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "JPEG"),
        (b"II*\x00" + bytes(100), "TIFF|cannot be decoded"),
        (b"GIF89a" + bytes(100), "too few|GIF"),
        (b"BM" + bytes(100), "BMP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is no JPEG"),
        (b"%PDF-1.7", "is no JPEG"),
    ],
)
def test_what_is_no_picture_is_refused_with_words(
    opened: Callable[..., picture.Picture], body: bytes, reason: str
) -> None:
    with pytest.raises(BadImageError, match=reason):
        opened(body)


def test_whatever_is_broken_in_a_picture_it_is_refused_or_decoded(tmp_path: Path) -> None:
    """Bytes flipped and tails cut off, in all formats: no other error ever gets out."""
    rng = np.random.default_rng(7)
    path = tmp_path / "upload"
    refused = 0
    for format in ("JPEG", "PNG", "TIFF", "BMP", "GIF"):
        packed = io.BytesIO()
        corner((420, 160)).save(packed, format)
        for _ in range(40):
            body = bytearray(packed.getvalue())
            for place in rng.integers(0, min(len(body), 400), 4):
                body[place] = rng.integers(0, 256)
            path.write_bytes(body[: rng.integers(len(body) // 2, len(body) + 1)])
            try:
                picture.open_picture(path)
            except BadImageError:
                refused += 1
    assert refused > 50


def test_a_large_photo_is_read_at_the_size_that_reading_needs(
    opened: Callable[..., picture.Picture],
) -> None:
    for format in ("JPEG", "PNG"):
        seen = opened(corner((4032, 1860)), format, dpi=(600, 600))
        assert 1700 <= max(seen.image.size) <= 3400
        assert seen.dpi == pytest.approx(600 * max(seen.image.size) / 4032, rel=0.01)


@pytest.mark.parametrize(
    ("dpi", "believed"),
    [((200, 200), 200), ((72, 72), None), ((200, 300), None), ((1, 1), None), (None, None)],
)
def test_a_resolution_that_no_check_has_is_not_believed(
    opened: Callable[..., picture.Picture], dpi: tuple[int, int] | None, believed: float | None
) -> None:
    seen = opened(corner(), "PNG", **({"dpi": dpi} if dpi else {}))
    assert seen.dpi == (believed and pytest.approx(believed, rel=0.001))


# ---- copies ----------------------------------------------------------------------------------


def test_copies_have_the_promised_widths_and_no_metadata(
    opened: Callable[..., picture.Picture], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    written = copies.write_copies(opened(corner((1200, 550)), "JPEG", exif=exif), tmp_path)
    assert sorted(written) == sorted(copies.TYPES)
    for width, height in ((300, 138), (150, 69)):
        with Image.open(written[f"{width}px.jpg"]) as copy:
            assert (copy.format, copy.size) == ("JPEG", (width, height))
            assert not copy.getexif()


def test_the_exchange_image_is_what_exchanges_take(tmp_path: Path) -> None:
    """TIFF 6.0, Group 4, one strip, white is 0, 200 dots per inch; and the same pixels."""
    check = tmp_path / "check.jpg"
    check.write_bytes(specimen.draw_jpeg(specimen.invent(1)))
    seen = picture.open_picture(check)
    copies.write_copies(seen, tmp_path)
    with Image.open(tmp_path / "check.tif") as page:
        assert isinstance(page, TiffImagePlugin.TiffImageFile)
        assert (page.format, page.mode, page.size) == ("TIFF", "1", (1200, 550))
        tags = page.tag_v2
        assert (tags[259], tags[262], tags[258], tags.get(277, 1)) == (4, 0, (1,), 1)
        assert (tags[278], len(tags[273]), tags[266], tags[274], tags[293]) == (550, 1, 1, 1, 0)
        assert (tags[282], tags[283], tags[296]) == (200, 200, 2)
        paper = np.asarray(page)
    gray = np.asarray(seen.image.convert("L"))
    assert gray[~paper].mean() < 80
    assert gray[paper].mean() > 200
    assert 0.9 < paper.mean() < 0.99
    assert not paper[463:513, 60:800].all()  # the MICR line is there
    assert paper[430:460].mean() > 0.999  # and the band above it is clear


def test_ink_is_what_is_black_in_the_tiff_itself(tmp_path: Path) -> None:
    """The label and the bits agree, as a reader sees that knows nothing of how it was written."""
    ink = np.zeros((40, 600), np.bool_)
    ink[10:20, 100:300] = True
    (tmp_path / "page.tif").write_bytes(bitonal.g4(ink))
    with Image.open(tmp_path / "page.tif") as page:
        assert np.array_equal(np.asarray(page), ~ink)
    seen = cv2.imread(str(tmp_path / "page.tif"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(seen == 0, ink)


@pytest.mark.parametrize(
    ("size", "dpi", "width"),
    [
        ((1200, 550), 200, 1200),
        ((1440, 660), 240, 1200),
        ((3600, 1650), None, 1200),
        ((2100, 900), 240, 1750),  # a business check
        ((600, 275), 100, 1200),
        ((600, 275), 600, 1200),  # an inch wide: that cannot be
        ((4000, 1800), 200, 1200),  # 20 inches wide: nor can that
    ],
)
def test_the_exchange_image_has_200_dots_per_inch_whatever_it_came_from(
    size: tuple[int, int], dpi: float | None, width: int
) -> None:
    gray = np.full(size[::-1], 255, np.uint8)
    scaled = bitonal.at_200_dpi(gray, dpi)
    assert scaled.shape[1] == width
    assert scaled.shape[0] == pytest.approx(size[1] * width / size[0], abs=1)


def test_shading_and_a_pale_pattern_are_paper() -> None:
    shade = np.linspace(90, 240, 1200)[None, :].repeat(550, axis=0)
    shade[::6, :] -= 15
    shade[200:205, 100:1100] -= 70
    ink = bitonal.binarise(shade.astype(np.uint8))
    assert ink[200:205, 110:1090].mean() > 0.95
    ink[195:210] = False
    assert ink.mean() < 0.001
