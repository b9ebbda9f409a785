"""Whether 100,000 objects in the index cost more than 1,000."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from tmpcache import Cache

from .measure import interleave, progress
from .origin import Instant, key
from .report import Mark, Result
from .server import BUCKET, Server

_FEW, _MANY = 1_000, 100_000
_MIB = 1024 * 1024
#: One block each, so that one makes room for the next.
_SIZE = 4096
#: The same for both, because page size and log of the index depend on it. Room for _MANY.
_QUOTA = 640 * _MIB
_FILLER = 128 * 1024
_MEMORY = "/dev/shm"
_ROUNDS, _WARM_UP = 400, 50
_MARK = Mark("ratio", 1.5)


class World:
    """A cache that knows a number of objects, and what is to be done with it once per call."""

    def __init__(self, root: str, entries: int) -> None:
        self._root = root
        with self._opened() as filled:
            for number in range(entries):
                filled.fetch(BUCKET, key(_SIZE, f"old/{number}"))
                if number % 20_000 == 19_999:
                    progress(f"  {number + 1:,} of {entries:,} objects")
        self.cache = self._opened()  # remembers none of them
        names = random.Random(entries).sample(range(entries), _ROUNDS + _WARM_UP)
        self._keys = [key(_SIZE, f"old/{number}") for number in names]
        self._next, self._new = 0, 0

    def _opened(self) -> Cache:
        return Cache(self._root, quota=_QUOTA, max_age=3600, origin=Instant())

    def hit(self) -> None:
        """Fetch one object after the other: the first time, each is looked up in the index."""
        self.cache.fetch(BUCKET, self._keys[self._next])
        self._next = (self._next + 1) % len(self._keys)

    def miss(self) -> None:
        """Fetch an object that was never seen."""
        self._new += 1
        self.cache.fetch(BUCKET, key(_SIZE, f"new/{self._new}"))

    def fill(self) -> None:
        """Leave no room: from now on, a miss evicts."""
        free = self.cache.usage().free
        self.cache.fetch(BUCKET, key(free - 10 * _MIB, "ballast"))
        number = 0
        while not self.cache.stats().evicted:
            self.cache.fetch(BUCKET, key(_FILLER, f"filler/{number}"))
            number += 1


def measure(directory: str, server: Server) -> Iterator[Result]:
    """Measure hits and misses with many entries against the same with few, without a request."""
    with _quick(directory) as place:
        few, many = (World(os.path.join(place, str(n)), n) for n in (_FEW, _MANY))
        yield _compared("hit from the index", many, few, World.hit)
        yield _compared("remembered hit", many, few, World.hit, times=50)
        yield _compared("miss", many, few, World.miss)
        many.fill()
        few.fill()
        before = [world.cache.stats().evicted for world in (many, few)]
        yield _compared("evicting miss", many, few, World.miss)
        for world, count in zip((many, few), before, strict=True):
            assert world.cache.stats().evicted - count >= _ROUNDS, "not every miss had to evict"
            world.cache.close()


@contextmanager
def _quick(directory: str) -> Iterator[str]:
    """Return a directory in memory if there is room for both caches, else the one given.

    On ext4, creating a file took 15 to 200 µs, as a run's luck had it, when many files had been
    made and deleted nearby: more than all that is to be found out here.
    """
    try:
        status = os.statvfs(_MEMORY)
        roomy = status.f_bavail * status.f_frsize > 3 * _QUOTA
    except OSError:
        roomy = False
    progress(f"  in {'memory' if roomy else 'the temporary directory'}")
    if not roomy:
        yield directory
        return
    with TemporaryDirectory(prefix="tmpcache-bench-", dir=_MEMORY) as place:
        yield place


def _compared(
    what: str, many: World, few: World, act: Callable[[World], None], times: int = 1
) -> Result:
    progress(f"  {what}")
    hits = [world.cache.stats().hits for world in (many, few)]
    taken, baseline = interleave(
        lambda: act(many), lambda: act(few), rounds=_ROUNDS, times=times, warm_up=_WARM_UP
    )
    expected = (_ROUNDS + _WARM_UP) * times * (act is World.hit)
    for world, before in zip((many, few), hits, strict=True):
        assert world.cache.stats().hits - before == expected, f"not each was a {what}"
    return Result("scale", f"{what}, {_MANY:,} against {_FEW:,} objects", _MARK, taken, baseline)
