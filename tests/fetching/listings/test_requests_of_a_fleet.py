"""Many machines and many objects: at most two requests each, while a listing is written."""

from __future__ import annotations

from pathlib import Path

from support.fleet import LISTING, NOW, PREFIX, listing
from support.shelf import Shelf, etag_of

from tmpcache import Cache, Outcome
from tmpcache.testing import Clock

MACHINES, OBJECTS, MAX_AGE, PERIODS = 5, 60, 30.0, 10


def test_each_machine_asks_at_most_twice_in_max_age(root: Path) -> None:
    clock = Clock(NOW)
    shelf = Shelf({f"micr/{number:03}": b"%d" % number for number in range(OBJECTS)})
    keys = sorted(shelf.objects)
    etags = {key.removeprefix("micr/"): etag_of(shelf.objects[key]) for key in keys}
    fleet = [
        Cache(root / str(number), origin=shelf, max_age=MAX_AGE, listings=[PREFIX], clock=clock)
        for number in range(MACHINES)
    ]
    for cache in fleet:
        cache.fetch_many("models", keys)
    shelf.asked.clear()
    for second in range(1, int(PERIODS * MAX_AGE) + 1):
        clock.advance(1)
        if second % 10 == 0:  # the writer
            shelf.objects[LISTING] = listing(clock.now, etags)
        for cache in fleet:
            for key in keys[second % 7 :: 7]:
                assert cache.fetch("models", key).outcome is Outcome.HIT
    assert shelf.asked.keys() == {LISTING}
    assert MACHINES * PERIODS <= shelf.asked[LISTING] <= 2 * MACHINES * PERIODS
    for cache in fleet:
        cache.close()
