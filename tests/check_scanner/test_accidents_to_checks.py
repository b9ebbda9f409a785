"""Whatever happens to a check: a field that is accepted is right, or a person sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from benchmarks import accidents, sheets
from examples.check_demo import specimen
from examples.check_demo.specimen import Check, check_digit, invent
from examples.check_demo.specimen.draw import Making, draw_sheet
from examples.check_demo.specimen.layout import Layout
from examples.check_scanner.reading import Decision, Reading
from examples.check_scanner.recogniser import e13b, micr
from examples.check_scanner.recogniser.e13b import AMOUNT, CHARACTERS, DASH, ON_US, TRANSIT
from examples.check_scanner.recogniser.micr import fields
from examples.check_scanner.recogniser.model import Model

ROUTING = "12500002" + check_digit("12500002")
CHECK = replace(invent(3), routing=ROUTING, account="4079361852", serial="1067")


def drawn(line: str | None = None, check: Check = CHECK) -> Image.Image:
    """The check at 200 dpi, with another line if one is given."""
    if line is not None:
        check = replace(check, layout=sheets.Odd(text=line))
    sheet = draw_sheet(check, 200, Making(), np.random.default_rng(1))
    return Image.fromarray(np.asarray(sheet, np.uint8))


def texts(reading: Reading) -> tuple[str | None, ...]:
    """The four fields."""
    parts = (reading.routing, reading.account, reading.serial, reading.amount)
    return tuple(field.text for field in parts)


@pytest.mark.parametrize("kind", accidents.KINDS)
def test_no_accident_makes_a_wrong_field_accepted(knowledge: Model, kind: str) -> None:
    for seed in range(500, 506):
        accident = accidents.KINDS[kind](seed)
        reading = micr.read(knowledge, accident.image)
        if reading.decision is Decision.ACCEPT:
            assert texts(reading) == accident.truth


def test_a_line_of_which_nothing_is_certain_is_for_people(knowledge: Model) -> None:
    assert micr.read(knowledge, accidents.askew(80112).image).decision is Decision.REVIEW


# ---- what is printed is not what the grammar expects -------------------------------------------


@pytest.mark.parametrize("dash", [4, 5])
def test_a_transit_number_with_a_dash_is_read_as_it_is(knowledge: Model, dash: int) -> None:
    line = f"{TRANSIT}{'02338004'[:dash]}{DASH}{'02338004'[dash:]}{TRANSIT} 407936185{ON_US} 1067"
    reading = micr.read(knowledge, drawn(line))
    assert texts(reading) == ("02338004", "407936185", "1067", None)
    assert reading.line == line
    assert reading.decision is Decision.REVIEW


@pytest.mark.parametrize("symbol", [TRANSIT, AMOUNT], ids=["transit", "amount"])
@pytest.mark.parametrize("place", [2, 7])
def test_a_symbol_that_the_grammar_does_not_allow_is_no_digit(
    knowledge: Model, symbol: str, place: int
) -> None:
    number = f"{CHECK.account[:place]}{symbol}{CHECK.account[place:]}"
    reading = micr.read(knowledge, drawn(f"{TRANSIT}{ROUTING}{TRANSIT}{number}{ON_US} 1067"))
    assert reading.decision is Decision.REVIEW


def test_a_dash_inside_of_a_routing_number_is_no_digit(knowledge: Model) -> None:
    line = f"{TRANSIT}{ROUTING[:7]}{DASH}{ROUTING[8:]}{TRANSIT} 407936185{ON_US} 1067"
    reading = micr.read(knowledge, drawn(line))
    assert reading.decision is Decision.REVIEW
    assert "Digit 8 of the routing number" in reading.reason
    assert reading.routing.confidence < 0.5


def parsed(text: str) -> fields.Parsed:
    """Parse a line that is perfectly legible."""
    likely = np.array([[float(c == one) for c in CHARACTERS] for one in text])
    return fields.parse(likely, np.array([one == " " for one in text]))


def test_the_account_is_what_has_more_digits_whatever_blanks_the_serial_has() -> None:
    found = parsed(f"{TRANSIT}{ROUTING}{TRANSIT}36900413{ON_US} 6283      {ON_US}")
    assert found.account is not None
    assert found.serial is not None
    assert (found.account.text, found.serial.text) == ("36900413", "6283")


def test_a_number_too_many_is_a_doubt() -> None:
    line = f"{TRANSIT}{ROUTING}{TRANSIT}8674{ON_US}07486649{ON_US} 7299"
    assert parsed(line).doubts == ("There are more numbers than an account and a serial.",)
    assert parsed(line.removesuffix(" 7299")).doubts == ()


@pytest.mark.parametrize("serial", ["121", "1211", "121134"])
def test_a_serial_before_a_dash_is_not_taken_for_digits_of_the_account(serial: str) -> None:
    line = f"{TRANSIT}{ROUTING}{TRANSIT}{serial}{DASH}1234{DASH}56789{ON_US}"
    assert parsed(line).doubts == ("It is not clear whether the account begins with a serial.",)
    assert parsed(f"{line} 1067").doubts == ()


@pytest.mark.parametrize(
    ("on_us", "reason"),
    [
        (f"407{ON_US} 1067", ""),
        (f"407   61852{ON_US} 1067", "There is a gap in the account."),
        (f"    407936{ON_US} 1067", "There is a wide gap between two fields."),
        (f"1067      4079361{ON_US}", "There is a wide gap between two fields."),
        (f"  407936{ON_US}   1067", ""),
        (f"4079361852{ON_US} 10 67", "There is a gap in the serial number."),
        (f"4079361852{ON_US} 10", "A serial number of 2 digits is unusual."),
        (f"4079361852{ON_US}", "No serial number can be found."),
    ],
)
def test_what_is_unusual_is_for_people(knowledge: Model, on_us: str, reason: str) -> None:
    reading = micr.read(knowledge, drawn(f"{TRANSIT}{ROUTING}{TRANSIT} {on_us}"))
    assert reading.reason == reason


# ---- what the picture shows --------------------------------------------------------------------


def beside(one: Image.Image, other: Image.Image, place: tuple[int, int]) -> Image.Image:
    """Both checks on a table, the other one's corner at ``place``."""
    size = max(one.width, place[0] + other.width), max(one.height, place[1] + other.height)
    table = Image.new("RGB", size, (96, 84, 70))
    table.paste(one)
    table.paste(other, place)
    return table


