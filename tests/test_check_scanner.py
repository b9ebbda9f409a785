"""The check scanner: what it accepts, what its specimens are worth, what it leaves behind."""

from __future__ import annotations

import doctest
import importlib
import io
import json
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import numpy as np
import pytest
from PIL import Image

import tmpcache
from examples.check_scanner import copies, e13b, handler, model, picture, read, receive, specimen
from examples.check_scanner.errors import BadEventError, BadImageError, BadNameError
from tmpcache.testing import Bucket

ROOT = Path(__file__).parents[1]
GOOD = "incoming/ann@example.com^12345679^19.99^1475597700.jpg"


def record(bucket: str, key: str) -> dict[str, Any]:
    """What S3 puts into an event for one upload."""
    return {"s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key, safe="/")}}}


@pytest.fixture(scope="module")
def checks() -> list[tuple[specimen.Check, bytes]]:
    """Three specimens, drawn once."""
    return [(check, specimen.draw_jpeg(check)) for check in map(specimen.invent, range(3))]


@pytest.mark.parametrize("name", ["receive", "specimen", "specimen.invent"])
def test_the_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(f"examples.check_scanner.{name}")
    assert doctest.testmod(module).failed == 0


# ---- receive ---------------------------------------------------------------------------------


def test_a_key_is_decoded_as_s3_encoded_it() -> None:
    key = "incoming/a+b c%@example.com^1^0.01^0.jpg"
    assert receive.parse_record(record("checks", key)) == receive.Upload("checks", key)


def test_a_name_says_who_deposits_how_much_and_when() -> None:
    deposit = receive.parse_key(GOOD)
    assert (deposit.email, deposit.account) == ("ann@example.com", "12345679")
    assert deposit.amount == Decimal("19.99")
    assert deposit.time.isoformat() == "2016-10-04T16:15:00+00:00"


@pytest.mark.parametrize("suffix", [".jpg", ".JPG", ".jpeg", ".png"])
def test_the_usual_suffixes_are_taken(suffix: str) -> None:
    assert receive.parse_key(GOOD.removesuffix(".jpg") + suffix).account == "12345679"


NO_AMOUNTS = (
    "1e9|-5|-5.00|19.999|19.9|19|0.00||NaN|Infinity|+1.00|1,000.00|01.00| 1.00|1.00\n|"
    "\u0661.\u0660\u0660|123456789.00"
)


@pytest.mark.parametrize("amount", NO_AMOUNTS.split("|"))
def test_an_amount_that_is_not_plain_dollars_and_cents_is_refused(amount: str) -> None:
    with pytest.raises(BadNameError, match="amount"):
        receive.parse_key(GOOD.replace("19.99", amount))


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("incoming/check.jpg", "1 parts"),
        (GOOD.replace("^19", "^19^19"), "5 parts"),
        (GOOD.replace(".jpg", ".exe"), "does not end"),
        (GOOD.replace(".jpg", ""), "does not end"),
        (GOOD.replace("ann@", "ann"), "email"),
        (GOOD.replace("ann@", "../ann@"), "email"),
        (GOOD.replace("12345679", "12a"), "account"),
        (GOOD.replace("12345679", "1" * 18), "account"),
        (GOOD.replace("1475597700", "now"), "time"),
        (GOOD.replace("incoming/", "archived/300px-"), "not under"),
        (GOOD.replace("incoming/", ""), "not under"),
    ],
)
def test_a_name_of_another_form_is_refused_with_its_fault(key: str, reason: str) -> None:
    with pytest.raises(BadNameError, match=reason):
        receive.parse_key(key)


@pytest.mark.parametrize("event", [{}, {"s3": None}, {"s3": {"bucket": {}}}, {"body": "hello"}])
def test_something_that_is_no_s3_event_is_a_mistake_in_the_setup(event: dict[str, Any]) -> None:
    with pytest.raises(BadEventError):
        receive.parse_record(event)


