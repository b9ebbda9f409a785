"""How well and how fast the example's recogniser reads MICR lines, and what it takes for certain.

Four tiers of checks as they usually arrive, all that can happen to a check, the same check sent in
twice, and what confidences are worth.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import process_time

import cv2
from PIL import Image

from examples.check_demo import specimen
from examples.check_scanner.decide import identity
from examples.check_scanner.reading import Decision, Reading
from examples.check_scanner.recogniser import micr, model

from . import accidents
from .measure import progress
from .report import Mark, Result, print_table
from .server import Server
from .sheets import Fields

Read = Callable[[Image.Image], Reading]

#: Shares of checks whose fields may differ from the truth, and that may be left to people.
_MARKS = {
    "clean": (0.002, 0.02),
    "scan": (0.002, 0.02),
    "mobile": (0.002, 0.03),
    "hard": (0.02, 0.40),
}
#: Share of quarter turns that may be read otherwise than upright.
_TURNED = 0.02
#: Median seconds per check on one core.
_SECONDS = 0.04
_OUTCOMES = ("accepted", "wrong among accepted")
# What hides parts of a check, so that it may look like another one.
_HIDING = ("glare", "thumb", "note", "slip of the same paper", "edge", "fold")
_CURVE = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)


@dataclass
class _Tier:
    """What came out of one tier's checks; ``old`` are those without a check digit: for people."""

    inexact: int = 0
    accepted: int = 0
    wrong: int = 0
    old: int = 0
    seconds: list[float] = field(default_factory=list)

    @property
    def left(self) -> int:
        """How many were left to people that need not be."""
        return len(self.seconds) - self.old - self.accepted

    def add(self, reading: Reading, truth: Fields, seconds: float) -> None:
        """Count one check."""
        exact = _texts(reading) == truth
        accepted = reading.decision is Decision.ACCEPT
        self.inexact += not exact
        self.accepted += accepted
        self.wrong += accepted and not exact
        self.old += len(truth[0] or "") == 8
        self.seconds.append(seconds)

    def cells(self, tier: str) -> tuple[str, ...]:
        """Return the tier's row of the table."""
        checks = len(self.seconds)
        quantiles = statistics.quantiles(self.seconds, n=20, method="inclusive")
        return (
            tier,
            str(checks),
            f"{1 - self.inexact / checks:.2%}",
            f"{self.accepted / (checks - self.old):.2%}",
            str(self.wrong),
            *(f"{1e3 * quantiles[at]:.1f}" for at in (9, 18)),
        )


@dataclass
class _Curve:
    """Fields by their confidence: how many there were, and how many of them were right."""

    fields: list[tuple[float, bool]] = field(default_factory=list)

    def add(self, reading: Reading, truth: Fields) -> None:
        """Count the fields that were read."""
        read = (reading.routing, reading.account, reading.serial, reading.amount)
        for one, text in zip(read, truth, strict=True):
            if one.text is not None:
                self.fields.append((one.confidence, one.text == text))

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """Return the curve's rows: confidence, how many fields, and the share that is right."""
        for low, high in pairwise(_CURVE):
            right = [right for confidence, right in self.fields if low <= confidence < high]
            if right:
                yield f"{low:.3f}-{high:.3f}", str(len(right)), f"{sum(right) / len(right):.2%}"


def measure(directory: str, server: Server, checks: int = 100) -> Iterator[Result]:
    """Read ``checks`` drawn checks of each tier and each accident; the drawing is not timed."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    path = Path(os.path.join(directory, "model.npz"))
    path.write_bytes(model.build("benchmark", 4))
    read = partial(micr.read, model.load(path))
    curve = _Curve()
    yield from _tiers(read, checks, curve)
    yield from _accidents(read, checks)
    yield from _pairs(read, checks)
    print_table(("confidence", "fields", "right"), curve.rows())
    cv2.setNumThreads(threads)


def _tiers(read: Read, checks: int, curve: _Curve) -> Iterator[Result]:
    rows = []
    for name, (inexact, left) in _MARKS.items():
        tier = _Tier()
        for seed in range(checks):
            sample = specimen.sample(seed, name)
            image, truth = sample.image, sample.truth
            start = process_time()
            reading = read(image)
            seconds = process_time() - start
            known = truth.routing, truth.account, truth.serial, truth.amount
            tier.add(reading, known, seconds)
            curve.add(reading, known)
        rows.append(tier.cells(name))
        counted = f"of {checks} {name} checks"
        yield _count(f"{counted} not all exact", tier.inexact, inexact * checks)
        yield _count(f"{counted} left to people", tier.left, left * checks)
        yield _count(f"{counted} accepted though wrong", tier.wrong, 0)
        yield Result("micr", f"a {name} check", Mark("ours", _SECONDS), tier.seconds)
        progress(f"  {name} read")
    head = ("tier", "checks", "all fields exact", *_OUTCOMES, "ms p50", "ms p95")
    print_table(head, rows)


def _accidents(read: Read, checks: int) -> Iterator[Result]:
    """Count what is accepted though wrong; of two checks in one picture none may be accepted."""
    rows = []
    for kind, draw in accidents.KINDS.items():
        accepted = wrong = exact = 0
        for seed in range(checks):
            accident = draw(seed)
            reading = read(accident.image)
            right = _texts(reading) == accident.truth
            exact += right
            if reading.decision is Decision.ACCEPT:
                accepted += 1
                wrong += kind == "two checks" or not right
        rows.append((kind, f"{accepted / checks:.2%}", str(wrong)))
        # A strip of whole positions that is folded away out of sight leaves no trace.
        most = 0.04 * checks if kind == "fold" else 0
        yield _count(f"of {checks} with {kind}: accepted though wrong", wrong, most)
        if kind == "a quarter turn":
            yield _count(f"of {checks} quarter turns misread", checks - exact, _TURNED * checks)
        progress(f"  {kind} read")
    print_table(("accident", *_OUTCOMES), rows)


def _pairs(read: Read, checks: int) -> Iterator[Result]:
    """Count checks that are deposited twice, once with something hidden."""
    twice = 0
    for seed in range(checks):
        hidden = accidents.KINDS[_HIDING[seed % len(_HIDING)]](seed)
        first, second = read(accidents.untouched(seed).image), read(hidden.image)
        both = first.decision is second.decision is Decision.ACCEPT
        twice += both and identity(first) != identity(second)
    print(f"\nof {checks} checks sent in again with something hidden, deposited twice: {twice}")
    yield _count(f"of {checks} checks deposited twice", twice, 0)


def _texts(reading: Reading) -> Fields:
    return reading.routing.text, reading.account.text, reading.serial.text, reading.amount.text


def _count(what: str, count: int, at_most: float) -> Result:
    return Result("micr", what, Mark("ours", at_most), [float(count)], unit="modules")
