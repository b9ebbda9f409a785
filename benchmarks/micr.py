"""How well and how fast the example's recogniser reads MICR lines, tier by tier."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import cv2

from examples.check_scanner import micr, model, specimen
from examples.check_scanner.reading import Decision, Reading
from examples.check_scanner.specimen import Sample

from .measure import progress
from .report import Mark, Result
from .server import Server

#: Shares of checks whose fields may differ from the truth, and that may be wrong though accepted.
_MARKS = {
    "clean": (0.002, 0.0),
    "scan": (0.002, 0.0),
    "mobile": (0.02, 0.001),
    "hard": (0.12, 0.001),
}
#: Median seconds per check on one core.
_SECONDS = 0.04
_HEAD = "tier    checks  all fields exact  accepted  wrong among accepted  ms p50  ms p95"


@dataclass
class _Tier:
    """What came out of one tier's checks."""

    inexact: int = 0
    accepted: int = 0
    wrong: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, reading: Reading, sample: Sample, seconds: float) -> None:
        """Count one check."""
        truth = sample.truth
        read = (reading.routing, reading.account, reading.serial, reading.amount)
        exact = [each.text for each in read] == [
            truth.routing,
            truth.account,
            truth.serial,
            truth.amount,
        ]
        accepted = reading.decision is Decision.ACCEPT
        self.inexact += not exact
        self.accepted += accepted
        self.wrong += accepted and not exact
        self.seconds.append(seconds)

    def row(self, tier: str) -> str:
        """Return the tier's line of the table."""
        checks = len(self.seconds)
        p50, p95 = (
            1e3 * statistics.quantiles(self.seconds, n=20, method="inclusive")[at] for at in (9, 18)
        )
        return (
            f"{tier:<7} {checks:>6}  {1 - self.inexact / checks:>16.2%}"
            f"  {self.accepted / checks:>8.2%}  {self.wrong:>20}  {p50:>6.1f}  {p95:>6.1f}"
        )


def measure(directory: str, server: Server, checks: int = 100) -> Iterator[Result]:
    """Read ``checks`` drawn checks of each tier; the drawing is not timed."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    path = Path(os.path.join(directory, "model.npz"))
    path.write_bytes(model.build("benchmark", 4))
    loaded = model.load(path)
    print(_HEAD)
    for name, (inexact, wrong) in _MARKS.items():
        tier = _Tier()
        for seed in range(checks):
            sample = specimen.sample(seed, name)
            image = sample.image
            start = perf_counter()
            reading = micr.read(loaded, image)
            tier.add(reading, sample, perf_counter() - start)
        print(tier.row(name), flush=True)
        counted = f"of {checks} {name} checks"
        yield _count(f"{counted} not all exact", tier.inexact, inexact * checks)
        yield _count(f"{counted} accepted though wrong", tier.wrong, wrong * checks)
        yield Result("micr", f"a {name} check", Mark("ours", _SECONDS), tier.seconds)
        progress(f"  {name} read")
    cv2.setNumThreads(threads)


def _count(what: str, count: int, at_most: float) -> Result:
    return Result("micr", what, Mark("ours", at_most), [float(count)], unit="modules")