# ---- specimens -------------------------------------------------------------------------------


def test_a_seed_gives_the_same_check_byte_for_byte(
    checks: list[tuple[specimen.Check, bytes]],
) -> None:
    again = specimen.draw_jpeg(specimen.invent(1))
    assert [again == jpeg for _, jpeg in checks] == [False, True, False]


def test_specimens_look_like_scans_to_a_program(checks: list[tuple[specimen.Check, bytes]]) -> None:
    for _, jpeg in checks:
        assert 50_000 <= len(jpeg) <= 400_000
        with Image.open(io.BytesIO(jpeg)) as image:
            assert (image.format, image.size) == ("JPEG", (1200, 550))
            assert image.info["dpi"] == (200, 200)


def test_every_invented_check_is_consistent() -> None:
    names = set()
    for check in map(specimen.invent, range(300)):
        d = [int(digit) for digit in check.routing]
        assert len(d) == 9
        assert (3 * (d[0] + d[3] + d[6]) + 7 * (d[1] + d[4] + d[7]) + d[2] + d[5] + d[8]) % 10 == 0
        assert 1 <= int(check.routing[:2]) <= 12
        deposit = receive.parse_key(receive.PREFIX + check.file_name)
        assert (deposit.amount, deposit.time) == (check.amount, check.deposit_time)
        names.add(check.file_name)
    assert len(names) == 300


GLYPHS = """\
...####  .##....  .####..  ..#####  .######  ....###  .....##  ....###
......#  .##....  .#..#..  ..#...#  .#....#  ##..###  .....##  #...###
......#  .##....  .#..#..  ..#...#  .#....#  ##..###  ...#.##  #.#.###
......#  .##....  .#.....  .....##  .#....#  ##.....  ...#.##  #.#.###
...####  .##....  .#.....  ....##.  .######  ##.....  ...#...  #.#.###
...#...  .##..##  .######  ....#..  .....##  ##.....  ##.#...  #.#....
...#...  .######  .#....#  ....#..  .....##  ##..###  ##.#...  #.#....
...#...  .....##  .#....#  ....#..  .....##  ##..###  ##.....  #.#....
...####  .....##  .######  ....#..  .....##  ....###  ##.....  ......."""


def test_the_characters_are_those_of_the_typeface() -> None:
    """At one pixel per module: 2, 4, 6, 7, 9, transit, amount, on-us, each to the right."""
    drawn = [
        np.asarray(e13b.render([(character, 7, 0)], (7, 9), 1)) > 100
        for character in "24679" + e13b.TRANSIT + e13b.AMOUNT + e13b.ON_US
    ]
    rows = [["".join(".#"[int(ink)] for ink in row) for row in glyph] for glyph in drawn]
    assert "\n".join(map("  ".join, zip(*rows, strict=True))) == GLYPHS


def test_the_line_stands_where_the_standard_puts_it_and_says_what_the_check_says(
    checks: list[tuple[specimen.Check, bytes]], tmp_path: Path
) -> None:
    """Cell by cell at 200 dpi: the template that fits best is the character that was meant."""
    (tmp_path / "model").write_bytes(model.build("test", 4))
    templates = model.load(tmp_path / "model").templates / 255
    for check, jpeg in checks:
        gray = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L")) / 255
        seen = ""
        for position in range(e13b.FIRST_POSITION, e13b.FIRST_POSITION - len(check.micr_line), -1):
            # A template is 9 by 11 modules of 0.013 in, centred 5/16 in above the bottom edge.
            right = 1200 - (e13b.right_edge(position) - 0.013) * 200
            box = (right - 9 * 2.6, 550 - 62.5 - 5.5 * 2.6, right, 550 - 62.5 + 5.5 * 2.6)
            cell = Image.fromarray(1 - gray).resize((36, 44), Image.Resampling.BICUBIC, box)
            pixels = np.asarray(cell)
            if pixels.max() < 0.5:
                seen += " "
                continue
            fit = [np.corrcoef(pixels.ravel(), template.ravel())[0, 1] for template in templates]
            assert max(fit) > 0.85
            seen += e13b.CHARACTERS[int(np.argmax(fit))]
        assert seen == check.micr_line


