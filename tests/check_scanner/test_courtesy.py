"""The amount in figures: read where it is printed, and never guessed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from examples.check_demo import specimen
from examples.check_demo.specimen.form import Form
from examples.check_scanner.recogniser import courtesy

needs_tesseract = pytest.mark.skipif(bool(courtesy.missing()), reason=courtesy.missing())


def boxed(text: str, turn: float = 0.0) -> Image.Image:
    """A check with nothing but a box on the right, and a text in it."""
    image = Image.new("RGB", (1200, 550), (236, 240, 232))
    pen = ImageDraw.Draw(image)
    pen.rectangle((924, 168, 1144, 212), outline=(40, 40, 50), width=2)
    pen.text((944, 203), text, (30, 30, 40), ImageFont.load_default(27), anchor="ls")
    return image.rotate(turn, Image.Resampling.BICUBIC, fillcolor=(236, 240, 232))


def cents(check: specimen.Check) -> str:
    return str(int(check.amount * 100))


# ---- when something is not installed ---------------------------------------------------------


def test_without_the_library_nothing_is_read_and_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tesserocr", None)
    assert not courtesy.available()
    assert "pip install tesserocr" in courtesy.missing()
    assert courtesy.read_amount(boxed("1,953.17")).text is None


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The library is there, its data is not."""
    monkeypatch.setitem(sys.modules, "tesserocr", sys)
    monkeypatch.setattr(sys, "__spec__", sys.__spec__ or object(), raising=False)
    monkeypatch.setattr(courtesy, "_TESSDATA", (str(tmp_path / "usual"),))
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path / "told"))
    return tmp_path


def test_without_its_data_the_message_says_where_it_was_looked_for(no_data: Path) -> None:
    assert not courtesy.available()
    assert f"{no_data}/told, {no_data}/usual" in courtesy.missing()
    assert "tesseract-ocr-eng" in courtesy.missing()
    assert courtesy.read_amount(boxed("1,953.17")).text is None


@pytest.mark.parametrize("place", ["told", "usual"])
def test_data_is_found_where_it_is(no_data: Path, place: str) -> None:
    (no_data / place).mkdir()
    (no_data / place / "eng.traineddata").write_bytes(b"")
    assert courtesy.missing() == ""


def test_who_requires_the_amount_hears_at_once_that_it_cannot_be_read(
    no_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURTESY_AMOUNT", "required")
    for ask in (courtesy.available, lambda: courtesy.read_amount(boxed("1,953.17"))):
        with pytest.raises(courtesy.CourtesyUnavailableError, match="tesseract-ocr-eng"):
            ask()


# ---- the box ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_the_box_is_found_by_its_frame(seed: int) -> None:
    sample = specimen.sample(seed, "clean")
    left, top, right, bottom = Form(sample.check, sample.dpi).amount_box
    corners = courtesy.find_box(np.asarray(sample.image.convert("L")))
    assert corners is not None
    frame = [(left, top), (right, top), (right, bottom), (left, bottom)]
    # Inside or outside of the frame's line: 0.03 inch either way.
    assert np.abs(corners - frame).max() < 0.03 * sample.dpi


def test_a_box_that_is_turned_is_found_where_it_then_is() -> None:
    straight = courtesy.find_box(np.asarray(boxed("").convert("L")))
    turned = courtesy.find_box(np.asarray(boxed("", 4).convert("L")))
    assert straight is not None
    assert turned is not None
    angle = np.radians(4)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([600, 275])
    assert np.abs((straight - middle) @ rotation + middle - turned).max() < 4


def test_no_box_is_no_amount() -> None:
    field = courtesy.read_amount(Image.new("RGB", (1200, 550), "white"))
    assert (field.text, field.confidence, field.box) == (None, 0.0, None)


# ---- the amount ------------------------------------------------------------------------------


@needs_tesseract
@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1,953.17", "195317"),
        ("1953.17", "195317"),
        ("**24.00", "2400"),
        ("0.75", "75"),
        ("***4,899.55", "489955"),
        ("12,345.67", "1234567"),
    ],
)
def test_a_printed_amount_is_read_in_cents(text: str, amount: str) -> None:
    field = courtesy.read_amount(boxed(text))
    assert field.text == amount
    assert 0.6 <= field.confidence <= 1
    assert field.box is not None


@needs_tesseract
@pytest.mark.parametrize("text", ["", "void", "1,95.17", "1953", "19.5", "195.173", "5.1.00"])
def test_what_is_not_plainly_an_amount_is_none(text: str) -> None:
    assert courtesy.read_amount(boxed(text)).text is None


@needs_tesseract
@pytest.mark.parametrize("odd", [0, 1, 2])
def test_an_amount_that_one_view_reads_otherwise_is_none(
    odd: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = ["1,953.17"] * 3
    said[odd] = "1,953.11"
    monkeypatch.setattr(courtesy, "_recognise", lambda _: (said.pop(), 0.99))
    assert courtesy.read_amount(boxed("1,953.17")).text is None
    assert said == []


@needs_tesseract
def test_digits_of_unequal_heights_are_not_print() -> None:
    image = boxed("1,95")
    pen = ImageDraw.Draw(image)
    pen.text((1000, 203), "3.17", (30, 30, 40), ImageFont.load_default(31), anchor="ls")
    assert courtesy.read_amount(image).text is None


@needs_tesseract
@pytest.mark.parametrize(("tier", "least"), [("clean", 0.8), ("scan", 0.7), ("mobile", 0.6)])
def test_typeset_amounts_are_read_and_none_is_read_wrongly(tier: str, least: float) -> None:
    seeds = [seed for seed in range(50) if is_typeset(seed, tier)][:8]
    samples = [specimen.sample(seed, tier) for seed in seeds]
    read = [courtesy.read_amount(sample.image).text for sample in samples]
    right = [cents(sample.check) for sample in samples]
    assert [amount if text else None for text, amount in zip(read, right, strict=True)] == read
    assert sum(text is not None for text in read) >= least * len(read)


def is_typeset(seed: int, tier: str) -> bool:
    number = seed * len(specimen.TIERS) + specimen.TIERS.index(tier)
    return specimen.vary(number).layout.typeset


@needs_tesseract
def test_handwriting_is_left_to_people() -> None:
    for seed in range(8):
        check = specimen.invent(seed)
        text = courtesy.read_amount(specimen.draw(check)).text
        assert text in (None, cents(check))
