"""The recogniser knows when it does not know: what is hidden, cut or written over is for people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from support.micr import PERSONAL, drawn, left_of, printed, stroke, texts

from examples.check_demo.specimen import check_digit
from examples.check_scanner.reading import Decision
from examples.check_scanner.recogniser import e13b, micr
from examples.check_scanner.recogniser.micr import pens, routing
from examples.check_scanner.recogniser.micr.grey import planes
from examples.check_scanner.recogniser.micr.track import Track
from examples.check_scanner.recogniser.model import Model


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


@pytest.mark.parametrize("digit", "0123456789")
def test_half_a_digit_is_not_accepted_as_another(knowledge: Model, digit: str) -> None:
    check = replace(PERSONAL, account=f"40{digit}9361852")
    x = left_of(check, check.micr_line.index(check.account) + 2)
    # Two modules less of an eight, 0.03 inch, are a three, and no shape tells the two apart.
    for left, right in ((0.0, 0.045), (0.0, 0.06), (0.045, 0.1), (0.06, 0.1)):
        reading = micr.read(knowledge, whited_out(drawn(check), x + left, x + right))
        assert reading.decision is not Decision.ACCEPT or texts(reading) == printed(check)


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
    cost = np.full((9, 10), 5.0)
    cost[np.arange(9), [int(digit) for digit in "125000024"]] = 0
    doubtful = np.zeros(9, bool)
    assert routing.mended("125006024", cost, doubtful) is None
    doubtful[5] = True
    assert routing.mended("125006024", cost, doubtful) == "125000024"
    cost[5] = 18
    cost[5, 6] = 0  # far too certain to be mended
    assert routing.mended("125006024", cost, doubtful) is None


def test_the_check_digit_mends_two_doubtful_digits_if_both_are_cheap() -> None:
    cost = np.full((9, 10), 18.0)
    cost[np.arange(9), [int(digit) for digit in "123736387"]] = 1.8
    cost[3, 5] = cost[7, 0] = 0
    doubtful = np.zeros(9, bool)
    doubtful[3] = True
    assert not routing.checks("123536307")
    assert routing.mended("123536307", cost, doubtful) is None
    doubtful[7] = True
    assert routing.mended("123536307", cost, doubtful) == "123736387"
    cost[3, 7] = 5.0  # together dearer than is believed
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
    seen = pens.black_and_all(planes(Image.fromarray(sheet)), track, 0, 400, 0, 60, 1)[0]
    assert seen[29:31, 150:290].max() < 0.1
    assert seen[12:48, 102:108].min() > 0.75
