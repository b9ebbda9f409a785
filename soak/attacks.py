"""What happens to the workers of a round, and when: by one clock and one seed."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Callable

from . import disk
from .judge import Judge
from .worker import Place
from .workers import Workers

#: The first workers live through the whole round, so that what leaks adds up.
TENURED = 2
#: Cleanings and vandalisms in a second, in the rounds that have them.
_CLEANINGS, _VANDALISMS = 1.0, 2.0
#: The share of the cleanings during which no worker lives.
_DESERTED = 0.2
#: Seconds between two looks for workers that hang or have ended.
_WATCH = 0.1


class Attacks:
    """Kills, stops, interrupts, samples and cleanings at random moments of one round."""

    def __init__(self, place: Place, workers: Workers, judge: Judge, slots: int) -> None:
        self._place, self._workers, self._judge, self._slots = place, workers, judge, slots
        self._dice = random.Random(f"{place.seed} {place.round} attacks")
        #: What was done how often.
        self.counts: Counter[str] = Counter()
        #: The most that was seen on disk, in bytes.
        self.peak = 0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    def run(self, seconds: float, kills: int, mode: str) -> None:
        """Attack until the time is up and all kills and samples are done."""
        self._at(_WATCH, self._watch)
        rate = kills / seconds
        self._often(rate, self._kill)
        self._often(rate / 8, self._stop)
        self._often(rate / 2, self._interrupt)
        self._often(2.2 * rate, self._sample)
        if mode == "cleaned":
            self._often(_CLEANINGS, self._clean)
        if mode == "vandalized":
            self._often(_VANDALISMS, self._vandalize)
        end = time.monotonic() + seconds
        last = end + seconds  # a slow machine gets as much time again
        while (now := time.monotonic()) < end or (
            now < last and (self.counts["kills"] < kills or self.counts["samples"] < 2 * kills)
        ):
            when, _, attack = heapq.heappop(self._due)
            time.sleep(max(0.0, when - now))
            attack()

    def _at(self, delay: float, attack: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (time.monotonic() + delay, self._number, attack))

    def _often(self, rate: float, attack: Callable[[], str | None]) -> None:
        """Do it at random moments, `rate` times a second on average."""

        def again() -> None:
            name = attack()
            if name:
                self.counts[name] += 1
            self._at(self._dice.expovariate(rate), again)

        self._at(self._dice.expovariate(rate), again)

    def _watch(self) -> None:
        self._workers.watch()
        self._at(_WATCH, self._watch)

    def _kill(self) -> str:
        self._workers.kill(self._dice.randrange(TENURED, self._slots))
        return "kills"

    def _stop(self) -> str:
        slot = self._dice.randrange(self._slots)
        self._workers.stop(slot)
        self._at(self._dice.choice([0.01, 0.1, 0.5, 2.0]), lambda: self._workers.resume(slot))
        return "stops"

    def _interrupt(self) -> str:
        self._workers.interrupt(self._dice.randrange(self._slots))
        return "interrupts"

    def _sample(self) -> str:
        self._workers.freeze()
        try:
            found = disk.allocated(self._place.root)
        finally:
            self._workers.thaw()
        total = sum(found.values())
        self.peak = max(self.peak, total)
        if total > self._place.quota:
            largest = sorted(found.items(), key=lambda one: -one[1])[:12]
            self._judge.report("P3", f"{total} of {self._place.quota} bytes: {largest}")
        return "samples"

    def _clean(self) -> str:
        """Clean, in one of five cases while no worker lives, so that nothing is locked."""
        age = self._dice.choice([0.3, 1, 3])
        if self._dice.random() < _DESERTED:
            self._workers.replace_all(lambda: disk.clean(self._place.root, age))
            self.counts["kills"] += self._slots
        else:
            disk.clean(self._place.root, age)
        return "cleanings"

    def _vandalize(self) -> str | None:
        return "vandalisms" if disk.vandalize(self._place.root, self._dice) else None
