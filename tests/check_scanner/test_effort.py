"""What a file may ask of the decoder: counted beforehand, whatever it says of its pixels."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffTags

from examples.check_demo import specimen
from examples.check_scanner import effort
from examples.check_scanner.effort import check_effort, open_upload
from examples.check_scanner.errors import BadImageError

GRAY = Image.new("L", (600, 280), "gray")


def packed(format: str, image: Image.Image = GRAY, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def progressive(scans: int) -> bytes:
    """A JPEG whose last scan comes again and again: it says nothing new, and has to be decoded."""
    body = packed("JPEG", progressive=True)
    last = body.rfind(b"\xff\xda")
    more = scans - body.count(b"\xff\xda")
    return body[:-2] + body[last:-2] * more + body[-2:]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def tiff(order: str, pages: int, tags: int = 1, values: int = 1, big: bool = False) -> bytes:
    """Directories, each after the other, of tags that say nothing."""
    mark = {"<": b"II", ">": b"MM"}[order]
    count, tag, offset = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    more = struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    start = len(mark + more) + struct.calcsize(order + offset)
    length = struct.calcsize(order + count + offset) + tags * struct.calcsize(order + tag)
    body = mark + more + struct.pack(order + offset, start)
    for page in range(1, pages + 1):
        body += struct.pack(order + count, tags)
        body += struct.pack(order + tag, 700, 7, values, 0) * tags
        body += struct.pack(order + offset, start + page * length if page < pages else 0)
    return body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (progressive(5_000), "more than 50 scans"),
        (b"\xff\xd8" + b"\xff\xfe\0\2" * 5_000, "more than 2,000 segments"),
        (b"\xff\xd8" + (b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * 3, "bytes of EXIF"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"tIME", b"") * 40_000, "more than 32,000 chunks"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"eXIf", bytes(200_000)), "bytes of EXIF"),
        (tiff("<", 50_000), "several pages"),
        (tiff(">", 50_000), "several pages"),
        (tiff("<", 50_000, big=True), "several pages"),
        (tiff("<", 1, tags=1_001), "more than 1,000 tags"),
        (tiff(">", 1, tags=1_001, big=True), "more than 1,000 tags"),
        (tiff("<", 1, tags=900, values=20_000_000), "bytes in its tags"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value,
)
def test_what_would_take_minutes_is_refused_before_the_decoder_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes, reason: str
) -> None:
    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("the decoder was asked")

    monkeypatch.setattr(Image, "open", opened)
    (tmp_path / "upload").write_bytes(body)
    with pytest.raises(BadImageError, match=reason):
        open_upload(tmp_path / "upload")


def test_what_people_send_is_decoded(tmp_path: Path) -> None:
    """A progressive photograph, one with a thumbnail and a film at its end, and every format."""
    exif = Image.Exif()
    exif[0x0112] = 1
    photograph = specimen.draw_jpeg(specimen.invent(1))
    noise = np.random.default_rng(1).bytes(4_000_000)  # has b"\xff\xda" about 60 times
    assert noise.count(b"\xff\xda") > effort.MAX_SCANS
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "a check")
    for body in (
        progressive(20),
        packed("JPEG", exif=exif, comment=noise[:60_000]),
        photograph + noise,
        packed("MPO", save_all=True, append_images=[GRAY]),
        packed("PNG", exif=exif, pnginfo=text),
        packed("TIFF", compression="tiff_lzw"),
        packed("TIFF", big_tiff=True),
        packed("GIF"),
        packed("BMP"),
    ):
        (tmp_path / "upload").write_bytes(body)
        assert open_upload(tmp_path / "upload").image.width >= 600


def test_what_is_cut_off_anywhere_is_left_to_the_decoder() -> None:
    for body in (packed("JPEG"), packed("PNG"), packed("TIFF"), tiff(">", 1, big=True)):
        for end in (*range(40), *range(40, len(body), 97)):
            check_effort(body[:end])


def test_the_limits_leave_room_above_what_encoders_write() -> None:
    scan_counts = [
        packed("JPEG", image, progressive=True, quality=quality).count(b"\xff\xda")
        for image in (GRAY, GRAY.convert("RGB"), GRAY.convert("CMYK"))
        for quality in (10, 75, 95)
    ]
    assert 2 * max(scan_counts) <= effort.MAX_SCANS
    assert 2 * len(TiffTags.TAGS_V2) <= effort.MAX_TAGS
