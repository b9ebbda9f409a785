"""Practice checks as lessons, drawn and looked at on every core."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from examples.check_scanner.recogniser import model

from .lessons import Lesson, lessons
from .practice import practice


def drawn(checks: int) -> Iterator[list[Lesson]]:
    """Yield what can be learned from each of so many practice checks."""
    # Processes share the machine already: threads in each would be in each other's way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_practised, range(checks), chunksize=20)


def _practised(seed: int) -> list[Lesson]:
    return lessons(_model(), *practice(seed))


@cache
def _model() -> model.Model:
    """Return this process's model."""
    cv2.setNumThreads(1)
    with TemporaryDirectory() as directory:
        path = Path(directory, "model.npz")
        path.write_bytes(model.build("training", model.PIXELS_PER_MODULE))
        return model.load(path)
