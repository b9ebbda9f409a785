"""The recogniser reads what is printed, whatever the camera did to it, or says that it cannot."""

from __future__ import annotations

import doctest
import io
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from examples.check_demo import specimen
from examples.check_demo.specimen import Check, check_digit, invent
from examples.check_demo.specimen.draw import Making, draw_sheet
from examples.check_demo.specimen.glyphs import Face
from examples.check_demo.specimen.layout import Layout
from examples.check_demo.specimen.magnetic import Press
from examples.check_scanner.reading import Decision, Reading
from examples.check_scanner.recogniser import e13b, micr, model
from examples.check_scanner.recogniser.e13b import DASH
from examples.check_scanner.recogniser.micr import pens, routing
from examples.check_scanner.recogniser.micr.grey import planes
from examples.check_scanner.recogniser.micr.track import Track
from examples.check_scanner.recogniser.model import Model

PERSONAL = replace(
    invent(3), routing="12500002" + check_digit("12500002"), account="4079361852", serial="1067"
)
AMOUNT = Decimal("1204.56")
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


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The model as it comes from S3."""
    path = tmp_path_factory.mktemp("model") / "e13b.npz"
    path.write_bytes(model.build("v7", 4))
    return model.load(path)


def drawn(check: Check, dpi: float = 200, face: Face | None = None) -> Image.Image:
    """The check's sheet as it lies there; its amount from the same press."""
    press = Press(face=face or Face())
    making = Making(press=press, amount_press=press)
    sheet = draw_sheet(check, dpi, making, np.random.default_rng(1))
    return Image.fromarray(np.asarray(sheet, np.uint8))


def texts(reading: Reading) -> list[str | None]:
    """The four fields."""
    fields = (reading.routing, reading.account, reading.serial, reading.amount)
    return [field.text for field in fields]


def printed(check: Check) -> list[str | None]:
    """What they should be."""
    amount = str(int(check.amount * 100)) if check.layout.encoded else None
    return [check.routing, check.account, check.serial, amount]


def assert_read(reading: Reading, check: Check) -> None:
    """All fields are right, and there was no doubt about them."""
    assert texts(reading) == printed(check)
    assert (reading.decision, reading.reason) == (Decision.ACCEPT, "")
    assert reading.line == check.micr_line


def stroke(image: Image.Image, *inches: tuple[float, float], width: float = 0.02) -> Image.Image:
    """Draw a black line through points given in inches from the bottom left corner, at 200 dpi."""
    marked = image.copy()
    points = [(x * 200, marked.height - y * 200) for x, y in inches]
    ImageDraw.Draw(marked).line(points, fill=(25, 25, 30), width=round(width * 200), joint="curve")
    return marked


def left_of(check: Check, character: int) -> float:
    """Inches from the paper's left edge to the left edge of the line's n-th character."""
    position = check.layout.first_position(check.serial) - character
    return check.layout.inches[0] - e13b.right_edge(position) - 7 * e13b.MODULE


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
    accepted = 0
    for sample in (specimen.sample(seed, "hard") for seed in range(900, 915)):
        reading, truth = micr.read(knowledge, sample.image), sample.truth
        if reading.decision is Decision.ACCEPT:
            accepted += 1
            fields = [truth.routing, truth.account, truth.serial, truth.amount]
            assert texts(reading) == fields
        else:
            assert reading.reason.endswith(".")
    assert accepted >= 6


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


# ---- knowing when it does not know -----------------------------------------------------------


def page_of_text() -> Image.Image:
    page = Image.new("RGB", (1000, 700), "white")
    pen = ImageDraw.Draw(page)
    for row in range(20):
        pen.text(
            (60, 30 + 32 * row),
            f"{row} 0123456789 THE QUICK BROWN FOX 987 654 321",
            "black",
            ImageFont.load_default(22),
        )
    return page


