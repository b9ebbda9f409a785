"""What happens to a fleet, and when: the same events for every way to play them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

#: Seconds since the epoch at which all begins: before the real time, whatever that is.
BEGIN = 1_700_000_000.0
#: Times are multiples of this, so that sums and differences of them are exact.
_TICK = 1 / 64

#: What happens: an object is overwritten, the writer writes, a machine starts cold and does its
#: first job, a machine does another job. In this order, if at the same time.
Kind = Literal["overwrite", "write", "start", "use"]
_ORDER: dict[Kind, int] = {"overwrite": 0, "write": 1, "start": 2, "use": 3}
#: What it belongs to: a machine starts, or the writer writes for the first time; not all machines
#: have started; the fleet is watched.
Phase = Literal["start", "between", "watched"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fleet: every machine uses all objects in each of its jobs. Times are in seconds."""

    machines: int
    objects: int = 200
    max_age: float = 60.0
    #: Whether a listing is written, every half of `max_age`, and whether there is a pack.
    listing: bool = False
    pack: bool = False
    #: From one job of a machine to its next one.
    every: float = 10.0
    #: All machines start within this time; None: within `max_age`, as those of an old fleet did.
    spread: float | None = None
    #: How many times `max_age` the fleet is watched after that.
    periods: int = 3
    #: From one version of an object to the next one, on average.
    overwritten_every: float = 3600.0
    #: Bytes of an object.
    size: int = 20_000
    seed: int = 1

    @property
    def watched(self) -> float:
        """The seconds that the fleet is watched, after all machines have started."""
        return self.periods * self.max_age

    @property
    def end(self) -> float:
        """The seconds from the start of the first machine."""
        return self.watched_from + self.watched

    @property
    def watched_from(self) -> float:
        """The seconds within which all machines start."""
        return self.max_age if self.spread is None else self.spread


class Event(NamedTuple):
    """Something that happens at a time to the object or machine of this number."""

    at: float
    order: int
    kind: Kind
    which: int
    phase: Phase


def timeline(scenario: Scenario) -> list[Event]:
    """Return what happens, in order; the same for the same scenario, with and without a listing."""
    return sorted([*_overwrites(scenario), *_writes(scenario), *_jobs(scenario)])


def _overwrites(scenario: Scenario) -> Iterator[Event]:
    chance = Random(f"overwrites {scenario.seed}")
    at, pause = 0.0, scenario.overwritten_every / scenario.objects
    while (at := at + chance.expovariate(1 / pause)) < scenario.end:
        yield _event(scenario, at, "overwrite", chance.randrange(scenario.objects))


def _writes(scenario: Scenario) -> Iterator[Event]:
    """Yield when the writer writes; first before all else, and then the pack as well."""
    pause = scenario.max_age / 2
    count = math.ceil(scenario.end / pause) if scenario.listing else 0
    return (_event(scenario, number * pause, "write", number) for number in range(count))


def _jobs(scenario: Scenario) -> Iterator[Event]:
    chance = Random(f"jobs {scenario.seed}")
    for machine in range(scenario.machines):
        at = chance.uniform(_TICK, scenario.watched_from - _TICK)
        yield _event(scenario, at, "start", machine)
        while (at := at + scenario.every) < scenario.end:
            yield _event(scenario, at, "use", machine)


def _event(scenario: Scenario, seconds: float, kind: Kind, which: int) -> Event:
    phase: Phase = "between" if seconds < scenario.watched_from else "watched"
    if kind == "start" or (kind == "write" and which == 0):
        phase = "start"
    return Event(BEGIN + round(seconds / _TICK) * _TICK, _ORDER[kind], kind, which, phase)