def test_nothing_but_the_line_is_in_the_clear_band(
    checks: list[tuple[specimen.Check, bytes]],
) -> None:
    for _, jpeg in checks:
        gray = np.asarray(Image.open(io.BytesIO(jpeg)).convert("L"))
        assert gray[425:463].min() > 150  # 0.625 in to 7/16 in above the bottom edge
        assert gray[513:].min() > 150  # the last 3/16 in
        assert gray[463:513].min() < 60


# ---- picture, copies, read -------------------------------------------------------------------


def test_copies_have_the_promised_widths_and_no_metadata(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    Image.new("RGB", (1200, 550), "white").save(tmp_path / "check.jpg", exif=exif)
    written = copies.write_copies(picture.open_upright(tmp_path / "check.jpg"), tmp_path)
    for width, height in ((300, 138), (150, 69)):
        with Image.open(written[width]) as copy:
            assert (copy.format, copy.size) == ("JPEG", (width, height))
            assert not copy.getexif()


def test_a_phone_held_upright_gives_an_upright_check(tmp_path: Path) -> None:
    upright = Image.new("RGB", (60, 30), "white")
    upright.paste("black", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it
    sensor = upright.rotate(90, expand=True)
    sensor.save(tmp_path / "check.png", exif=exif)
    seen = picture.open_upright(tmp_path / "check.png")
    assert seen.size == (60, 30)
    assert seen.getpixel((2, 2)) == (0, 0, 0)


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    for side in (8_000, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = tmp_path / "bomb.png"
        bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x"))
        with pytest.raises(BadImageError, match="pixels"):
            picture.open_upright(bomb)


def test_what_is_no_picture_is_refused(
    tmp_path: Path, checks: list[tuple[specimen.Check, bytes]]
) -> None:
    gif = io.BytesIO()
    Image.new("L", (9, 9)).save(gif, "GIF")
    for body in (b"", b"hello", gif.getvalue(), checks[0][1][:40_000]):
        (tmp_path / "upload").write_bytes(body)
        with pytest.raises(BadImageError):
            picture.open_upright(tmp_path / "upload")


def test_read_finds_the_ink_and_claims_no_more(
    checks: list[tuple[specimen.Check, bytes]], tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(model.build("v7", 4))
    knowledge = model.load(tmp_path / "model")
    check, jpeg = checks[0]
    band = read.read(knowledge, Image.open(io.BytesIO(jpeg)))
    assert band.clear == (0, 425, 1200, 550)
    assert band.model_version == "v7"
    last = e13b.FIRST_POSITION - len(check.micr_line) + 1
    assert band.ink == pytest.approx(
        (69.3, 475.8, 1200 - e13b.right_edge(last) * 200, 499.2), abs=2
    )
    blank = read.read(knowledge, Image.new("RGB", (1200, 550), "white"))
    assert (blank.ink, blank.density, blank.dpi) == (None, 0.0, 200)


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    array, other = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros(3))
    np.savez(other, version="1")
    for body in (b"", b"hello", b"PK\x03\x04", array.getvalue(), other.getvalue()):
        (tmp_path / "model.npz").write_bytes(body)
        with pytest.raises(ValueError, match=r"model\.npz is not a model"):
            model.load(tmp_path / "model.npz")


# ---- the function ----------------------------------------------------------------------------


@pytest.fixture
def scratch(root: Path) -> Path:
    """Where scratch directories are made."""
    return root / "scratch"


@pytest.fixture
def function(bucket: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """The deployed function: a bucket with a model, and a cache of its own."""
    monkeypatch.setenv("MODEL_BUCKET", bucket.name)
    bucket.put("micr/e13b.npz", model.build("v1", 2))
    tmpcache.configure(root=root, quota="64 MB")
    yield bucket
    tmpcache.default_cache().close()


def test_a_check_goes_through_all_stages(
    function: Bucket, scratch: Path, checks: list[tuple[specimen.Check, bytes]]
) -> None:
    check, jpeg = checks[0]
    key = receive.PREFIX + check.file_name
    function.put(key, jpeg)
    event = {"Records": [record(function.name, key)]}

    summary = handler.handler(event, None)
    json.dumps(summary)
    (scanned,) = summary["scanned"]
    assert scanned["amount"] == str(check.amount)
    assert scanned["band"]["model_version"] == "v1"
    assert scanned["outcome"] == "fetched"
    assert scanned["archived"] == [f"archived/{w}px-{check.file_name}" for w in (300, 150)]
    for key, width in zip(scanned["archived"], (300, 150), strict=True):
        answer = function.client.get_object(Bucket=function.name, Key=key)
        assert answer["ContentType"] == "image/jpeg"
        with Image.open(io.BytesIO(answer["Body"].read())) as copy:
            assert copy.width == width
    assert not list(scratch.iterdir())

    function.put("micr/e13b.npz", model.build("v2", 2))
    (again,) = handler.handler(event, None)["scanned"]
    assert again["outcome"] == "revalidated"
    assert again["band"]["model_version"] == "v2"


def test_max_age_spares_the_question(
    function: Bucket,
    checks: list[tuple[specimen.Check, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = receive.PREFIX + checks[0][0].file_name
    function.put(key, checks[0][1])
    handler.handler({"Records": [record(function.name, key)]}, None)
    monkeypatch.setenv("MODEL_MAX_AGE", "300")
    monkeypatch.setenv("CHECK_MAX_AGE", "300")
    function.server.forget()
    (scanned,) = handler.handler({"Records": [record(function.name, key)]}, None)["scanned"]
    assert scanned["outcome"] == "hit"
    assert function.server.gets() == []


def test_what_is_refused_is_reported_beside_what_is_scanned(
    function: Bucket, checks: list[tuple[specimen.Check, bytes]]
) -> None:
    good = receive.PREFIX + checks[0][0].file_name
    function.put(good, checks[0][1])
    function.put(GOOD, b"no picture")
    keys = ("incoming/holiday.jpg", GOOD, good)
    summary = handler.handler({"Records": [record(function.name, key) for key in keys]}, None)
    assert [refused["key"] for refused in summary["rejected"]] == list(keys[:2])
    assert [scanned["key"] for scanned in summary["scanned"]] == [good]


def test_the_event_that_s3_sends_to_test_the_setup_is_harmless(function: Bucket) -> None:
    event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "checks"}
    assert handler.handler(event, None) == {"scanned": [], "rejected": []}


def test_scratch_is_gone_after_a_failure_and_the_failure_is_seen(
    function: Bucket,
    scratch: Path,
    checks: list[tuple[specimen.Check, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = receive.PREFIX + checks[0][0].file_name
    function.put(key, checks[0][1])
    during: list[Path] = []

    def fail(bucket: str, key: str, path: Path, **_: str) -> None:
        during.extend(path.parent.iterdir())
        raise ConnectionError("S3 is gone")

    monkeypatch.setattr(tmpcache, "put", fail)
    with pytest.raises(ConnectionError):
        handler.handler({"Records": [record(function.name, key)]}, None)
    assert sorted(path.name for path in during) == [
        "150px.jpg",
        "300px.jpg",
        checks[0][0].file_name,
    ]
    assert not list(scratch.iterdir())


def test_the_demo_keeps_its_promises() -> None:
    demo = subprocess.run(
        [sys.executable, "-m", "examples.check_scanner", "--checks", "8"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (demo.returncode, demo.stderr) == (0, "")
    assert "5 small quota" in demo.stdout
