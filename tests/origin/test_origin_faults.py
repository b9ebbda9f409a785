"""Whatever the origin and the network do: whole files, true answers, nothing left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.content import (
    assert_crosses_a_process_pool,
    content,
)
from support.origins import through_each_origin
from support.proxy import FaultProxy, Trouble

from tmpcache import Cache, Outcome
from tmpcache.errors import OriginUnavailableError, TmpCacheError
from tmpcache.testing import Bucket
from tmpcache.testing.faults import (
    ACCESS_DENIED,
    CHECKSUM_ON_304,
    IGNORE_IF_NONE_MATCH,
    IGNORE_RANGE,
    INTERNAL_ERROR,
    NO_ETAG,
    SLOW_DOWN,
    WRONG_CONTENT_RANGE,
    Fault,
)

pytestmark = through_each_origin

BODY = content("body", 700_000)
OTHER = content("other", 650_000)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def timeout_cache(root: Path, proxy: FaultProxy, short_read_timeout: None) -> Cache:
    """A cache behind the proxy that takes a second of silence for a broken connection."""
    return Cache(root, quota="256 MiB")


# ---- an origin that cannot be asked -----------------------------------------------------------


def test_nobody_listens(root: Path) -> None:
    with pytest.raises(OriginUnavailableError, match=r"s3://models/a.*cannot be reached") as caught:
        Cache(root).fetch("models", "a", stale_if_error=3600)
    assert isinstance(caught.value, ConnectionError)


def test_a_known_copy_bridges_an_outage_if_it_may(
    bucket: Bucket, cache: Cache, proxy: FaultProxy
) -> None:
    etag = bucket.put("a", BODY)
    cache.fetch("models", "a").release()
    proxy.refuse()
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "a")
    path = cache.fetch("models", "a", stale_if_error=60)
    assert (path.outcome, path.etag, path.read_bytes()) == (Outcome.STALE, etag, BODY)
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "b", stale_if_error=60)
    proxy.heal()
    assert cache.fetch("models", "a", stale_if_error=60).outcome is Outcome.REVALIDATED


def test_a_copy_that_is_too_old_bridges_nothing(bucket: Bucket, root: Path) -> None:
    clock = Clock()
    cache = Cache(root, max_age=10, stale_if_error=20, clock=clock)
    bucket.put("a", BODY)
    cache.fetch("models", "a").release()
    bucket.inject("a", SLOW_DOWN)
    outcomes = []
    for _ in range(3):
        clock.now += 9.9
        outcomes.append(cache.fetch("models", "a").outcome)
    assert outcomes == [Outcome.HIT, Outcome.STALE, Outcome.STALE]
    clock.now += 0.4
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "a")


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR], ids=["503", "500"])
def test_a_failing_origin_is_asked_again_and_heals(
    bucket: Bucket, root: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    bucket.put("a", BODY)
    bucket.inject("a", fault, times=2)
    assert Cache(root).fetch("models", "a").read_bytes() == BODY
    assert [get.status for get in bucket.gets("a")] == [fault.status, fault.status, 200]


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR], ids=["503", "500"])
def test_an_origin_that_fails_for_ever_is_unavailable(
    bucket: Bucket, cache: Cache, fault: Fault
) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", fault)
    with pytest.raises(OriginUnavailableError, match=f"s3://models/a.*{fault.code}.*try later"):
        cache.fetch("models", "a", stale_if_error=60)
    bucket.server.heal()
    cache.fetch("models", "a").release()
    bucket.inject("a", fault)
    assert cache.fetch("models", "a", stale_if_error=60).outcome is Outcome.STALE


# ---- stores that are not quite S3 -------------------------------------------------------------


def test_a_304_with_a_checksum_header_is_a_304(bucket: Bucket, cache: Cache) -> None:
    bucket.put("a", BODY)
    cache.fetch("models", "a").release()
    bucket.inject("a", CHECKSUM_ON_304)
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED


def test_a_200_with_the_known_etag_is_as_good_as_a_304(bucket: Bucket, cache: Cache) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", IGNORE_IF_NONE_MATCH)
    cache.fetch("models", "a").release()
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED
    assert cache.stats().bytes_fetched == len(BODY)


def test_a_store_that_ignores_ranges_sends_everything_again(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", IGNORE_RANGE)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    assert timeout_cache.fetch("models", "a").read_bytes() == BODY
    assert [get.status for get in bucket.gets("a")] == [200, 200]


def test_a_part_from_elsewhere_in_the_object_is_not_taken(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", WRONG_CONTENT_RANGE)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    assert timeout_cache.fetch("models", "a").read_bytes() == BODY
    assert [bool(get.range) for get in bucket.gets("a")] == [False, True, False]


def test_without_an_etag_nothing_is_assumed(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    """Neither that the copy is still right, nor that two halves belong together."""
    bucket.put("a", BODY)
    bucket.inject("a", NO_ETAG)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    for _ in range(2):
        path = timeout_cache.fetch("models", "a")
        assert (path.outcome, path.etag, path.read_bytes()) == (Outcome.FETCHED, "", BODY)
    assert all((get.range, get.etag_asked) == (None, None) for get in bucket.gets("a"))


# ---- what the errors say ----------------------------------------------------------------------


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR, ACCESS_DENIED], ids=lambda f: f.code)
def test_every_error_names_the_object_and_crosses_a_process_pool(
    bucket: Bucket, cache: Cache, fault: Fault
) -> None:
    bucket.put("a b.npz", BODY)
    bucket.inject("a b.npz", fault)
    with pytest.raises(TmpCacheError, match=r"s3://models/a b\.npz") as caught:
        cache.fetch("models", "a b.npz")
    assert_crosses_a_process_pool(caught.value)


def test_no_thread_is_left_behind(bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy) -> None:
    bucket.put("a", BODY)
    before = set(threading.enumerate())
    timeout_cache.fetch("models", "a").release()
    proxy.set(Trouble(body="close", after=10_000))
    bucket.put("a", OTHER)
    with pytest.raises(OriginUnavailableError):
        timeout_cache.fetch("models", "a")
    ours = {thread for thread in threading.enumerate() if "process_request" not in thread.name}
    assert ours <= before
