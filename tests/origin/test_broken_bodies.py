"""A body that breaks, or whose object changes: one whole version, or an error and nothing left."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from support.content import (
    assert_accounts_balance,
    assert_nothing_is_left,
    content,
    holders,
)
from support.origins import through_each_origin
from support.proxy import FaultProxy, Trouble

from tmpcache import Cache, Outcome
from tmpcache.errors import ObjectChangedError, OriginUnavailableError
from tmpcache.testing import Bucket
from tmpcache.testing.faults import IGNORE_IF_MATCH, SLOW_DOWN, Fault

pytestmark = through_each_origin

BODY = content("body", 700_000)
OTHER = content("other", 650_000)
#: Read in one, without the watching and splitting of larger ones.
SMALL = content("small", 30_000)
Break = Literal["close", "reset", "stall"]
BREAKS: list[Break] = ["close", "reset", "stall"]


@pytest.fixture
def timeout_cache(root: Path, proxy: FaultProxy, short_read_timeout: None) -> Cache:
    """A cache behind the proxy that takes a second of silence for a broken connection."""
    return Cache(root, quota="256 MiB")


# ---- bodies that break ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "stall"])
def test_a_broken_body_goes_on_where_it_broke(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy, how: Break
) -> None:
    etag = bucket.put("a", BODY)
    proxy.set(Trouble(body=how, after=300_000, times=2))
    path = timeout_cache.fetch("models", "a")
    assert (path.read_bytes(), path.etag) == (BODY, etag)
    first, *others = bucket.gets("a")
    assert (first.range, first.etag_required) == (None, None)
    assert others
    assert all((get.status, get.etag_required) == (206, etag) for get in others)
    assert_accounts_balance(timeout_cache)
    assert holders(timeout_cache.root, BODY) == [path]


def test_a_connection_that_is_reset_is_no_reason_to_give_up(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    """A reset also takes back bytes that arrived and were not read yet: perhaps all of them."""
    etag = bucket.put("a", BODY)
    proxy.set(Trouble(body="reset", after=300_000, times=3))
    path = timeout_cache.fetch("models", "a")
    assert (path.read_bytes(), path.etag) == (BODY, etag)
    assert all(get.etag_required == etag for get in bucket.gets("a") if get.range)
    assert_accounts_balance(timeout_cache)


@pytest.mark.parametrize("how", BREAKS)
def test_a_body_that_always_breaks_leaves_nothing(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy, how: Break
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body=how, after=10_000))
    with pytest.raises(OriginUnavailableError, match=r"s3://models/a.* of 700000 bytes"):
        timeout_cache.fetch("models", "a")
    assert_nothing_is_left(timeout_cache, BODY)
    proxy.heal()
    assert timeout_cache.fetch("models", "a").read_bytes() == BODY


@pytest.mark.parametrize("how", BREAKS)
def test_a_small_body_that_ends_early_is_not_taken_for_the_object(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy, how: Break
) -> None:
    bucket.put("a", SMALL)
    proxy.set(Trouble(body=how, after=2_000))  # no five of which make the whole
    with pytest.raises(OriginUnavailableError, match=r"s3://models/a.* of 30000 bytes"):
        timeout_cache.fetch("models", "a")
    assert_nothing_is_left(timeout_cache, SMALL)
    proxy.heal()
    assert timeout_cache.fetch("models", "a").read_bytes() == SMALL


def test_a_body_that_always_breaks_is_answered_with_the_known_copy(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    timeout_cache.fetch("models", "a").release()
    bucket.put("a", OTHER)
    proxy.set(Trouble(body="close", after=10_000))
    path = timeout_cache.fetch("models", "a", stale_if_error=60)
    assert (path.outcome, path.read_bytes()) == (Outcome.STALE, BODY)
    assert holders(timeout_cache.root, OTHER) == []


def test_a_download_that_gets_on_may_break_as_often_as_it_likes(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    body = content("long", 12 << 20)
    bucket.put("a", body)
    proxy.set(Trouble(body="close", after=(3 << 19) + 1))
    assert timeout_cache.fetch("models", "a").read_bytes() == body
    assert len(bucket.gets("a")) >= 8


def test_a_503_between_two_halves_of_a_body_is_no_reason_to_start_over(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    bucket.inject("a", SLOW_DOWN, skip=1, times=2)
    assert timeout_cache.fetch("models", "a").read_bytes() == BODY
    assert [(get.status, bool(get.range)) for get in bucket.gets("a")] == [
        (200, False),
        (503, True),
        (503, True),
        (206, True),
    ]


# ---- objects that change while they are read --------------------------------------------------


def replace(bucket: Bucket) -> Callable[[], object]:
    """Something that stores yet another content under the key `a` each time it runs."""
    versions = iter(range(1000))
    return lambda: bucket.put("a", content(next(versions), 700_000))


def test_an_object_replaced_during_its_download_is_read_again(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    old = bucket.put("a", BODY)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    bucket.inject("a", Fault(before=lambda: bucket.put("a", OTHER)), skip=1, times=1)
    path = timeout_cache.fetch("models", "a")
    assert path.read_bytes() == OTHER
    assert path.etag == f'"{hashlib.md5(OTHER).hexdigest()}"'
    asked = [(get.status, get.etag_required) for get in bucket.gets("a")]
    assert asked == [(200, None), (412, old), (200, None)]
    assert holders(timeout_cache.root, BODY) == []
    assert_accounts_balance(timeout_cache)


def test_an_object_replaced_again_and_again_is_given_up(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="close", after=300_000))
    bucket.inject("a", Fault(before=replace(bucket)), skip=1)
    with pytest.raises(ObjectChangedError, match=r"s3://models/a.*replaced"):
        timeout_cache.fetch("models", "a", stale_if_error=60)
    assert_nothing_is_left(timeout_cache, BODY)
    assert len(bucket.gets("a")) == 4  # two starts, two attempts to go on


def test_a_store_that_ignores_if_match_cannot_mix_two_versions(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", IGNORE_IF_MATCH)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    assert timeout_cache.fetch("models", "a").read_bytes() == BODY
    bucket.put("a", content("of the same length", len(BODY)))
    proxy.set(Trouble(body="close", after=300_000, times=1))
    bucket.inject("a", Fault(before=replace(bucket)), skip=1, times=1)
    assert timeout_cache.fetch("models", "a").read_bytes() == content(0, 700_000)
