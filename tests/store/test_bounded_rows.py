"""The index counts: whatever keys, contents and credentials, it stays within the quota."""

from __future__ import annotations

import itertools
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.disk import allocated
from support.shelf import Shelf

import tmpcache
from tmpcache import Outcome

MIB = 1024 * 1024


def rows(root: Path, table: str) -> int:
    with closing(sqlite3.connect(root / "index.sqlite")) as index:
        count: int = index.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        return count


def long_keys(count: int, length: int) -> list[str]:
    return [f"m/{number:06d}/" + "k" * (length - 9) for number in range(count)]


@pytest.mark.parametrize("length", [40, 900])
def test_objects_of_the_same_content_are_evicted_for_their_rows(root: Path, length: int) -> None:
    """6,000 of them, and the index was 1.8 MB under a quota of 1 MiB, for ever."""
    keys = long_keys(1500, length)
    shelf = Shelf(dict.fromkeys(keys, b""))
    with tmpcache.Cache(root, quota=MIB, origin=shelf, max_age=1e9) as cache:
        for key in keys:
            assert cache.fetch("b", key).outcome is Outcome.FETCHED
            assert allocated(root) <= MIB
        assert cache.usage().objects < 1500
        shelf.objects["large"] = b"x" * (MIB // 2)
        assert cache.fetch("b", "large").read_bytes() == shelf.objects["large"]
        assert allocated(root) <= MIB


def test_of_objects_with_one_content_those_used_longest_ago_go(root: Path) -> None:
    seconds = itertools.count(1.7e9)
    keys = long_keys(700, 900)
    with tmpcache.Cache(
        root, quota=MIB, origin=Shelf(dict.fromkeys(keys, b"same")), clock=lambda: next(seconds)
    ) as cache:
        for key in keys:
            cache.fetch("b", key).release()
            cache.fetch("b", keys[0], max_age=1e9).release()  # used all the time
        here = {entry.key for entry in cache.entries()}
    assert keys[0] in here
    assert keys[1] not in here
    assert keys[-1] in here


def test_many_objects_at_once_have_room_for_their_rows(root: Path) -> None:
    keys = long_keys(2000, 500)
    shelf = Shelf(dict.fromkeys(keys, b""))
    with tmpcache.Cache(root, quota=MIB, origin=shelf) as cache:
        for start in range(0, 2000, 200):
            del_me = cache.fetch_many("b", keys[start : start + 200], threads=2)
            assert allocated(root) <= MIB
            del del_me


def test_a_cache_of_many_small_objects_is_opened_with_a_smaller_quota(root: Path) -> None:
    """Its pages of 4 KiB, and its length, did not fit into 1 MiB: it was dead for good."""
    shelf = Shelf({f"{number:04}": b"%d" % number for number in range(3000)})
    with tmpcache.Cache(root, quota="64 MiB", origin=shelf) as cache:
        cache.fetch_many("b", [*shelf.objects])
    for quota in (4 * MIB, MIB):
        with tmpcache.Cache(root, quota=quota, origin=shelf) as cache:
            assert cache.fetch("b", "0007").read_bytes() == b"7"
            assert allocated(root) <= quota
            cache.fetch_many("b", [*shelf.objects][:100])
            assert allocated(root) <= quota


def test_what_small_objects_took_is_given_back_to_a_large_one(root: Path) -> None:
    shelf = Shelf({"d" * 60 + f"{number:04}": b"%d" % number for number in range(900)})
    shelf.objects["large"] = b"x" * int(0.9 * 4 * MIB)
    with tmpcache.Cache(root, quota=4 * MIB, origin=shelf) as cache:
        for start in range(0, 900, 300):
            cache.fetch_many("b", [*shelf.objects][start : start + 300])
        before = (root / "index.sqlite").stat().st_size
        assert cache.fetch("b", "large").size == len(shelf.objects["large"])
        assert allocated(root) <= 4 * MIB
        cache.gc()
        assert (root / "index.sqlite").stat().st_size < before // 4


def test_clearing_gives_the_rows_back_and_keeps_what_is_held(root: Path) -> None:
    shelf = Shelf({f"{number:04}": b"%d" % number for number in range(1000)})
    with tmpcache.Cache(root, quota="16 MiB", origin=shelf) as cache:
        held = cache.fetch("b", "0000")
        cache.fetch_many("b", [*shelf.objects])
        before = allocated(root)
        freed = cache.clear()
        assert freed >= 900 * 4096
        assert allocated(root) < before // 10
        assert held.read_bytes() == b"0"
        assert cache.usage().objects == 0
        assert cache.usage().used >= allocated(root)
        assert cache.stats().damaged == {}
        assert cache.fetch("b", "0000").outcome is Outcome.FETCHED
        assert held.read_bytes() == b"0"


def test_credentials_that_rotate_leave_a_bounded_number_of_rows(root: Path) -> None:
    """Roles get new keys every few hours. 978 rotations were the end of a cache of 1 MiB."""
    shelf, hours = Shelf({f"{n}": b"%d" % n for n in range(10)}), itertools.count()
    now = [1.7e9]
    with tmpcache.Cache(root, quota=MIB, origin=shelf, clock=lambda: now[0]) as cache:
        for hour in itertools.islice(hours, 300):
            shelf.scope, now[0] = f"{hour:032x}", now[0] + 3600
            for key in shelf.objects:
                cache.fetch("b", key).release()
        assert allocated(root) <= MIB // 4
        assert cache.fetch("b", "3", max_age=60).outcome is Outcome.HIT
    assert rows(root, "validations") == 80


def test_the_newest_credentials_are_remembered_even_if_the_clock_was_set_back(root: Path) -> None:
    shelf, now = Shelf({"a": b"a"}), [1.7e9]
    with tmpcache.Cache(root, origin=shelf, clock=lambda: now[0]) as cache:
        for hour in range(20):
            shelf.scope, now[0] = f"{hour:032x}", now[0] - 3600
            cache.fetch("b", "a")
    with tmpcache.Cache(root, origin=shelf, clock=lambda: now[0]) as cache:
        assert cache.fetch("b", "a", max_age=60).outcome is Outcome.HIT


def test_an_object_that_never_fits_evicts_nothing(root: Path) -> None:
    shelf = Shelf({f"{n}": os.urandom(50_000) for n in range(10)})
    shelf.objects["huge"] = b"x" * MIB
    with tmpcache.Cache(root, quota=MIB, origin=shelf) as cache:
        for key in "0123456789":
            cache.fetch("b", key).release()
        before = cache.usage().objects
        with pytest.raises(tmpcache.errors.QuotaExceededError, match="larger than this quota"):
            cache.fetch("b", "huge")
        assert cache.usage().objects == before
