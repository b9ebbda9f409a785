"""Timing things side by side, and what the numbers say together."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

Call = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of some numbers, at least one."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


def interleave(*calls: Call, rounds: int, times: int = 1, warm_up: int = 1) -> list[list[float]]:
    """Return the seconds that each call took in each round, averaged over `times` calls in a row.

    The order is turned around in every other round, so that nobody always comes after the same
    neighbour. The `warm_up` rounds before the first are not reported.
    """
    taken: list[list[float]] = [[] for _ in calls]
    order = list(zip(calls, taken, strict=True))
    for number in range(-warm_up, rounds):
        for call, seconds in order if number % 2 else reversed(order):
            elapsed = _timed(call, times)
            if number >= 0:
                seconds.append(elapsed)
    return taken


def _timed(call: Call, times: int) -> float:
    start = perf_counter()
    for _ in range(times):
        call()
    return (perf_counter() - start) / times


def progress(text: str) -> None:
    """Say what is going on, where it does not get into the results."""
    print(text, file=sys.stderr, flush=True)
