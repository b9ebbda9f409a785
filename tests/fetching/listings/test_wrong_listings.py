"""Whatever is wrong with a listing costs requests: never an error, never wrong bytes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fleet import LISTING, NOW, PREFIX, asked, listing, put_objects
from support.shelf import Shelf

from tmpcache import Cache, Outcome
from tmpcache.common.deadline import Deadline
from tmpcache.fetching.listings.document import MOST_BYTES
from tmpcache.testing import Bucket, Clock, Fault
from tmpcache.testing.faults import ACCESS_DENIED, INTERNAL_ERROR, SLOW_DOWN

LATER = NOW + 100
DEEP = b'{"tmpcache-listing": 1, "at": %f, "etags": ' % LATER + b"[" * 200_000
GOOD = {"001.npz": '"dc5c7986daef50c1e02ab09b442ee34f"'}

WRONG = {
    "nothing": b"",
    "garbage": bytes(range(256)) * 40,
    "truncated": listing(LATER, GOOD)[:-3],
    "deep": DEEP,
    "a list": b"[]",
    "another format": listing(LATER, GOOD).replace(b'listing": 1', b'listing": 2'),
    "a format that is true": listing(LATER, GOOD).replace(b'listing": 1', b'listing": [1]'),
    "no time": listing(None, GOOD),
    "a text for a time": listing(str(LATER), GOOD),
    "true for a time": listing(True, GOOD),
    "no number": listing(float("nan"), GOOD),
    "the end of time": listing(float("inf"), GOOD),
    "a number too large": listing(10**400, GOOD),
    "a number too long": b'{"tmpcache-listing": 1, "at": %s}' % (b"9" * 5000),
    "tomorrow": listing(LATER + 86400, GOOD),
    "the next second": listing(LATER + 1, GOOD),
    "too old": listing(LATER - 30, GOOD),
    "no etags": listing(LATER, None),
    "a list of etags": listing(LATER, [GOOD]),
    "numbers for etags": listing(LATER, {"001.npz": 1}),
    "an empty etag": listing(LATER, {"001.npz": ""}),
    "keys of another prefix": listing(LATER, {"micr/001.npz": GOOD["001.npz"]}),
    "a way out": listing(LATER, {"../micr/001.npz": GOOD["001.npz"]}),
    "made for another prefix": listing(LATER, GOOD, prefix="other/"),
    "a surrogate": b'{"tmpcache-listing": 1, "at": 1, "etags": {"\\ud800": "\\ud800"}}',
}


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def cache(root: Path, bucket: Bucket, clock: Clock) -> Iterator[Cache]:
    """A cache with a stale copy of 001, whose ETag `GOOD` has."""
    put_objects(bucket, 2)
    assert put_objects(bucket, 2)["001.npz"] == GOOD["001.npz"]
    with Cache(root, max_age=30, listings=[PREFIX], clock=clock, quota="64 MiB") as cache:
        cache.fetch("models", "micr/001.npz")
        clock.advance(100)
        asked(bucket.server)
        yield cache


def test_a_right_one_would_have_been_used(cache: Cache, bucket: Bucket) -> None:
    bucket.put(LISTING, listing(LATER, GOOD))
    assert cache.fetch("models", "micr/001.npz").outcome is Outcome.HIT


@pytest.mark.parametrize("name", WRONG)
def test_s3_is_asked_as_if_there_were_none(name: str, cache: Cache, bucket: Bucket) -> None:
    bucket.put(LISTING, WRONG[name])
    assert cache.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED
    assert asked(bucket.server) == {LISTING: 1, "micr/001.npz": 1}


@pytest.mark.parametrize("fault", [ACCESS_DENIED, INTERNAL_ERROR, SLOW_DOWN])
def test_so_it_is_if_the_listing_is_refused(fault: Fault, cache: Cache, bucket: Bucket) -> None:
    bucket.put(LISTING, listing(LATER, GOOD))
    bucket.inject(LISTING, fault)
    path = cache.fetch("models", "micr/001.npz")
    assert (path.outcome, path.read_bytes()) == (Outcome.REVALIDATED, b"001")
    assert asked(bucket.server)["micr/001.npz"] == 1


def test_a_listing_of_100_megabytes_is_not_received(cache: Cache, bucket: Bucket) -> None:
    document = listing(LATER, GOOD)
    bucket.put(LISTING, document + b" " * (100_000_000 - len(document)))
    assert cache.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED
    received = cache.stats().bytes_fetched
    assert received < MOST_BYTES
    assert LISTING not in {entry.key for entry in cache.entries()}


def test_a_listing_of_the_whole_bucket_does_not_speak_for_another(
    root: Path, cache: Cache, bucket: Bucket, clock: Clock
) -> None:
    other = bucket.server.bucket("other")
    other.put(".tmpcache-listing", listing(LATER, {"micr/001.npz": GOOD["001.npz"]}))
    with Cache(root, max_age=30, listings=["s3://other"], clock=clock) as cache:
        assert cache.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED
    assert asked(bucket.server) == {"micr/001.npz": 1}


def test_a_listing_that_was_read_before_goes_on_if_a_wrong_one_follows(
    cache: Cache, bucket: Bucket, clock: Clock
) -> None:
    bucket.put(LISTING, listing(LATER, GOOD))
    assert cache.fetch("models", "micr/001.npz").outcome is Outcome.HIT
    bucket.put(LISTING, b"garbage")
    clock.advance(29)
    assert cache.fetch("models", "micr/001.npz").outcome is Outcome.HIT
    clock.advance(1)
    assert cache.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED
    assert json.loads(listing(1, {}))["at"] == 1


def test_a_listing_that_does_not_come_is_not_waited_for(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpcache.fetching.listings.reading._PATIENCE", 0.2)
    clock, shelf = Clock(NOW), Shelf({"micr/a": b"a"})
    halted: list[bool] = []

    def gate(key: str, deadline: Deadline | None) -> None:
        if key == LISTING:
            assert deadline is not None
            halted.append(not threading.Event().wait(max(0.0, deadline.remaining())))
            deadline.check(key)

    shelf.gate = gate
    with Cache(root, origin=shelf, max_age=30, listings=[PREFIX], clock=clock) as cache:
        cache.fetch("models", "micr/a")
        clock.advance(40)
        assert cache.fetch("models", "micr/a").outcome is Outcome.REVALIDATED
    assert halted == [True]
