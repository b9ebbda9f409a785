"""The recogniser reads what is printed, whatever the camera did to it, or says that it cannot."""

from __future__ import annotations

import doctest
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter
from support.micr import AMOUNT, PERSONAL, assert_read, drawn, left_of, printed, texts

from examples.check_demo import specimen
from examples.check_demo.specimen.glyphs import Face
from examples.check_demo.specimen.layout import Layout
from examples.check_scanner.reading import Decision
from examples.check_scanner.recogniser import e13b, micr, model
from examples.check_scanner.recogniser.e13b import DASH
from examples.check_scanner.recogniser.micr import routing
from examples.check_scanner.recogniser.model import Model

LAYOUTS = {
    "serial on the right": Layout(),
    "serial on the left": Layout(serial_left=True),
    "serial on the left, dash in the account": Layout(
        serial_left=True, breaks=(3,), separator=DASH
    ),
    "blanks in the account": Layout(breaks=(2, 5)),
    "dash in the account": Layout(breaks=(4,), separator=DASH),
    "amount encoded": Layout(encoded=True),
    "business": Layout(business=True),
    "business, all of it": Layout(business=True, breaks=(4,), separator=DASH, encoded=True),
}
CUTS = {
    "square": Face(corner=0.0),
    "round": Face(corner=0.375, thin_zero=True),
    "heavy": Face(corner=0.25, weight=0.13),
    "light": Face(corner=0.25, weight=-0.11, thin_zero=True),
    "sloppy": Face(corner=0.1, weight=0.05, aspect=0.07, loose=0.12, cut=5),
}


def test_the_examples_in_docstrings_run() -> None:
    assert doctest.testmod(routing).failed == 0


# ---- what is on it ---------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_taken_apart_into_its_fields(knowledge: Model, layout: Layout) -> None:
    check = replace(PERSONAL, layout=layout, amount=AMOUNT, account="40793618")
    assert_read(micr.read(knowledge, drawn(check)), check)


@pytest.mark.parametrize("face", CUTS.values(), ids=CUTS)
def test_other_printers_cuts_of_the_typeface_are_read(knowledge: Model, face: Face) -> None:
    check = replace(PERSONAL, account="9876543210", serial="0125")
    assert_read(micr.read(knowledge, drawn(check, face=face)), check)


@pytest.mark.parametrize("dpi", [100, 150, 300, 400])
def test_the_resolution_need_not_be_known(knowledge: Model, dpi: int) -> None:
    assert_read(micr.read(knowledge, drawn(PERSONAL, dpi)), PERSONAL)


