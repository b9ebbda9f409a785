"""What hooks are told: every event, once, with its facts."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from support.content import content
from support.events import of
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.common.events import LEVELS
from tmpcache.events import (
    Damaged,
    Event,
    Evicted,
    Fetched,
    ListingRead,
    ListingUnusable,
    Retried,
    Revalidated,
    Stale,
    Waited,
)
from tmpcache.testing import Bucket
from tmpcache.testing.faults import INTERNAL_ERROR, SLOW_DOWN

MIB = 1 << 20


def test_a_fetch_and_a_revalidation_are_told_with_their_facts(
    cache: Cache, bucket: Bucket, told: list[Event]
) -> None:
    bucket.put("a", b"x" * 1000)
    cache.fetch("models", "a")
    cache.fetch("models", "a")
    fetched, revalidated = told
    assert isinstance(fetched, Fetched)
    assert (fetched.bucket, fetched.key, fetched.version_id) == ("models", "a", None)
    assert (fetched.bytes, fetched.seconds > 0, fetched.level) == (1000, True, logging.DEBUG)
    assert str(fetched).startswith("s3://models/a fetched: 1000 bytes in 0.")
    assert isinstance(revalidated, Revalidated)
    assert (revalidated.key, revalidated.bytes) == ("a", 1000)
    assert str(revalidated).startswith("s3://models/a revalidated in 0.")
    with pytest.raises(FrozenInstanceError):
        fetched.bytes = 3  # type: ignore[misc]


def test_a_version_is_told(cache: Cache, bucket: Bucket, told: list[Event]) -> None:
    bucket.client.put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Enabled"}
    )
    version = bucket.client.put_object(Bucket="models", Key="a", Body=b"x")["VersionId"]
    cache.fetch("models", "a")
    (fetched,) = of(Fetched, told)
    assert fetched.version_id == version
    assert f"s3://models/a?versionId={version} fetched" in str(fetched)


def test_many_objects_are_told_one_by_one(cache: Cache, bucket: Bucket, told: list[Event]) -> None:
    keys = [f"k{number}" for number in range(40)]
    for key in keys:
        bucket.put(key, key.encode())
    cache.fetch_many("models", keys)
    assert sorted(event.key for event in of(Fetched, told)) == sorted(keys)
    assert all(event.seconds > 0 for event in of(Fetched, told))
    told.clear()
    cache.fetch_many("models", keys)
    assert sorted(event.key for event in of(Revalidated, told)) == sorted(keys)
    told.clear()
    cache.fetch_prefix("models", "k")
    assert len(told) == len(of(Revalidated, told)) == 40
    assert {event.seconds for event in of(Revalidated, told)} == {None}
    assert "revalidated by a listing" in str(told[0])


def test_a_damaged_copy_is_told_with_what_is_wrong_and_fetched_anew(
    cache: Cache, bucket: Bucket, caplog: pytest.LogCaptureFixture, told: list[Event]
) -> None:
    bucket.put("a", b"x" * 1000)
    path = cache.fetch("models", "a")
    os.chmod(path, 0o600)
    os.truncate(path, 10)
    told.clear()
    assert cache.fetch("models", "a", max_age=60).outcome is Outcome.FETCHED
    damaged, fetched = told
    assert damaged == Damaged("truncated", "size 10 ≠ 1000", "models", "a", None)
    assert isinstance(fetched, Fetched)
    line = "s3://models/a damaged: size 10 ≠ 1000, fetched anew"
    assert ("tmpcache", logging.WARNING, line) in caplog.record_tuples
    assert dict(cache.stats().damaged) == {"truncated": 1}


@pytest.mark.parametrize(
    ("harm", "reason", "detail"),
    [
        (os.unlink, "missing", "no file"),
        (lambda path: os.utime(path, (1, 1)), "changed", "mtime 1000000000 ≠ "),
    ],
)
def test_other_damage_is_told(
    cache: Cache,
    bucket: Bucket,
    told: list[Event],
    harm: Callable[[Path], None],
    reason: str,
    detail: str,
) -> None:
    bucket.put("a", b"x" * 1000)
    path = cache.fetch("models", "a")
    if reason == "changed":
        os.chmod(path, 0o600)
        path_ = Path(str(path))
        path_.write_bytes(b"y" * 1000)
    harm(Path(str(path)))
    told.clear()
    cache.fetch("models", "a", max_age=60)
    (damaged,) = of(Damaged, told)
    assert (damaged.reason, damaged.key) == (reason, "a")
    assert damaged.detail.startswith(detail)


def test_what_verify_finds_and_a_damaged_index_are_told(
    cache: Cache, bucket: Bucket, root: Path, told: list[Event]
) -> None:
    bucket.put("a", b"x" * 1000)
    path = Path(str(cache.fetch("models", "a")))
    status = path.stat()
    os.chmod(path, 0o600)
    path.write_bytes(b"y" * 1000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    told.clear()
    cache.verify()
    assert told == [Damaged("corrupt", "other bytes")]
    assert str(told[0]) == "damaged: corrupt (other bytes)"
    told.clear()
    cache.close()
    (root / "index.sqlite").write_bytes(b"garbage" * 1000)
    cache.fetch("models", "a")
    (damaged,) = of(Damaged, told)
    assert (damaged.reason, damaged.detail) == ("index", "file is not a database")


def test_an_eviction_is_told_with_what_it_was_for(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
    with Cache(root, quota="4 MiB") as cache:
        for key in ("a", "b"):
            bucket.put(key, content(key, 2 * MIB))
        digest = cache.fetch("models", "a").digest
        told.clear()
        cache.fetch("models", "b")
        evicted, fetched = told
        assert isinstance(evicted, Evicted)
        assert (evicted.digests, evicted.bytes) == ((digest,), 2 * MIB)
        assert evicted.reason == "room for s3://models/b"
        assert str(evicted) == "evicted 1 file, 2097152 bytes: room for s3://models/b"
        assert isinstance(fetched, Fetched)
        told.clear()
        cache.evict("models", "b")
        assert [event.reason for event in of(Evicted, told)] == ["evict() was called"]
        assert cache.stats().evicted == 2


def test_a_stale_copy_is_told_with_its_age_and_the_error(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
    now = [1_800_000_000.0]
    cache = Cache(root, quota="4 MiB", clock=lambda: now[0], stale_if_error=3600)
    bucket.put("a", b"x")
    cache.fetch("models", "a")
    bucket.inject("a", INTERNAL_ERROR)
    now[0] += 100
    told.clear()
    assert cache.fetch("models", "a").outcome is Outcome.STALE
    (stale,) = told
    assert isinstance(stale, Stale)
    assert (stale.key, stale.age, stale.level) == ("a", 100, logging.WARNING)
    assert "InternalError" in stale.reason
    assert str(stale).startswith("s3://models/a served stale, 100 s old: ")


def test_offline_nothing_is_told_of_stale_copies(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
    bucket.put("a", b"x")
    Cache(root, quota="4 MiB").fetch("models", "a")
    told.clear()
    cache = Cache(root, quota="4 MiB", offline=True)
    assert cache.fetch("models", "a").outcome is Outcome.STALE
    assert told == []


@pytest.mark.parametrize("origin", ["direct", "obstore"], indirect=True)
def test_a_request_that_is_sent_again_is_told(
    origin: str,
    root: Path,
    bucket: Bucket,
    told: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    bucket.put("a", b"x")
    bucket.inject("a", SLOW_DOWN, times=2)
    cache = Cache(root, quota="4 MiB")
    assert cache.fetch("models", "a").outcome is Outcome.FETCHED
    first, second, fetched = told
    assert isinstance(first, Retried)
    assert isinstance(second, Retried)
    assert isinstance(fetched, Fetched)
    assert (first.bucket, first.key, first.attempt, second.attempt) == ("models", "a", 1, 2)
    assert "SlowDown" in first.reason
    assert f"s3://models/a: attempt 1 failed, the next one {first.seconds:.3f} s" in str(first)


def test_a_transfer_that_breaks_and_goes_on_is_told(
    root: Path, bucket: Bucket, proxy: FaultProxy, told: list[Event]
) -> None:
    bucket.put("a", content("a", 3 * MIB))
    proxy.set(Trouble(body="reset", after=MIB, times=1))
    cache = Cache(root, quota="16 MiB")
    cache.fetch("models", "a")
    retried = of(Retried, told)
    assert retried
    assert {event.key for event in retried} == {"a"}


def test_every_event_has_a_level_and_a_line_for_a_log() -> None:
    kinds = {kind.__name__: kind for kind in Event.__subclasses__()}
    assert set(kinds) == set(LEVELS) == {*tmpcache.events.__all__} - {"Event"}


def test_a_key_cannot_write_lines_of_its_own_into_a_log() -> None:
    key, reason = "a\nERROR forged\x1b[31m", "first\nsecond\x00"
    events = [
        Fetched("models", key, None, 3, 0.1),
        Revalidated("models", key, None, 3, 0.1),
        Stale("models", key, None, 3, reason),
        Waited("models", key, None, 3, "process"),
        Retried("models", key, None, 1, 0.1, reason),
        Damaged("changed", reason, "models", key),
        Damaged("index", reason),
        Evicted(("0" * 32,), 3, reason),
        ListingRead("models", key, 3.0, 1),
        ListingUnusable("models", key, "not received", reason),
    ]
    for event in events:
        assert str(event).isprintable()
