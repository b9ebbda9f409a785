"""The quota is strict: room is made before the first byte, and no file in use is evicted."""

from __future__ import annotations

import errno
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.anywhere import MemoryOrigin
from support.content import assert_accounts_balance
from support.disk import allocated
from support.processes import spawn

import tmpcache
from tmpcache import Outcome
from tmpcache.errors import QuotaExceededError
from tmpcache.testing import Bucket

KIB, MIB = 1024, 1024 * 1024


def keys(cache: tmpcache.Cache) -> set[str]:
    return {entry.key for entry in cache.entries()}


def fill(bucket: Bucket, cache: tmpcache.Cache, names: str, size: int = 200 * KIB) -> None:
    for name in names:
        bucket.put(name, name.encode() * size)
        cache.fetch("models", name, max_age=60)


def test_usage_is_what_du_counts(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="4 MiB")
    fill(bucket, cache, "abc", 300 * KIB + 1)
    usage = cache.usage()
    assert usage.used == allocated(root)
    assert usage.used == usage.blob_bytes + usage.reserved + usage.overhead
    assert (usage.objects, usage.blobs, usage.free) == (3, 3, 4 * MIB - usage.used)


def test_the_least_recently_used_goes_first(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="1 MiB")
    fill(bucket, cache, "abcd")
    cache.fetch("models", "a", max_age=60)
    fill(bucket, cache, "e")
    assert keys(cache) == {"a", "c", "d", "e"}
    assert cache.stats().evicted == 1
    assert allocated(root) <= MIB


def test_uses_by_another_process_count(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="1 MiB")
    fill(bucket, cache, "abcd")
    with spawn(
        """
        import tmpcache
        cache = tmpcache.Cache(root)
        say(cache.fetch("models", "a", max_age=60).outcome.value)
        cache.close()
        """,
        root=str(root),
    ) as child:
        assert child.hear() == "hit"
        child.wait()
    fill(bucket, cache, "e")
    assert "a" in keys(cache)


def test_superseded_copies_go_before_any_other(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="1 MiB")
    fill(bucket, cache, "abc")
    bucket.put("c", b"new" * 60 * KIB)  # the old copy of c is now the youngest of all, and useless
    assert cache.fetch("models", "c").outcome is Outcome.FETCHED
    fill(bucket, cache, "d")
    assert keys(cache) == {"a", "b", "c", "d"}


def test_an_object_larger_than_the_quota_is_refused_before_a_byte_is_written(
    root: Path, bucket: Bucket
) -> None:
    cache = tmpcache.Cache(root, quota="1 MiB")
    fill(bucket, cache, "ab")
    held = cache.fetch("models", "a", max_age=60)
    bucket.put("big", bytes(2 * MIB))
    before = allocated(root)
    with pytest.raises(QuotaExceededError) as caught:
        cache.fetch("models", "big")
    error = caught.value
    assert error.errno == errno.ENOSPC
    assert error.needed >= 2 * MIB
    assert error.quota == MIB
    assert error.used == before
    assert 200 * KIB <= error.leased < 208 * KIB
    for part in ("s3://models/big", "needed 2.0 MiB", "quota 1.0 MiB", "used ", "leased 200.0 KiB"):
        assert part in str(error)
    assert "raise quota=" in str(error)
    assert keys(cache) == {"a", "b"}, "what could not help was evicted"
    assert cache.stats().bytes_fetched == 400 * KIB
    assert not any((root / "partial").iterdir())
    assert held.read_bytes() == b"a" * 200 * KIB


def test_when_everything_is_leased_the_error_says_so(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="1 MiB")
    fill(bucket, cache, "abcd")
    held = [cache.fetch("models", key, max_age=60) for key in "abcd"]
    bucket.put("e", bytes(200 * KIB))
    with pytest.raises(QuotaExceededError, match="release paths") as caught:
        cache.fetch("models", "e")
    assert caught.value.leased >= 800 * KIB
    assert all(path.exists() for path in held)
    held.pop().release()
    assert cache.fetch("models", "e").outcome is Outcome.FETCHED
    assert keys(cache) == {"a", "b", "c", "e"}


def test_what_was_just_fetched_is_not_evicted_at_once(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="1 MiB")
    for key in "abcdef":
        bucket.put(key, os.urandom(600 * KIB))  # any two are too much
        path = cache.fetch("models", key, max_age=60)
        assert path.exists()
        assert keys(cache) == {key}
        del path


def test_many_small_objects_stay_under_the_quota(root: Path, bucket: Bucket) -> None:
    """Blocks count, not lengths; and so do the index and the directories that list them."""
    cache = tmpcache.Cache(root, quota="1 MiB")
    for number in range(300):
        bucket.put("key", number.to_bytes(2, "big"))
        cache.fetch("models", "key")
        cache.fetch("models", "key", max_age=60)
        assert allocated(root) <= MIB
    assert allocated(root) == cache.usage().used


