"""How old a listing was and why it was not used: in the statistics, and as events."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.events import of
from support.fleet import LISTING, NOW, PREFIX, listing, put_objects

import tmpcache
from tmpcache import Cache
from tmpcache.events import Event, ListingRead, ListingUnusable
from tmpcache.reports import SeenListing
from tmpcache.testing import Bucket, Clock, Fault
from tmpcache.testing.faults import ACCESS_DENIED, INTERNAL_ERROR

LATER = NOW + 100
OTHER = "s3://models/ocr/"


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def etags(bucket: Bucket) -> dict[str, str]:
    return put_objects(bucket, 3)


@pytest.fixture
def cache(root: Path, etags: dict[str, str], clock: Clock) -> Iterator[Cache]:
    with Cache(root, max_age=30, listings=[PREFIX, OTHER], clock=clock, quota="64 MiB") as cache:
        cache.fetch("models", "micr/001.npz")
        clock.advance(100)
        yield cache


@pytest.fixture
def told() -> Iterator[list[Event]]:
    events: list[Event] = []
    with tmpcache.subscribe(events.append):
        yield events


def test_a_listing_that_was_never_asked_for_is_none(cache: Cache) -> None:
    assert cache.stats().listings == {PREFIX: None, OTHER: None}
    cache.fetch("models", "micr/001.npz", max_age=0)
    assert cache.stats().listings == {PREFIX: None, OTHER: None}


def test_its_age_is_that_when_it_was_last_asked_for(
    cache: Cache, bucket: Bucket, clock: Clock, etags: dict[str, str], told: list[Event]
) -> None:
    bucket.put(LISTING, listing(LATER - 12, etags))
    cache.fetch("models", "micr/001.npz")
    assert cache.stats().listings == {PREFIX: SeenListing(12, is_usable=True), OTHER: None}
    [read] = of(ListingRead, told)
    assert (read.bucket, read.key, read.age, read.objects) == ("models", LISTING, 12, 3)
    assert str(read) == "s3://models/micr/.tmpcache-listing read: 3 objects, 12 s old"
    clock.advance(10)
    cache.fetch("models", "micr/001.npz")  # a hit, and the listing at hand is young enough
    assert cache.stats().listings[PREFIX] == SeenListing(12, is_usable=True)
    assert [*map(type, told)] == [ListingRead]


def test_each_new_listing_is_told_once(
    cache: Cache, bucket: Bucket, clock: Clock, etags: dict[str, str], told: list[Event]
) -> None:
    for number in range(3):
        at = clock() - number
        bucket.put(LISTING, listing(at, etags))
        for _ in range(5):
            cache.fetch("models", "micr/001.npz")
        clock.advance(40)
    assert [event.age for event in of(ListingRead, told)] == [0, 1, 2]
    assert not of(ListingUnusable, told)


WRONG = {
    "missing": None,
    "garbage": b"garbage",
    "too large": b" " * (17 << 20),
    "too old": listing(LATER - 31, {}),
    "from the future": listing(LATER + 86400, {}),
}


@pytest.mark.parametrize("reason", WRONG)
def test_why_it_was_not_usable(
    reason: str, cache: Cache, bucket: Bucket, told: list[Event]
) -> None:
    content, ages = WRONG[reason], {"too old": 31, "from the future": -86400}
    if content is not None:
        bucket.put(LISTING, content)
    cache.fetch("models", "micr/001.npz")
    assert cache.stats().listings[PREFIX] == SeenListing(ages.get(reason), False, reason)
    [unusable] = of(ListingUnusable, told)
    assert (unusable.key, unusable.reason, unusable.age) == (LISTING, reason, ages.get(reason))
    assert f"{LISTING} is not used, {reason}" in str(unusable)


@pytest.mark.parametrize(
    ("fault", "reason"), [(ACCESS_DENIED, "forbidden"), (INTERNAL_ERROR, "not received")]
)
def test_what_s3_said_instead(
    fault: Fault, reason: str, cache: Cache, bucket: Bucket, told: list[Event]
) -> None:
    bucket.inject(LISTING, fault)
    cache.fetch("models", "micr/001.npz")
    assert cache.stats().listings[PREFIX] == SeenListing(None, False, reason)
    [unusable] = of(ListingUnusable, told)
    assert unusable.reason == reason
    assert fault.code in unusable.detail
    assert str(unusable).isprintable()


def test_what_lasts_is_told_once_and_its_end_as_well(
    cache: Cache,
    bucket: Bucket,
    clock: Clock,
    etags: dict[str, str],
    told: list[Event],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "tmpcache")

    def stale_fetches() -> None:
        for _ in range(3):
            clock.advance(40)
            cache.fetch("models", "micr/001.npz")

    stale_fetches()
    bucket.put(LISTING, b"garbage")
    stale_fetches()
    bucket.put(LISTING, listing(clock() + 40, etags))
    stale_fetches()
    bucket.put(LISTING, listing(clock() + 40, etags))
    stale_fetches()
    kinds = ListingRead, ListingUnusable
    found = [getattr(event, "reason", "read") for event in told if isinstance(event, kinds)]
    assert found == ["missing", "garbage", "read", "too old", "read", "too old"]
    lines = [record.getMessage() for record in caplog.records if record.name == "tmpcache"]
    assert [line.split(" is not used, ")[1].split(":")[0] for line in lines] == [
        *("missing", "garbage"),
        *["too old, 40 s old"] * 2,
    ]


def test_a_listing_that_fails_is_still_as_old_as_it_is(
    cache: Cache, bucket: Bucket, clock: Clock, etags: dict[str, str]
) -> None:
    bucket.put(LISTING, listing(LATER, etags))
    cache.fetch("models", "micr/001.npz")
    bucket.delete(LISTING)
    clock.advance(40)
    cache.fetch("models", "micr/001.npz")
    assert cache.stats().listings[PREFIX] == SeenListing(40, False, "missing")
