"""The specimens: what is drawn is what the truth says, and the recogniser had no hand in it."""

from __future__ import annotations

import doctest
import importlib
import io
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from examples.check_demo import specimen
from examples.check_demo.specimen import form, wear
from examples.check_demo.specimen.glyphs import FINE, MARGIN, Face, tile
from examples.check_demo.specimen.layout import Layout
from examples.check_scanner.recogniser import e13b
from examples.check_scanner.recogniser.e13b import AMOUNT, DASH, ON_US, TRANSIT

ROOT = Path(__file__).parents[2]
SEEDS = range(5)


@pytest.fixture(scope="module")
def samples() -> list[specimen.Sample]:
    """A few of each tier, drawn once."""
    return [specimen.sample(seed, tier) for tier in specimen.TIERS for seed in SEEDS]


@pytest.fixture(scope="module")
def checks() -> list[specimen.Check]:
    """Enough invented checks for what is rare to occur."""
    return [specimen.vary(seed) for seed in range(1000)]


# ---- the same, and not the same --------------------------------------------------------------


def test_another_process_draws_the_same_bytes(samples: list[specimen.Sample]) -> None:
    program = (
        "from hashlib import sha256\n"
        "from examples.check_demo import specimen\n"
        "for tier in specimen.TIERS:\n"
        "    print(sha256(specimen.sample(2, tier).upload).hexdigest())"
    )
    drawn = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=True,
    )
    ours = [sha256(sample.upload).hexdigest() for sample in samples[2 :: len(SEEDS)]]
    assert drawn.stdout.split() == ours


def test_no_two_samples_are_of_the_same_check(samples: list[specimen.Sample]) -> None:
    assert len({sample.upload for sample in samples}) == len(samples)
    assert len({sample.truth.line for sample in samples}) == len(samples)
    assert len({sample.file_name for sample in samples}) == len(samples)


@pytest.mark.parametrize("name", ["specimen", "specimen.invent", "specimen.samples"])
def test_the_examples_in_docstrings_run(name: str) -> None:
    module = importlib.import_module(f"examples.check_demo.{name}")
    assert doctest.testmod(module).failed == 0


def test_an_unknown_tier_is_an_error() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        specimen.sample(0, "easy")


# ---- the truth -------------------------------------------------------------------------------

LINE = re.compile(
    f"(?:{ON_US}([0-9]+){ON_US}  )?{TRANSIT}([0-9{DASH}]+){TRANSIT} "
    f"([0-9{DASH} ]+){ON_US}(?: ([0-9]+))?(?: +{AMOUNT}([0-9]{{10}}){AMOUNT})?"
)


def test_the_line_says_what_the_truth_says(checks: list[specimen.Check]) -> None:
    """Taken apart by rules of its own: 33 to 43 is transit, 14 to 31 on-us, 1 to 12 amount."""
    for check in checks:
        truth = specimen.Sample("clean", check, b"", ".jpg", 200).truth
        found = LINE.fullmatch(truth.line)
        assert found, truth.line
        auxiliary, routing, on_us, right, amount = found.groups()
        assert re.sub(DASH, "", routing) == truth.routing
        left = None
        if check.layout.serial_left:
            left, on_us = on_us.split(" ", 1)
        assert re.sub(f"[{DASH} ]", "", on_us) == truth.account
        assert [one for one in (auxiliary, left, right) if one] == [truth.serial]
        assert (amount and str(int(amount))) == truth.amount
        assert truth.amount in (None, str(check.amount).replace(".", "").lstrip("0"))


