"""The network: it computes what its weights say, and is refused if they make no sense."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.micr import PERSONAL, drawn, left_of, printed, stroke, texts

from examples.check_scanner.recogniser import micr, model
from examples.check_scanner.recogniser.micr.network import PIXELS, logits, unpacked
from examples.check_scanner.recogniser.model import Model

Arrays = dict[str, NDArray[np.float16]]


@pytest.fixture(scope="module")
def weights() -> Arrays:
    with np.load(model.WEIGHTS) as arrays:
        return dict(arrays)


def convolved(seen: NDArray[Any], weights: NDArray[Any], bias: NDArray[Any], step: int) -> Any:
    """One picture, a pixel at a time."""
    side = len(weights)
    rows = range(0, len(seen) - side + 1, step)
    return np.array(
        [
            [
                np.maximum(
                    np.einsum("abc,abcd->d", seen[y : y + side, x : x + side], weights) + bias, 0
                )
                for x in rows
            ]
            for y in rows
        ]
    )


def test_what_it_computes_is_what_its_weights_say(weights: Arrays) -> None:
    rng = np.random.default_rng(5)
    seen = rng.uniform(-0.1, 0.9, (2, PIXELS, PIXELS, 2)).astype(np.float32)
    level = np.array([0.5, 0.8])
    said = logits(unpacked(weights), seen, level)
    for one, black, got in zip(seen, level, said, strict=True):
        made: Any = np.clip(one / black, -0.2, 1.2)
        for name, step in (("first", 2), ("second", 2), ("third", 1)):
            made = convolved(made, weights[name].astype(float), weights[f"{name}_bias"], step)
        expected = made.ravel() @ weights["last"].astype(float) + weights["last_bias"]
        assert got == pytest.approx(expected, abs=1e-3)


def spoilt(weights: Arrays, what: str) -> Arrays:
    arrays = dict(weights)
    if what == "missing":
        del arrays["third"]
    elif what == "of another width":
        arrays["second"] = arrays["second"][:, :, 1:]
    elif what == "flat":
        arrays["first"] = arrays["first"].ravel()
    elif what == "a number":
        arrays["first"] = np.array(1, np.float16)
    elif what == "no numbers":
        arrays["last"] = np.full_like(arrays["last"], np.nan)
    elif what == "of other characters":
        arrays["last"], arrays["last_bias"] = arrays["last"][:, 1:], arrays["last_bias"][1:]
    return arrays


@pytest.mark.parametrize(
    "what",
    ["missing", "of another width", "flat", "a number", "no numbers", "of other characters"],
)
def test_weights_that_make_no_sense_are_no_model(
    weights: Arrays, tmp_path: Path, what: str
) -> None:
    with np.load(io.BytesIO(model.build("v1", 4))) as arrays:
        whole = dict(arrays)
    path = tmp_path / "e13b.npz"
    np.savez(path, **(whole | weights))
    assert model.load(path).version == "v1"
    kept = {name: array for name, array in whole.items() if name not in weights}
    np.savez(path, **(kept | spoilt(weights, what)))
    with pytest.raises(ValueError, match=r"e13b\.npz is not a model of this scanner"):
        model.load(path)


def test_a_signature_over_the_account_is_read_through(knowledge: Model) -> None:
    x = left_of(PERSONAL, PERSONAL.micr_line.index(PERSONAL.account))
    loops = [
        (x + 0.9 * turn / 40 + 0.06 * np.sin(turn), 0.32 + 0.14 * np.cos(turn))
        for turn in np.linspace(0, 40, 400)
    ]
    marked = stroke(drawn(PERSONAL), *loops, width=0.008)
    assert texts(micr.read(knowledge, marked)) == printed(PERSONAL)