def nothing_at_all() -> list[Image.Image]:
    noise = np.random.default_rng(3).integers(0, 256, (500, 900, 3), np.uint8)
    stripes = Image.fromarray(np.tile(np.array([255] * 9 + [20] * 9, np.uint8), (400, 60)))
    return [
        Image.new("RGB", (1200, 550), "white"),
        Image.new("1", (3, 2)),
        Image.fromarray(noise),
        stripes,
        page_of_text(),
    ]


@pytest.mark.parametrize("which", range(5), ids=["blank", "tiny", "noise", "stripes", "text"])
def test_a_picture_in_which_no_line_is_found_is_for_people(knowledge: Model, which: int) -> None:
    reading = micr.read(knowledge, nothing_at_all()[which])
    assert reading.decision is Decision.REVIEW
    assert reading.reason == "No MICR line was found in the picture."
    assert (reading.line, reading.confidence) == ("", 0.0)
    assert texts(reading) == [None] * 4


def test_a_check_whose_line_is_cut_off_is_for_people(knowledge: Model) -> None:
    image = drawn(PERSONAL)
    reading = micr.read(knowledge, image.crop((0, 0, image.width, image.height - 100)))
    assert reading.decision is Decision.REVIEW


def test_a_wrong_check_digit_is_rejected_with_the_number(knowledge: Model) -> None:
    wrong = PERSONAL.routing[:-1] + str((int(PERSONAL.routing[-1]) + 3) % 10)
    reading = micr.read(knowledge, drawn(replace(PERSONAL, routing=wrong)))
    assert reading.decision is Decision.REJECT
    assert wrong in reading.reason
    assert reading.routing.text == wrong


def test_a_routing_number_that_nobody_was_given_is_rejected(knowledge: Model) -> None:
    number = "45000012" + check_digit("45000012")
    reading = micr.read(knowledge, drawn(replace(PERSONAL, routing=number)))
    assert (reading.decision, reading.routing.text) == (Decision.REJECT, number)
    assert "45" in reading.reason


def test_an_old_routing_number_without_a_check_digit_is_for_people(knowledge: Model) -> None:
    old = replace(PERSONAL, routing="12500002")
    reading = micr.read(knowledge, drawn(old))
    assert texts(reading) == printed(old)
    assert reading.decision is Decision.REVIEW
    assert "check digit" in reading.reason


def test_pen_strokes_through_the_line_do_not_change_what_is_read(knowledge: Model) -> None:
    x = left_of(PERSONAL, PERSONAL.micr_line.index(PERSONAL.account))
    marked = stroke(drawn(PERSONAL), (x - 0.1, 0.6), (x + 0.5, 0.25), (x + 0.9, 0.05), width=0.01)
    assert texts(micr.read(knowledge, marked)) == printed(PERSONAL)


@pytest.mark.parametrize("field", ["routing", "account", "serial"])
def test_a_digit_that_is_blacked_out_is_never_accepted(knowledge: Model, field: str) -> None:
    number: str = getattr(PERSONAL, field)
    for digit in (0, len(number) - 1):
        x = left_of(PERSONAL, PERSONAL.micr_line.index(number) + digit) + 0.045
        marked = stroke(drawn(PERSONAL), (x, 0.2), (x, 0.43), width=0.1)
        assert micr.read(knowledge, marked).decision is not Decision.ACCEPT


def whited_out(image: Image.Image, left: float, right: float) -> Image.Image:
    """Paint paper over the line, between inches from the left edge, at 200 dpi."""
    painted = image.copy()
    paper = painted.getpixel((30, painted.height - 30))
    box = (left * 200, painted.height - 90, right * 200, painted.height - 35)
    ImageDraw.Draw(painted).rectangle(box, fill=paper)
    return painted