def test_make_room(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="1 MiB")
    fill(bucket, cache, "abcd")
    freed = cache.make_room("300 KiB")
    assert freed >= 200 * KIB
    assert keys(cache) in ({"c", "d"}, {"b", "c", "d"})
    assert cache.usage().free >= 300 * KIB
    assert cache.make_room("300 KiB") == 0
    with pytest.raises(QuotaExceededError):
        cache.make_room("1 MiB")
    assert len(keys(cache)) >= 2, "nothing is evicted for what cannot be"


def test_evict_and_clear_free_what_nobody_holds(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="4 MiB")
    fill(bucket, cache, "abc")
    held = cache.fetch("models", "a", max_age=60)
    assert cache.evict("models", "b") >= 200 * KIB
    assert cache.evict("models", "a") == 0
    assert keys(cache) == {"c"}
    assert held.read_bytes() == b"a" * 200 * KIB
    assert cache.fetch("models", "a", max_age=60).outcome is Outcome.FETCHED
    assert cache.clear() >= 200 * KIB
    assert keys(cache) == set()
    assert held.exists()
    held.release()
    assert cache.gc() >= 200 * KIB
    assert cache.usage().blobs == 0
    assert cache.usage().used == allocated(root)


def test_a_bucket_can_be_evicted_as_a_whole(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="4 MiB")
    fill(bucket, cache, "abc")
    assert cache.evict("others") == 0
    assert cache.evict("models", whole_bucket=True) >= 600 * KIB
    assert keys(cache) == set()


def test_an_index_that_grows_by_itself_is_watched_however_much_room_there_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What writes but makes no room, such as confirmations, may not grow the index unseen."""
    from tmpcache.store.tables.size import IndexSize

    with tmpcache.Cache(root, quota="256 MiB", origin=MemoryOrigin()) as cache:
        cache.fetch("b", "100-a").release()  # there is ample room
        looks: list[bool] = []
        has_grown = IndexSize.has_grown

        def look(size: IndexSize) -> bool:
            looks.append(has_grown(size))
            return looks[-1]

        monkeypatch.setattr(IndexSize, "has_grown", look)
        for _ in range(200):
            cache._store.database.write(lambda index: None)
        assert len(looks) > 100


@pytest.mark.parametrize("directory", [None, "/dev/shm"])
def test_blocks_are_taken_ahead_where_that_is_not_writing_zeros(
    tmp_path: Path, directory: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    fallocate = os.posix_fallocate

    def note(fd: int, offset: int, length: int) -> None:
        taken.append(length)
        fallocate(fd, offset, length)

    monkeypatch.setattr(os, "posix_fallocate", note)
    with tempfile.TemporaryDirectory(dir=directory or tmp_path) as place:
        has_blocks = os.major(os.stat(place).st_dev) > 0
        with tmpcache.Cache(f"{place}/cache", quota="64 MiB", origin=MemoryOrigin()) as cache:
            cache.fetch("b", f"{300 * KIB}-large").release()
    assert taken == [300 * KIB] * has_blocks


def test_threads_that_publish_at_once_leave_a_whole_ledger(root: Path) -> None:
    with tmpcache.Cache(root, quota="64 MiB", origin=MemoryOrigin(), max_age=60) as cache:
        keys = [f"{5000 + number}-x" for number in range(200)]
        with ThreadPoolExecutor(16) as threads:
            paths = list(threads.map(lambda key: cache.fetch("b", key), keys))
        assert [path.stat().st_size for path in paths] == list(range(5000, 5200))
        assert cache.verify().damaged == ()
        assert cache.usage().blobs == 200
        assert_accounts_balance(cache)


def test_what_a_fragmented_file_system_takes_more_is_reserved(
    root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Extents have blocks of their own: here the file takes a quarter more than was asked."""
    from tmpcache.store.downloads.reservation import Reservation

    fallocate = os.posix_fallocate
    monkeypatch.setattr("os.major", lambda device: 8)  # not that of tmpfs, which allocates nothing
    monkeypatch.setattr(
        "os.posix_fallocate", lambda fd, at, size: fallocate(fd, at, size + size // 4)
    )
    bucket.put("a", bytes(1_000_000))
    with tmpcache.Cache(root, quota="2 MiB") as cache:
        seen: list[int] = []
        reserve_quota = Reservation.reserve_quota

        def note(reservation: Reservation, total: int) -> None:
            reserve_quota(reservation, total)
            seen.append(cache.usage().reserved)

        monkeypatch.setattr(Reservation, "reserve_quota", note)
        assert cache.fetch("models", "a").size == 1_000_000
        assert seen[0] < 1_250_000 <= seen[-1]