@pytest.mark.parametrize("place", [(1210, 0), (1230, 6), (30, 570)], ids=str)
@pytest.mark.parametrize("turn", [0, 180])
def test_two_checks_in_one_picture_are_for_people(
    knowledge: Model, place: tuple[int, int], turn: int
) -> None:
    other = drawn(check=replace(CHECK, account="55512345678", serial="2001")).rotate(turn)
    reading = micr.read(knowledge, beside(drawn(), other, place))
    assert "There is more than one check in the picture." in reading.reason
    assert reading.decision is Decision.REVIEW


@pytest.mark.parametrize("layout", [Layout(encoded=True), Layout(business=True, encoded=True)])
def test_one_check_is_one_check(knowledge: Model, layout: Layout) -> None:
    reading = micr.read(knowledge, drawn(check=replace(CHECK, layout=layout, account="40793618")))
    assert (reading.decision, reading.reason) == (Decision.ACCEPT, "")


@pytest.mark.parametrize("degrees", [90, 270])
def test_a_quarter_turn_is_read_as_if_it_were_upright(knowledge: Model, degrees: int) -> None:
    upright = drawn()
    turned = upright.rotate(degrees, expand=True)
    expected, reading = micr.read(knowledge, upright), micr.read(knowledge, turned)
    assert reading.decision is Decision.ACCEPT
    assert texts(reading) == texts(expected)
    assert expected.account.box is not None
    assert reading.account.box is not None
    for (x, y), (a, b) in zip(expected.account.box, reading.account.box, strict=True):
        back = (turned.height - b, a) if degrees == 90 else (b, turned.width - a)
        assert back == pytest.approx((x, y), abs=1)