def test_each_field_keeps_to_its_positions(checks: list[specimen.Check]) -> None:
    for check in checks:
        line, first = check.micr_line, check.layout.first_position(check.serial)
        at = {first - index: character for index, character in enumerate(line)}
        assert (at[43], at[33], at[32]) == (TRANSIT, TRANSIT, " ")
        assert ON_US in [at.get(position) for position in range(31, 13, -1)]
        assert at.get(13, " ") == " "
        if check.layout.encoded:
            assert (at[12], at[1], min(at)) == (AMOUNT, AMOUNT, 1)
        else:
            assert min(at) >= 14
        width = check.layout.inches[0]
        assert e13b.right_edge(max(at)) + 7 * e13b.MODULE < width


def test_a_routing_number_has_its_check_digit_unless_it_is_of_the_old_form(
    checks: list[specimen.Check],
) -> None:
    for check in checks:
        truth = specimen.Sample("clean", check, b"", ".jpg", 200).truth
        if truth.dashed_transit:
            assert re.search(f"{TRANSIT}[0-9]{{4}}{DASH}[0-9]{{4}}{TRANSIT}", truth.line)
        else:
            assert specimen.check_digit(truth.routing[:8]) == truth.routing[8]


def test_all_layouts_occur_about_as_often_as_they_are_met(checks: list[specimen.Check]) -> None:
    met: Counter[str] = Counter()
    for check in checks:
        layout = check.layout
        met["business"] += layout.business
        met["serial left"] += layout.serial_left
        met["encoded"] += layout.encoded
        met["typeset"] += layout.typeset
        met["dash in the account"] += bool(layout.breaks) and layout.separator == DASH
        met["blank in the account"] += bool(layout.breaks) and layout.separator == " "
        met["old transit field"] += len(check.routing) == 8
    share = {name: count / len(checks) for name, count in met.items()}
    assert 0.2 < share["business"] < 0.4
    assert 0.15 < share["serial left"] < 0.3
    assert 0.2 < share["encoded"] < 0.3
    assert 0.3 < share["typeset"] < 0.55
    assert 0.1 < share["dash in the account"] < 0.3
    assert 0.05 < share["blank in the account"] < 0.2
    assert 0.01 < share["old transit field"] < 0.035


# ---- the pictures ----------------------------------------------------------------------------


def test_scans_tell_their_resolution_and_photos_do_not(samples: list[specimen.Sample]) -> None:
    for sample in samples:
        assert sample.image.mode == "RGB"
        told = sample.image.info.get("dpi")
        if sample.tier in ("clean", "scan"):
            assert told == pytest.approx((sample.dpi, sample.dpi), abs=0.1)
            assert 150 <= sample.dpi <= 300
        else:
            assert told is None
        width = sample.check.layout.inches[0] * sample.dpi
        assert 0.98 * width <= sample.image.width <= 1.4 * width


def test_some_scans_are_black_and_white_as_banks_exchange_them() -> None:
    made = [specimen.sample(seed, "scan") for seed in range(5, 14)]
    (tiff, *_) = [sample for sample in made if sample.suffix == ".tif"]
    with Image.open(io.BytesIO(tiff.upload)) as image:
        assert (image.format, image.mode, image.info["compression"]) == ("TIFF", "1", "group4")
        assert isinstance(image, TiffImageFile)
        assert image.tag_v2[262] == 0  # zero is white
        assert 0.01 < 1 - np.asarray(image).mean() < 0.25
    assert len(tiff.upload) < 60_000
    assert {sample.suffix for sample in made} == {".tif", ".jpg"}


def test_in_a_clean_scan_each_character_has_its_place_and_blanks_are_blank(
    samples: list[specimen.Sample],
) -> None:
    for sample in samples[: len(SEEDS)]:
        dpi, check = sample.dpi, sample.check
        gray = np.asarray(sample.image.convert("L"))
        rows = gray[-round(0.43 * dpi) : -round(0.19 * dpi)]
        line = check.micr_line
        inked = ""
        for index in range(len(line)):
            right = check.layout.inches[0] - e13b.right_edge(
                check.layout.first_position(check.serial) - index
            )
            cell = rows[:, round((right - 0.07) * dpi) : round((right - 0.02) * dpi)]
            inked += "x" if (cell < 110).mean() > 0.05 else " "
        assert inked == re.sub(r"\S", "x", line)


