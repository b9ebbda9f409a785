"""Timing things side by side, and what the numbers say together."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter

Call = Callable[[], object]
#: Does something and returns the seconds that count.
Watch = Callable[[], float]


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

    The rounds are those of :func:`alternate`.
    """
    timed = (partial(_timed, call, times) for call in calls)
    return alternate(*timed, rounds=rounds, warm_up=warm_up)


def alternate(*watches: Watch, rounds: int, warm_up: int = 1) -> list[list[float]]:
    """Return the seconds that each watch showed in each round.

    The order is turned around in every other round, so that nobody always comes after the same
    neighbour. The `warm_up` rounds before the first are not reported.
    """
    taken: list[list[float]] = [[] for _ in watches]
    order = list(zip(watches, taken, strict=True))
    for number in range(-warm_up, rounds):
        for watch, seconds in order if number % 2 else reversed(order):
            elapsed = watch()
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
