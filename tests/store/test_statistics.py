"""The statistics of a root are those of all processes, and cost a hit no write."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from support.processes import crowd, release, spawn
from support.shelf import Shelf

import tmpcache
from tmpcache.reports import RootStats

FETCH = """
    from support.shelf import Shelf
    import tmpcache
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=3600, origin=Shelf({"k": b"12345"}))
    say(os.getpid()); hear()
    for _ in range(10):
        cache.fetch("b", "k")
"""


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({"k": b"12345", "big": bytes(700_000), "large": bytes(700_000)})


@pytest.fixture
def cache(root: Path, shelf: Shelf) -> tmpcache.Cache:
    return tmpcache.Cache(root, quota="1 MiB", max_age=3600, origin=shelf)


def stats_of(root: Path) -> RootStats:
    with tmpcache.Cache(root) as cache:
        return cache.root_stats()


def test_what_all_processes_counted_is_there_after_they_ended(root: Path) -> None:
    with crowd(3, FETCH, root=str(root)) as children:
        release(children)
        assert [child.wait() for child in children] == [0, 0, 0]
    stats = stats_of(root)
    assert stats.fetched >= 1
    assert stats.hits + stats.fetched == 30
    assert stats.asked >= stats.fetched
    assert (stats.bytes_fetched, stats.bytes_saved) == (5 * stats.fetched, 5 * stats.hits)


def test_a_forked_child_does_not_count_what_its_parent_counted(root: Path) -> None:
    code = """
    pid = os.fork()
    for _ in range(5):
        cache.fetch("b", "k")
    cache.close()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    """
    with spawn(FETCH + code, root=str(root)) as child:
        release([child])
        assert child.wait() == 0
    assert (stats_of(root).fetched, stats_of(root).hits) == (1, 9 + 2 * 5)


def test_evictions_and_damage_are_counted(root: Path, cache: tmpcache.Cache) -> None:
    cache.fetch("b", "big").release()
    cache.fetch("b", "large").release()
    path = cache.fetch("b", "k")
    os.chmod(path, 0o600)
    os.truncate(path, 0)
    cache.fetch("b", "k")
    cache.close()
    stats = stats_of(root)
    assert (stats.evicted, stats.damaged) == (1, 1)
    assert stats.evicted_bytes >= 700_000


def test_clear_keeps_the_statistics(root: Path, cache: tmpcache.Cache) -> None:
    cache.fetch("b", "k")
    cache.fetch("b", "k")
    since = cache.root_stats().since
    cache.clear()
    cache.fetch("b", "k")
    stats = cache.root_stats()
    assert (stats.fetched, stats.hits, stats.since) == (2, 1, since)
    assert stats_of(root) == stats


def test_a_hit_writes_no_statistics(root: Path, cache: tmpcache.Cache) -> None:
    path = cache.fetch("b", "k")
    with sqlite3.connect(root / "index.sqlite") as index:
        before = index.execute("PRAGMA data_version").fetchone()
        for _ in range(1000):
            cache.fetch("b", "k")
        assert index.execute("PRAGMA data_version").fetchone() == before
    index.close()
    assert cache.root_stats().hits == 1000
    assert path.exists()


def test_a_process_that_ends_makes_no_root_that_was_deleted(root: Path) -> None:
    with spawn(FETCH + "    say('done'); hear()", root=str(root)) as child:
        release([child])
        child.hear()
        shutil.rmtree(root)
        child.say()
        assert child.wait() == 0
    assert not root.exists()


def test_a_process_that_ends_does_not_wait_for_one_that_holds_the_index(root: Path) -> None:
    stats_of(root)
    with spawn(FETCH + "    say('done'); hear()", root=str(root)) as child:
        release([child])
        child.hear()
        index = sqlite3.connect(root / "index.sqlite", isolation_level=None)
        index.execute("BEGIN IMMEDIATE")
        child.say()
        assert child.wait(timeout=20) == 0  # it would wait 30 s
        index.close()


def test_statistics_that_nobody_wrote_are_damage(root: Path, cache: tmpcache.Cache) -> None:
    cache.fetch("b", "k")
    with sqlite3.connect(root / "index.sqlite") as index:
        index.execute("UPDATE ledger SET hits = -1")
    index.close()
    assert cache.root_stats().hits == 0
    assert cache.stats().damaged == {"index": 1}
