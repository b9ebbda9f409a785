"""The check scanner's typeface and the artifact made from it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from examples.check_demo import specimen
from examples.check_scanner import receive
from examples.check_scanner.recogniser import e13b, model

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


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    array, other = io.BytesIO(), io.BytesIO()
    np.save(array, np.zeros(3))
    np.savez(other, version="1")
    for body in (b"", b"hello", b"PK\x03\x04", array.getvalue(), other.getvalue()):
        (tmp_path / "model.npz").write_bytes(body)
        with pytest.raises(ValueError, match=r"model\.npz is not a model"):
            model.load(tmp_path / "model.npz")


def test_every_invented_check_can_be_sent_in_under_its_name() -> None:
    names = set()
    for check in map(specimen.invent, range(300)):
        deposit = receive.parse_key(receive.PREFIX + check.file_name)
        assert deposit.amount_cents == check.amount * 100
        assert deposit.time == check.deposit_time
        names.add(check.file_name)
    assert len(names) == 300