def test_a_negative_is_read_and_for_people(knowledge: Model) -> None:
    reading = micr.read(knowledge, ImageOps.invert(drawn()))
    assert texts(reading) == (ROUTING, CHECK.account, CHECK.serial, None)
    assert (reading.decision, reading.reason) == (Decision.REVIEW, "The picture is a negative.")


def test_a_check_on_a_page_is_found(knowledge: Model) -> None:
    page = Image.new("RGB", (1700, 2200), (250, 250, 250))
    page.paste(drawn(), (240, 1300))
    assert texts(micr.read(knowledge, page))[:2] == (ROUTING, CHECK.account)


def at(check: Check, character: int) -> float:
    """The pixel column, at 200 dpi, where the line's n-th character begins."""
    position = check.layout.first_position(check.serial) - character
    return (check.layout.inches[0] - e13b.right_edge(position) - 7 * e13b.MODULE) * 200


def covered(image: Image.Image, left: float, right: float, colour: tuple[int, ...]) -> Image.Image:
    """Lay something over the lower edge of the check."""
    marked = image.copy()
    box = (left, image.height - 100, right, image.height)
    ImageDraw.Draw(marked).rectangle(box, fill=colour)
    return marked.filter(ImageFilter.GaussianBlur(0.7))


LIGHT, SKIN, SLIP = (255, 255, 255), (214, 160, 130), (255, 250, 170)


@pytest.mark.parametrize("colour", [LIGHT, SKIN, SLIP], ids=["light", "skin", "slip"])
@pytest.mark.parametrize("number", ["routing", "account", "serial"])
def test_a_digit_that_something_lies_over_is_not_a_blank(
    knowledge: Model, colour: tuple[int, ...], number: str
) -> None:
    text: str = getattr(CHECK, number)
    for digit in (0, len(text) - 1):
        left = at(CHECK, CHECK.micr_line.index(text) + digit)
        reading = micr.read(knowledge, covered(tinted(drawn()), left - 4, left + 22, colour))
        assert reading.decision is Decision.REVIEW


@pytest.mark.parametrize("levels", [(9, 9, 9), (11, 11, 11), (4, 3, -4)], ids=str)
def test_a_slip_that_is_hardly_brighter_than_the_paper_is_no_blank_of_the_account(
    knowledge: Model, levels: tuple[int, ...]
) -> None:
    image = tinted(drawn())
    left = at(CHECK, CHECK.micr_line.index(CHECK.account) + 4)
    paper = image.getpixel((round(left), image.height - 12))
    assert isinstance(paper, tuple)
    slip = tuple(level + more for level, more in zip(paper, levels, strict=True))
    reading = micr.read(knowledge, covered(image, left - 4, left + 22, slip))
    assert reading.account.text == CHECK.account[:4] + CHECK.account[5:]
    assert "something lies on it" in reading.reason


def tinted(image: Image.Image) -> Image.Image:
    """The check on paper that is not white."""
    return Image.fromarray((np.asarray(image) * (0.93, 0.96, 0.98)).astype(np.uint8))


def test_a_digit_of_which_glare_leaves_next_to_nothing_is_not_a_blank(knowledge: Model) -> None:
    image = drawn()
    left = round(at(CHECK, CHECK.micr_line.index(CHECK.serial)))
    pixels = np.asarray(image).astype(float)
    digit = pixels[-100:, left - 3 : left + 21]
    digit += 0.9 * (250 - digit)
    reading = micr.read(knowledge, Image.fromarray(pixels.astype(np.uint8)))
    assert reading.decision is Decision.REVIEW


@pytest.mark.parametrize("bed", [(252, 252, 252), (20, 20, 20)], ids=["white", "black"])
def test_a_check_that_is_cut_is_for_people_whatever_lies_beside_it(
    knowledge: Model, bed: tuple[int, ...]
) -> None:
    image = tinted(drawn())
    for lost in (1, 3):
        cut = round(at(CHECK, len(CHECK.micr_line) - lost)) - 2
        bare = covered(image, cut, image.width, bed)
        assert micr.read(knowledge, bare).decision is Decision.REVIEW


