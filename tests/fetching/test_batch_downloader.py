"""New objects are locked ahead and published many at a time, or alone where that fails."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from support.content import assert_accounts_balance, content
from support.disk import allocated
from support.shelf import Shelf

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.common.deadline import FOREVER, Deadline
from tmpcache.common.objects import ObjectName
from tmpcache.errors import FetchManyError, QuotaExceededError, TmpCacheError
from tmpcache.fetching.fetcher import Fetcher
from tmpcache.fetching.many.batch_downloader import BatchDownloader
from tmpcache.fetching.many.job import Job
from tmpcache.store.index import Index

KIB = 1024


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({f"{number:02}.bin": b"%d" % number * KIB for number in range(40)})


@pytest.fixture
def cache(root: Path, shelf: Shelf) -> Iterator[Cache]:
    with Cache(root, quota="64 MiB", origin=shelf) as cache:
        yield cache


def jobs_for(cache: Cache, keys: list[str]) -> tuple[BatchDownloader, list[Job]]:
    """Jobs that have arrived, all but published."""
    fetcher = cache._fetcher
    batched = BatchDownloader(fetcher, "models")
    jobs = [Job(ObjectName(fetcher.origin.name, "models", key), None) for key in keys]
    assert batched.lock(jobs) == []
    for job in jobs:
        batched.receive(job, Deadline(FOREVER))
    return batched, jobs


def transactions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each transaction from now on."""
    seen, transaction = [], Index.transaction

    def counted(index: Index) -> AbstractContextManager[None]:
        seen.append(1)
        return transaction(index)

    monkeypatch.setattr(Index, "transaction", counted)
    return seen


