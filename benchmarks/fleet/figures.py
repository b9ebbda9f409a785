"""What a fleet costs, and how stale it serves: from what was counted in its bucket."""

from __future__ import annotations

import gc
from collections import Counter
from dataclasses import dataclass

from .bucket import Bucket, Verb, Who
from .cold_start import ColdStart, cold_start
from .fleet import play
from .machines import Simulated
from .prices import GETS_A_SECOND, MONTH, dollars
from .timeline import Phase, Scenario, timeline

#: Seconds from one pack to the next one: `examples/listing_writer` makes one every hour.
_PACK_EVERY = 3600.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted while a fleet was watched."""

    machines: int
    objects: int
    max_age: float
    #: A minute: GETs of all machines, those of them that brought something new, and requests of the
    #: writer.
    gets: float
    brought: float
    written: float
    #: Dollars a month for all of these, and a pack every hour.
    dollars: float
    #: The share of the GETs that were more than S3 answers in their second.
    above: float
    #: The share of what was served after it had been overwritten; how long after that, in seconds:
    #: on average, and at most.
    stale: float
    stale_mean: float
    stale_most: float

    @classmethod
    def of(cls, scenario: Scenario, bucket: Bucket) -> Figures:
        """Return the figures of a scenario that was played."""
        minutes = scenario.watched / 60
        gets = bucket.asked["machines", "watched", "GET"]
        above = sum(max(0, count - GETS_A_SECOND) for count in bucket.by_second.values())
        return cls(
            machines=scenario.machines,
            objects=scenario.objects,
            max_age=scenario.max_age,
            gets=gets / minutes,
            brought=bucket.brought / minutes,
            written=_asked(bucket, "writer", "watched").total() / minutes,
            dollars=_dollars(scenario, bucket),
            above=above / gets,
            stale=bucket.stale / bucket.served,
            stale_mean=bucket.stale_sum / max(1, bucket.stale),
            stale_most=bucket.stale_most,
        )


def simulated(scenario: Scenario, directory: str) -> Figures:
    """Return the figures of a scenario, played by machines without disks."""
    return Figures.of(scenario, simulated_bucket(scenario, directory))


def simulated_bucket(scenario: Scenario, directory: str) -> Bucket:
    """Return the bucket of a scenario, played by machines without disks.

    10,000 machines with 200 objects take 1.5 GB.
    """
    bucket = Bucket(scenario)
    gc.collect()
    gc.disable()  # millions of copies, and no circles: to look for some takes most of the time
    try:
        play(scenario, bucket, Simulated(scenario, bucket, directory))
    finally:
        gc.enable()
    return bucket


def simulated_cold_start(scenario: Scenario, directory: str) -> ColdStart:
    """Return how the machines get warm, if they start at once just after the writer has written."""
    bucket = _Noting(scenario)
    machine = Simulated(scenario, bucket, directory)
    for event in timeline(scenario):
        if event.kind == "write" and event.which == 0:
            bucket.begin(event)
            machine.write(0)
    bucket.sizes.clear()
    machine.start(0)
    if scenario.pack:
        return cold_start(scenario.machines, bucket.sizes, scenario.every, connections=1)
    return cold_start(scenario.machines, bucket.sizes, scenario.every)


class _Noting(Bucket):
    """A bucket that notes how long the bodies are that are asked for."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.sizes: list[int] = []

    def get(self, key: str, etag: str) -> str | None:
        self.sizes.append(len(self.bodies[key]))
        return super().get(key, etag)


def _dollars(scenario: Scenario, bucket: Bucket) -> float:
    """Return what all requests cost in a month that is like the time watched."""
    month = Counter[str]()
    for who in ("machines", "writer"):
        for verb, count in _asked(bucket, who, "watched").items():
            month[verb] += int(count * MONTH / scenario.watched)
    if scenario.pack:  # besides the pack, the writer has written one listing then
        pack = _asked(bucket, "writer", "start") - Counter({"LIST": 1, "PUT": 1})
        for verb, count in pack.items():
            month[verb] += int(count * MONTH / _PACK_EVERY)
    return dollars(month)


def _asked(bucket: Bucket, who: Who, phase: Phase) -> Counter[Verb]:
    """Return what was asked, by verb."""
    return Counter(
        {
            verb: count
            for (one, when, verb), count in bucket.asked.items()
            if (one, when) == (who, phase)
        }
    )