@pytest.mark.parametrize("pixels", [2, 8])
def test_a_coarse_and_a_fine_model_read_the_same(pixels: int, tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(model.build(f"at {pixels}", pixels))
    reading = micr.read(model.load(tmp_path / "model"), drawn(PERSONAL))
    assert_read(reading, PERSONAL)
    assert reading.model_version == f"at {pixels}"


# ---- how it is seen --------------------------------------------------------------------------


def bitonal(image: Image.Image) -> Image.Image:
    return image.convert("L").point(lambda level: 255 * (level > 120)).convert("1")


def pale_grey_16(image: Image.Image) -> Image.Image:
    grey = np.asarray(image.convert("L")).astype(np.uint16)
    return Image.fromarray(grey * 200 + 5000)


def on_nothing(image: Image.Image) -> Image.Image:
    """A cut-out: transparent around, black under the transparency."""
    canvas = Image.new("RGBA", (image.width + 200, image.height + 120), (0, 0, 0, 0))
    canvas.paste(image, (90, 70))
    return canvas


def dark_corner(image: Image.Image) -> Image.Image:
    light = np.linspace(1, 0.35, image.width)[None, :, None]
    return Image.fromarray((np.asarray(image) * light).astype(np.uint8))


def worst_jpeg(image: Image.Image) -> Image.Image:
    body = io.BytesIO()
    image.filter(ImageFilter.GaussianBlur(1.2)).save(body, "JPEG", quality=30)
    return Image.open(body)


def noisy(image: Image.Image) -> Image.Image:
    noise = np.random.default_rng(2).normal(0, 22, (image.height, image.width, 1))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


SEEN: dict[str, Callable[[Image.Image], Image.Image]] = {
    "upside down": lambda image: image.rotate(180),
    "10 degrees to the left": lambda image: image.rotate(
        10, Image.Resampling.BICUBIC, expand=True, fillcolor=(90, 80, 70)
    ),
    "10 degrees to the right, upside down": lambda image: image.rotate(
        170, Image.Resampling.BICUBIC, expand=True, fillcolor=(200, 200, 200)
    ),
    "grey": lambda image: image.convert("L"),
    "with a palette": lambda image: image.convert("P"),
    "16 bits": pale_grey_16,
    "cut out": on_nothing,
    "bitonal": bitonal,
    "light from one side": dark_corner,
    "blurred and compressed": worst_jpeg,
    "noisy": noisy,
}


@pytest.mark.parametrize("look", SEEN.values(), ids=SEEN)
def test_the_line_is_read_however_it_is_seen(
    knowledge: Model, look: Callable[[Image.Image], Image.Image]
) -> None:
    reading = micr.read(knowledge, look(drawn(PERSONAL)))
    assert texts(reading) == printed(PERSONAL)


def test_perspective_and_a_table_do_not_matter(knowledge: Model) -> None:
    sheet = np.asarray(drawn(PERSONAL))
    height, width = sheet.shape[:2]
    seen = np.array([[150, 90], [1230, 140], [1290, 660], [90, 600]], np.float32)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    view = cv2.getPerspectiveTransform(corners, seen)
    photo = cv2.warpPerspective(sheet, view, (1400, 760), borderValue=(60, 45, 30))
    assert_read(micr.read(knowledge, Image.fromarray(photo)), PERSONAL)


@pytest.mark.parametrize("tier", ["clean", "scan", "mobile"])
def test_specimens_are_read_without_a_fault(knowledge: Model, tier: str) -> None:
    for sample in (specimen.sample(seed, tier) for seed in range(900, 905)):
        reading, truth = micr.read(knowledge, sample.image), sample.truth
        fields = [truth.routing, truth.account, truth.serial, truth.amount]
        assert texts(reading) == fields
        assert reading.decision is not Decision.REJECT


def test_what_is_accepted_of_bad_photos_is_right(knowledge: Model) -> None:
    accepted = exact = 0
    for sample in (specimen.sample(seed, "hard") for seed in range(900, 915)):
        reading, truth = micr.read(knowledge, sample.image), sample.truth
        fields = [truth.routing, truth.account, truth.serial, truth.amount]
        exact += texts(reading) == fields
        if reading.decision is Decision.ACCEPT:
            accepted += 1
            assert texts(reading) == fields
        else:
            assert reading.reason.endswith(".")
    assert accepted >= 6
    assert exact >= 14


def test_a_field_says_where_it_is(knowledge: Model) -> None:
    upright = drawn(PERSONAL)
    box = micr.read(knowledge, upright).account.box
    assert box is not None
    line = PERSONAL.micr_line
    start = line.index(PERSONAL.account)
    left = left_of(PERSONAL, start) * 200
    right = (left_of(PERSONAL, start + len(PERSONAL.account) - 1) + 7 * e13b.MODULE) * 200
    xs, ys = zip(*box, strict=True)
    assert xs == pytest.approx((left, right, right, left), abs=4)
    assert ys[2] - ys[1] == pytest.approx(9 * e13b.MODULE * 200, abs=2)
    turned = micr.read(knowledge, upright.rotate(180)).account.box
    assert turned is not None
    # Clockwise from the text's own top left, which is at the bottom right now.
    for (x, y), (a, b) in zip(box, turned, strict=True):
        assert (upright.width - a, upright.height - b) == pytest.approx((x, y), abs=2)
