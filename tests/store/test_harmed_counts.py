"""A log, a ledger or a count of changes that does not fit the index is put right."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.disk import allocated
from support.shelf import Shelf

import tmpcache
from tmpcache import Outcome

KIB = 1024


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({key: key.encode() * 200 * KIB for key in "abcdefgh"})


@pytest.fixture
def cache(root: Path, shelf: Shelf) -> tmpcache.Cache:
    """Room for four of these objects."""
    return tmpcache.Cache(root, quota="1 MiB", max_age=3600, origin=shelf)


def test_a_log_that_was_deleted_alone_is_noticed(cache: tmpcache.Cache, root: Path) -> None:
    """Rows went into a file that nobody else could see: more on disk than the quota allows."""
    for key in "abc":
        cache.fetch("b", key).release()
    (root / "index.sqlite-wal").unlink()
    (root / "index.sqlite-shm").unlink()
    for key in "defgh":
        cache.fetch("b", key).release()
        assert allocated(root) <= 1024 * KIB
    assert cache.stats().damaged["index"] == 1
    with closing(sqlite3.connect(root / "index.sqlite")) as index:
        assert index.execute("SELECT count(*) FROM blobs").fetchone()[0] == len(
            [*(root / "blobs").iterdir()]
        )


@pytest.mark.parametrize("ends", [True, False])
def test_what_the_ledger_has_too_much_is_put_right(root: Path, shelf: Shelf, ends: bool) -> None:
    """A transaction that fails after files have gone leaves the index at odds with the disk.

    Whoever is next puts it right, also when the process `ends`, or another one lives on.
    """
    other = tmpcache.Cache(root, quota="1 MiB", origin=shelf)
    if not ends:
        other.fetch("b", "a").release()  # it has the index open
    with tmpcache.Cache(root, quota="1 MiB", origin=shelf) as cache:
        for key in "abcd":
            cache.fetch("b", key).release()
        database = cache._store.database

        def fails(index: object) -> None:
            database.quota.make_room(index, 700 * KIB, "a test")  # type: ignore[arg-type]
            raise RuntimeError

        with pytest.raises(RuntimeError):
            database.write(fails)
        assert cache.stats().evicted > 0
    with other:
        assert other.fetch("b", "e").outcome is Outcome.FETCHED
        usage = other.usage()
    assert usage.blob_bytes == sum(
        file.stat().st_blocks * 512 for file in (root / "blobs").iterdir()
    )


@pytest.mark.parametrize("harm", ["empty", "long", "garbage"])
def test_a_harmed_count_of_changes_kills_nobody(
    cache: tmpcache.Cache, root: Path, harm: str
) -> None:
    """It was mapped: a process that looked at it after somebody had cut it died of SIGBUS."""
    cache.fetch("b", "a").release()
    text = {"empty": b"", "long": b"x" * 5000, "garbage": b"\xff" * 16}[harm]
    (root / "changes").write_bytes(text)
    for key in "abcdefgh":
        cache.fetch("b", key).release()
        assert allocated(root) <= 1024 * KIB
    assert cache.stats().damaged == {}


@pytest.mark.parametrize("size", ["x", -1, 2**62])
def test_a_size_that_somebody_writes_while_a_path_is_held_is_damage(
    cache: tmpcache.Cache, root: Path, size: object
) -> None:
    with cache.fetch("b", "a"):
        with closing(sqlite3.connect(root / "index.sqlite")) as index:
            for table in ("blobs", "staged"):
                index.execute(f"UPDATE {table} SET allocated = ?", (size,))
            index.commit()
        cache.usage()
        assert cache.stats().damaged["index"] == 1