def test_a_digit_that_was_whited_out_is_never_accepted(knowledge: Model) -> None:
    x = left_of(PERSONAL, PERSONAL.micr_line.index(PERSONAL.routing) + 4)
    reading = micr.read(knowledge, whited_out(drawn(PERSONAL), x - 0.01, x + 0.1))
    assert reading.decision is not Decision.ACCEPT
    # Half of an eight is left, which could be a three; blank positions may be in an account.
    x = left_of(PERSONAL, PERSONAL.micr_line.index(PERSONAL.account) + 7)
    reading = micr.read(knowledge, whited_out(drawn(PERSONAL), x - 0.01, x + 0.045))
    assert reading.decision is not Decision.ACCEPT


def test_a_three_that_a_pen_makes_look_like_an_eight_is_not_accepted_as_one(
    knowledge: Model,
) -> None:
    check = replace(PERSONAL, account="4073361852")
    x = left_of(check, check.micr_line.index("3361852"))
    for low in (0.33, 0.3):
        marked = stroke(drawn(check), (x + 0.02, 0.37), (x + 0.015, low), width=0.015)
        reading = micr.read(knowledge, marked)
        assert reading.decision is not Decision.ACCEPT or texts(reading) == printed(check)


def test_a_serial_that_ends_where_the_picture_ends_is_not_accepted(knowledge: Model) -> None:
    image = drawn(PERSONAL)
    line = PERSONAL.micr_line
    for lost in (1, 2):
        cut = (left_of(PERSONAL, len(line) - lost) - 0.01) * 200
        reading = micr.read(knowledge, image.crop((0, 0, round(cut), image.height)))
        assert reading.decision is not Decision.ACCEPT


def test_a_line_that_lost_its_on_us_symbol_is_not_accepted(knowledge: Model) -> None:
    x = left_of(PERSONAL, PERSONAL.micr_line.index(e13b.ON_US))
    image = whited_out(drawn(PERSONAL), x - 0.01, x + 0.1)
    assert micr.read(knowledge, image).decision is not Decision.ACCEPT


def test_the_check_digit_mends_one_doubtful_digit_and_no_other() -> None:
    cost = np.ones((9, 10))
    cost[np.arange(9), [int(digit) for digit in "125000024"]] = 0
    doubtful = np.zeros(9, bool)
    assert routing.mended("125006024", cost, doubtful) is None
    doubtful[5] = True
    assert routing.mended("125006024", cost, doubtful) == "125000024"
    cost[5] = 3
    cost[5, 6] = 0  # far too certain to be mended
    assert routing.mended("125006024", cost, doubtful) is None


def test_the_check_digit_mends_two_doubtful_digits_if_both_are_cheap() -> None:
    cost = np.full((9, 10), 3.0)
    cost[np.arange(9), [int(digit) for digit in "123736387"]] = 0.3
    cost[3, 5] = cost[7, 0] = 0
    doubtful = np.zeros(9, bool)
    doubtful[3] = True
    assert not routing.checks("123536307")
    assert routing.mended("123536307", cost, doubtful) is None
    doubtful[7] = True
    assert routing.mended("123536307", cost, doubtful) == "123736387"
    cost[3, 7] = 0.9  # together dearer than is believed
    assert routing.mended("123536307", cost, doubtful) is None


@pytest.mark.parametrize("colour", [(40, 60, 140), (150, 40, 60)], ids=["blue", "red"])
def test_a_coloured_pen_is_taken_out_and_the_print_under_it_is_not(
    colour: tuple[int, int, int],
) -> None:
    sheet = np.full((60, 400, 3), 235, np.uint8)
    sheet[10:50, 100:110] = 20  # print
    pen = np.zeros(sheet.shape[:2], bool)
    pen[27:33, 40:300] = True
    sheet[pen] = (sheet[pen] / 235 * np.array(colour)).astype(np.uint8)
    along, down = np.zeros((2, 5)), np.zeros((2, 3))
    along[0, -2:] = 200  # as many modules as pixels
    down[1, -1] = 1
    track = Track(200.0, 200.0, along, down)
    seen = pens.black(planes(Image.fromarray(sheet)), track, 0, 400, 0, 60, 1)
    assert seen[29:31, 150:290].max() < 0.1
    assert seen[12:48, 102:108].min() > 0.75
