"""A disk that others fill: evict and go on, or say clearly what is missing."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from support.disk import occupied
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


def test_min_free_evicts_when_others_fill_the_disk(
    small_disk: Callable[[str], Path], bucket: Bucket
) -> None:
    disk = small_disk("size=4m")
    cache = tmpcache.Cache(disk / "cache", quota="3 MiB", min_free="1 MiB")
    fill(bucket, cache, "abcd")
    (disk / "others").write_bytes(bytes(4 * MIB - MIB - occupied(disk) - 100 * KIB))
    fill(bucket, cache, "e")
    assert keys(cache) == {"c", "d", "e"} or keys(cache) == {"b", "c", "d", "e"}
    assert 4 * MIB - occupied(disk) >= MIB
    (disk / "more").write_bytes(bytes(MIB - 100 * KIB))
    bucket.put("f", bytes(800 * KIB))
    with pytest.raises(QuotaExceededError, match=r"1\.0 MiB are to stay free"):
        cache.fetch("models", "f")


def test_a_full_disk_evicts_and_goes_on(small_disk: Callable[[str], Path], bucket: Bucket) -> None:
    disk = small_disk("size=2m")
    cache = tmpcache.Cache(disk / "cache", quota="100 MiB")
    for number in range(12):  # far more than fits, and the quota does not say so
        key = str(number)
        bucket.put(key, os.urandom(300 * KIB))
        assert cache.fetch("models", key, max_age=60).size == 300 * KIB
    assert cache.stats().evicted > 0
    assert cache.verify().damaged == ()


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(
    small_disk: Callable[[str], Path], bucket: Bucket
) -> None:
    disk = small_disk("size=2m")
    cache = tmpcache.Cache(disk / "cache", quota="100 MiB")
    bucket.put("small", b"small")
    bucket.put("big", bytes(3 * MIB))
    cache.fetch("models", "small")
    with pytest.raises(QuotaExceededError, match=r"s3://models/big.*free space") as caught:
        cache.fetch("models", "big")
    assert caught.value.errno == errno.ENOSPC
    assert not any((disk / "cache" / "partial").iterdir())
    assert cache.usage().reserved == 0
    assert cache.fetch("models", "small").read_bytes() == b"small"


def test_a_disk_filled_to_the_last_byte_by_others_still_serves_hits_and_evicts(
    small_disk: Callable[[str], Path], bucket: Bucket
) -> None:
    disk = small_disk("size=3m")
    cache = tmpcache.Cache(disk / "cache", quota="100 MiB")
    fill(bucket, cache, "abcd")
    with (disk / "others").open("wb", buffering=0) as others, pytest.raises(OSError, match="space"):
        while True:
            others.write(bytes(4096))
    assert cache.fetch("models", "a", max_age=60).outcome is Outcome.HIT
    fill(bucket, cache, "e")
    assert "e" in keys(cache)
    fill(bucket, cache, "fg")  # the last copies that are known, and no more than that
    cache.close()  # the log of the index goes with the last connection, and needs room again
    with (disk / "others").open("ab", buffering=0) as others, pytest.raises(OSError, match="space"):
        while True:
            others.write(bytes(4096))
    late = tmpcache.Cache(disk / "cache", quota="100 MiB")
    bucket.put("tiny", b"tiny")
    assert late.fetch("models", "tiny").read_bytes() == b"tiny"
    assert late.stats().damaged == {}
    assert late.verify().damaged == ()


def test_a_disk_without_inodes_is_a_clear_error(
    small_disk: Callable[[str], Path], bucket: Bucket
) -> None:
    disk = small_disk("size=8m,nr_inodes=24")
    cache = tmpcache.Cache(disk / "cache", quota="6 MiB")
    held = []
    with pytest.raises(QuotaExceededError, match="space"):
        for number in range(30):
            bucket.put(str(number), str(number).encode())
            held.append(cache.fetch("models", str(number), max_age=60))
    assert all(path.read_text() == path.key for path in held)
    held.clear()
    assert cache.fetch("models", str(number)).outcome is Outcome.FETCHED


def test_a_limit_on_file_sizes_is_a_clear_error(root: Path, bucket: Bucket) -> None:
    bucket.put("big", bytes(MIB))
    with spawn(
        """
        import resource, tmpcache
        cache = tmpcache.Cache(root)
        cache.usage()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        try:
            cache.fetch("models", "big")
        except tmpcache.errors.QuotaExceededError as error:
            say(str(error))
        """,
        root=str(root),
        limit=512 * KIB,
    ) as child:
        assert "File too large" in child.hear()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert not any((root / "partial").iterdir())