@pytest.mark.parametrize("inches", [0.09, 0.16, 0.31, 0.42])
def test_a_strip_that_is_folded_away_is_noticed(knowledge: Model, inches: float) -> None:
    pixels = np.asarray(drawn())
    start = round(at(CHECK, CHECK.micr_line.index(CHECK.account) + 4)) - 2
    folded = np.delete(pixels, np.s_[start : start + round(inches * 200)], axis=1)
    reading = micr.read(knowledge, Image.fromarray(folded))
    assert reading.decision is Decision.REVIEW


def test_a_crease_through_the_line_may_hide_whole_characters(knowledge: Model) -> None:
    pixels = np.asarray(drawn())
    start = round(at(CHECK, CHECK.micr_line.index(CHECK.account) + 4)) - 2
    folded = np.delete(pixels, np.s_[start : start + 25], axis=1)  # an eighth of an inch
    folded[:, start : start + 2] = folded[:, start : start + 2] // 2
    reading = micr.read(knowledge, Image.fromarray(folded))
    assert reading.reason == "The check is folded or not flat."


@pytest.mark.parametrize("lean", [-12, 0, 12], ids="{:+d} of 550".format)
def test_a_crease_that_leans_is_noticed(knowledge: Model, lean: int) -> None:
    image = drawn()
    x = at(CHECK, CHECK.micr_line.index(CHECK.account) + 4) - 2
    crease = Image.new("L", image.size, 255)
    low = (x - lean / 8, image.height)
    ImageDraw.Draw(crease).line(((x + lean, 0), low), fill=170, width=3)
    dark = ImageChops.multiply(image, crease.convert("RGB"))
    assert micr.read(knowledge, dark).reason == "The check is folded or not flat."


def test_a_stroke_straight_through_the_line_is_no_crease_where_it_ends_above(
    knowledge: Model,
) -> None:
    image = drawn()
    x = at(CHECK, CHECK.micr_line.index(CHECK.account) + 4) - 2
    ImageDraw.Draw(image).line(
        ((x, image.height - 106), (x, image.height - 24)), fill=(25, 25, 30), width=2
    )
    reading = micr.read(knowledge, image)
    assert texts(reading) == (ROUTING, CHECK.account, CHECK.serial, None)
    assert "folded" not in reading.reason


def test_a_slow_change_of_light_hides_nothing(knowledge: Model) -> None:
    image = drawn()
    light = np.linspace(1, 0.6, image.width)[None, :, None]
    shaded = Image.fromarray((np.asarray(image) * light).astype(np.uint8))
    assert micr.read(knowledge, shaded).decision is Decision.ACCEPT


def test_a_white_slip_before_the_on_us_symbol_leaves_a_gap(knowledge: Model) -> None:
    reading = micr.read(knowledge, drawn(f"{TRANSIT}{ROUTING}{TRANSIT} 40793   {ON_US} 1067"))
    assert reading.reason == "There is a gap in the account."


def test_a_table_whose_grain_looks_like_characters_is_no_second_check(knowledge: Model) -> None:
    image = drawn()
    table = Image.new("RGB", (image.width + 700, image.height), (150, 112, 78))
    pen = ImageDraw.Draw(table)
    for x in range(image.width + 40, table.width, 12):
        pen.rectangle((x, image.height - 74, x + 5, image.height - 63), fill=(60, 40, 30))
    table.paste(image)
    assert "more than one" not in micr.read(knowledge, table).reason


# ---- what confidences are worth ----------------------------------------------------------------


def test_a_confidence_is_the_share_of_fields_that_are_right(knowledge: Model) -> None:
    confidences, right = [], []
    for sample in (specimen.sample(seed, "hard") for seed in range(920, 940)):
        reading, truth = micr.read(knowledge, sample.image), sample.truth
        known = truth.routing, truth.account, truth.serial, truth.amount
        parts = (reading.routing, reading.account, reading.serial, reading.amount)
        for part, text in zip(parts, known, strict=True):
            if part.text is not None:
                confidences.append(part.confidence)
                right.append(part.text == text)
    assert abs(np.mean(confidences) - np.mean(right)) < 0.15
    sure = np.array(confidences) > 0.99
    assert np.mean(np.array(right)[sure]) > 0.98
    assert not sure.all()
    assert max(confidences) < 1