def test_each_tier_leaves_less_of_the_sharpest_edges(samples: list[specimen.Sample]) -> None:
    """What blur and lost contrast leave of them, noise smoothed away."""
    sharpness = []
    for start in range(0, len(samples), len(SEEDS)):
        edges = []
        for sample in samples[start : start + len(SEEDS)]:
            if sample.suffix != ".tif":
                gray = cv2.GaussianBlur(np.asarray(sample.image.convert("L")), (0, 0), 0.8)
                edges.append(np.percentile(np.abs(np.diff(gray.astype(int))), 99.8))
        sharpness.append(float(np.median(edges)))
    assert sharpness == sorted(sharpness, reverse=True)


def test_the_recogniser_s_templates_are_not_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    before = specimen.sample(3, "scan").upload
    monkeypatch.delattr(e13b, "render")
    for name in [name for name in vars(e13b) if name.startswith("_") and "GLYPH" in name]:
        monkeypatch.delattr(e13b, name)
    assert specimen.sample(3, "scan").upload == before


def test_every_paper_says_that_it_is_a_specimen() -> None:
    for layout in (Layout(), Layout(business=True)):
        place = form.Form(replace(specimen.invent(1), layout=layout), 150)
        assert (form.stamp(place) > 40).mean() > 0.05


# ---- glyphs and wear -------------------------------------------------------------------------

WIDTHS = dict(zip(e13b.CHARACTERS, (7, 4, 4, 5, 6, 5, 6, 5, 7, 6, 7, 7, 7, 7), strict=True))


def ink_box(character: str, face: Face) -> tuple[float, ...]:
    """Left, top, right, bottom of the ink in modules, from the cell's right and top."""
    rows, columns = (np.flatnonzero((tile(character, face) > 0).any(axis)) for axis in (1, 0))
    edge = 7 + 2 * MARGIN
    left, right = columns[0] / FINE - edge + MARGIN, (columns[-1] + 1) / FINE - edge + MARGIN
    return left, rows[0] / FINE - MARGIN, right, (rows[-1] + 1) / FINE - MARGIN


@pytest.mark.parametrize("character", e13b.CHARACTERS)
def test_glyphs_are_as_wide_as_the_standard_says_and_share_a_right_edge(character: str) -> None:
    left, top, right, bottom = ink_box(character, Face())
    assert (left, right) == pytest.approx((-WIDTHS[character], 0), abs=1.1 / FINE)
    assert 0 <= top < bottom <= 9


def test_ink_that_spreads_makes_all_strokes_bolder() -> None:
    areas = [
        (tile("5", Face(weight=weight)) > 0).sum() / FINE**2 for weight in (-0.115, 0.0, 0.115)
    ]
    # The outline of a five is about 46 modules long.
    assert areas[0] + 4 < areas[1] < areas[2] - 4


def test_the_thin_zero_is_narrower_with_thinner_sides() -> None:
    assert ink_box("0", Face(thin_zero=True))[0] == pytest.approx(-6.8, abs=1.1 / FINE)
    middle = tile("0", Face(thin_zero=True)).shape[0] // 2
    sides = [(tile("0", Face(thin_zero=thin))[middle] > 0).sum() for thin in (False, True)]
    assert sides[1] < sides[0] == 2 * FINE


def test_corners_go_from_square_to_round() -> None:
    inked = [(tile("1", Face(corner=corner)) > 0).sum() for corner in (0.0, 0.25, 0.375)]
    assert inked[0] > inked[1] > inked[2] > 0.95 * inked[0]


def test_pens_reach_into_the_band_of_the_line() -> None:
    for seed in range(40):
        band = wear.strokes((1200, 550), 200, Random(seed))[-80:-40]
        assert 50 < (band > 128).sum() < 0.12 * band.size
