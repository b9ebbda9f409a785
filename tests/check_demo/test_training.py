"""What the network learns from, and that it does."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from examples.check_demo.training import practice as practising
from examples.check_demo.training.__main__ import main
from examples.check_demo.training.cover import covered
from examples.check_demo.training.lessons import FULL, PAPER, lessons
from examples.check_demo.training.practice import practice
from examples.check_scanner.recogniser import model
from examples.check_scanner.recogniser.e13b import CHARACTERS
from examples.check_scanner.recogniser.micr.network import logits, unpacked
from examples.check_scanner.recogniser.micr.verdict import NOTHING
from examples.check_scanner.recogniser.model import Model


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("model") / "e13b.npz"
    path.write_bytes(model.build("v1", 4))
    return model.load(path)


def test_the_same_number_is_the_same_check() -> None:
    assert doctest.testmod(practising).failed == 0


def test_lessons_are_what_is_printed(knowledge: Model) -> None:
    for seed in range(200, 206):
        image, line = practice(seed)
        for lesson in lessons(knowledge, image, line):
            text = "".join(" " if one == NOTHING else CHARACTERS[one] for one in lesson.printed)
            assert text.strip() in line
            assert len(text.strip()) >= 12
            assert lesson.seen.shape == (len(text), 39, 39, 2)


def test_a_picture_without_a_line_teaches_nothing(knowledge: Model) -> None:
    image, line = practice(3)
    nothing = image.crop((0, 0, image.width, image.height // 2))
    assert lessons(knowledge, nothing, line) == []


def test_light_leaves_blanks_alone_and_characters_legible() -> None:
    rng = np.random.default_rng(1)
    seen = np.full((4000, 39, 39, 2), 0.5, np.float32)
    characters = np.arange(4000) % 2 == 0
    after = covered(seen, characters, rng)
    darker, paler = ((after > 0.5).any(axis=(1, 2, 3)), (after < 0.5).any(axis=(1, 2, 3)))
    assert (seen == 0.5).all()
    assert not (paler & ~characters).any()
    assert 50 < (paler & characters).sum() < 250
    assert 100 < darker.sum() < 300
    assert after[paler, 6:-6, 6:-6, 0].mean(axis=(1, 2)).min() > 0.35 * 0.5


@pytest.mark.skipif(find_spec("jax") is None, reason="90 MB: installed for one Python only")
def test_a_little_practice_goes_a_long_way(knowledge: Model, tmp_path: Path) -> None:
    """In a process of its own: JAX has threads, and processes with threads should not fork."""
    output = tmp_path / "weights.npz"
    command = [sys.executable, "-m", "examples.check_demo.training", "--output", str(output)]
    done = subprocess.run(
        [*command, "--checks", "40", "--epochs", "12"],
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    losses = [float(line.split()[-1]) for line in done.stdout.splitlines() if "loss" in line]
    assert len(losses) == 12
    assert losses[-1] < losses[0] / 3
    with np.load(output) as arrays:
        network = unpacked(arrays)
    for lesson in lessons(knowledge, *practice(500)):
        ink = np.asarray((lesson.seen.astype(np.float32) - PAPER) / FULL, np.float32)
        said = logits(network, ink, lesson.level)
        assert (said.argmax(axis=1) == lesson.printed).mean() > 0.7


def test_who_has_no_jax_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.delitem(sys.modules, "examples.check_demo.training.learn", raising=False)
    result = CliRunner().invoke(main, ["--checks", "1"])
    assert result.exit_code == 1
    assert "pip install jax optax" in result.output
