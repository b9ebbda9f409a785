"""The pictures on the demo's page: outlines lie where fields were read, and files are small."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support.cases import check

from examples.check_demo import specimen
from examples.check_demo.page import picture
from examples.check_scanner.result import State


@pytest.mark.parametrize("tier", ["clean", "mobile"])
def test_outlines_hold_the_characters_of_their_field(tier: str) -> None:
    """Within the outline is ink, and in the narrow band around it is next to none."""
    one = check(7, State.PROCESSED, tier)
    shot = picture.shot(one)
    assert shot
    with Image.open(io.BytesIO(one.original)) as image:
        gray = np.asarray(image.convert("L"), np.float64)
    assert shot.size == gray.shape[::-1]
    names = [box.name for box in shot.boxes]
    assert names == [name for name, field, _ in one.compared() if field.text]
    for box in shot.boxes:
        corners = np.array([point.split(",") for point in box.points.split()], np.float64)
        left, top = corners.min(axis=0).astype(int)
        right, bottom = corners.max(axis=0).astype(int)
        inside = gray[top:bottom, left:right]
        ink = inside < (np.percentile(inside, 1) + np.percentile(inside, 95)) / 2
        assert 0.08 < ink.mean() < 0.5
        height = np.linalg.norm(corners[3] - corners[0])
        assert 1.2 < (bottom - top) / (height / (1 + 2 * 0.22)) < 3


def test_a_large_photograph_is_outlined_where_it_was_read() -> None:
    """The pipeline reads large pictures at a half; outlines refer to that."""
    one = check(7, State.PROCESSED, "clean")
    with Image.open(io.BytesIO(one.original)) as image:
        larger = image.convert("RGB").resize((2 * image.width, 2 * image.height))
        larger = larger.resize((3600, round(3600 * larger.height / larger.width)))
    packed = io.BytesIO()
    larger.save(packed, "JPEG", quality=90)
    shot = picture.shot(replace(one, original=packed.getvalue()))
    assert shot
    assert shot.size[0] == 1800


def test_pictures_are_small_enough_for_a_page_of_all() -> None:
    for tier in specimen.TIERS:
        shot = picture.shot(check(4, State.PROCESSED, tier))
        assert shot
        assert len(shot.uri) + len(shot.line or "") < 8_000_000 / 67