def test_all_that_has_arrived_is_published_in_one_transaction(
    cache: Cache, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.fetch("models", "00.bin").release()
    batched, jobs = jobs_for(cache, [*shelf.objects][1:])
    assert list(cache.root.glob("blobs/*")) == [cache.fetch("models", "00.bin", max_age=9)]
    assert len([*cache.entries()]) == 1  # nothing is staged any more
    seen = transactions(monkeypatch)
    batched.publish(jobs)
    assert len(seen) == 1
    for job in jobs:
        assert job.file is not None
        assert job.file.read_bytes() == shelf.objects[job.name.key]
        assert job.file.outcome is Outcome.FETCHED
        assert job.file.stat().st_mode & 0o777 == 0o444
    assert_accounts_balance(cache)
    assert list(cache.root.glob("partial/*")) == []
    again = Cache(cache.root, origin=shelf).fetch_many("models", shelf.objects, max_age=60)
    assert {file.outcome for file in again} == {Outcome.HIT}


def test_equal_bytes_that_arrive_together_share_one_file(cache: Cache, shelf: Shelf) -> None:
    shelf.objects |= {f"same-{number}.bin": b"same" for number in range(9)}
    files = cache.fetch_many("models", shelf.objects)
    assert len({str(file) for file in files}) == 41
    assert [file.read_bytes() for file in files] == [*shelf.objects.values()]
    assert_accounts_balance(cache)
    del files[-5:]
    assert cache.usage().leased > 0
    del files
    assert cache.usage().leased == 0


def test_a_damaged_blob_in_the_way_is_replaced(cache: Cache, shelf: Shelf) -> None:
    shelf.objects["other.bin"] = shelf.objects["07.bin"]
    os.unlink(cache.fetch("models", "07.bin"))  # its row is still there
    batched, jobs = jobs_for(cache, ["06.bin", "other.bin", "08.bin"])
    batched.publish(jobs)
    for job in jobs:
        assert job.file is not None
        assert job.file.read_bytes() == shelf.objects[job.name.key]
    assert_accounts_balance(cache)


def test_what_is_under_way_elsewhere_is_left_to_whoever_brings_it(
    cache: Cache, root: Path, shelf: Shelf
) -> None:
    elsewhere = Cache(root, quota="64 MiB", origin=shelf)
    theirs, arrived = jobs_for(elsewhere, ["00.bin", "01.bin"])
    fetcher = cache._fetcher
    jobs = [Job(ObjectName(fetcher.origin.name, "models", key), None) for key in shelf.objects]
    batched = BatchDownloader(fetcher, "models")
    assert [job.name.key for job in batched.lock(jobs)] == ["00.bin", "01.bin"]
    for job in jobs:
        batched.drop(job)
    theirs.publish(arrived)
    assert {job.name.key for job in batched.lock(jobs)} == {"00.bin", "01.bin"}  # they are here now
    for job in jobs:
        batched.drop(job)
    assert list(root.glob("partial/*")) == []


def test_nothing_is_locked_long_before_it_is_brought(cache: Cache, shelf: Shelf) -> None:
    """Others wait for what is locked: a process that brings large objects locks few of them."""
    most = 0

    def gate(key: str, deadline: object) -> None:
        nonlocal most
        time.sleep(0.2)
        most = max(most, len(list(cache.root.glob("partial/*"))))

    shelf.gate = gate
    cache.fetch_many("models", [*shelf.objects][:8], threads=1)
    assert most <= 3  # brought now, next, and perhaps one not published yet; with all of them 8


def test_an_index_that_cannot_be_used_is_told_for_each_object(
    cache: Cache, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.fetch("models", "00.bin").release()
    fetcher = cache._fetcher
    jobs = [Job(ObjectName(fetcher.origin.name, "models", key), None) for key in shelf.objects]

    def fail(*values: object) -> None:
        raise TmpCacheError("locked for 30 s")

    with monkeypatch.context() as broken:
        broken.setattr(fetcher.store.database, "read_after_writers", fail)
        assert BatchDownloader(fetcher, "models").lock(jobs) == jobs
    assert list(cache.root.glob("partial/*")) == []


def test_files_that_vanish_before_they_are_published_are_brought_again(
    cache: Cache, root: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    publish = BatchDownloader.publish

    def clean_before(batched: BatchDownloader, jobs: list[Job]) -> None:
        if not seen:
            shutil.rmtree(root / "partial")
        seen.append(len(jobs))
        publish(batched, jobs)

    monkeypatch.setattr(BatchDownloader, "publish", clean_before)
    files = cache.fetch_many("models", shelf.objects)
    assert [file.read_bytes() for file in files] == [*shelf.objects.values()]
    assert seen
    assert_accounts_balance(cache)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_paths_are_handed_out_leaves_no_lease(
    cache: Cache, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond, count = Fetcher.respond, 0

    def strike(*values: Any, **options: Any) -> tmpcache.CachedFile:
        nonlocal count
        count += 1
        file = respond(*values, **options)
        if count == 3:
            del file
            raise KeyboardInterrupt
        return file

    monkeypatch.setattr(Fetcher, "respond", strike)
    batched, jobs = jobs_for(cache, [*shelf.objects])
    with pytest.raises(KeyboardInterrupt):
        batched.publish(jobs)
    assert [job.partial for job in jobs] == [None] * 40
    assert sum(job.file is not None for job in jobs) == 2
    del jobs
    assert cache.usage().leased == 0
    assert_accounts_balance(cache)


def test_of_a_batch_that_does_not_fit_each_is_tried_alone(root: Path) -> None:
    shelf = Shelf({f"{number}.bin": content(str(number), 200 * KIB) for number in range(8)})
    with Cache(root, quota="1 MiB", origin=shelf) as cache:
        with pytest.raises(FetchManyError) as caught:
            cache.fetch_many("models", shelf.objects, threads=8)
        assert {type(error) for error in caught.value.exceptions} == {QuotaExceededError}
        here = [file for file in caught.value.results if file is not None]
        assert len(here) == 4
        assert allocated(root) <= 1024 * KIB
        assert_accounts_balance(cache)
