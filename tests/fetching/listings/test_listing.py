"""A listing in S3 confirms copies: one request for all, as of when it was made."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fleet import LISTING, NOW, PREFIX, asked, keys, listing, put_objects
from support.processes import spawn

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.errors import ConfigError, ObjectNotFoundError
from tmpcache.testing import Bucket, Clock
from tmpcache.testing.faults import INTERNAL_ERROR


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def etags(bucket: Bucket) -> dict[str, str]:
    return put_objects(bucket, 20)


@pytest.fixture
def cache(root: Path, bucket: Bucket, clock: Clock) -> Iterator[Cache]:
    with Cache(root, max_age=30, listings=[PREFIX], clock=clock) as cache:
        yield cache


@pytest.fixture
def warm(cache: Cache, etags: dict[str, str], bucket: Bucket, clock: Clock) -> Cache:
    """A cache that has all objects, which are stale by now, and a listing of just now."""
    cache.fetch_many("models", keys(etags))
    clock.advance(100)
    bucket.put(LISTING, listing(clock.now, etags))
    asked(bucket.server)
    return cache


def test_one_request_confirms_all_that_is_stale(
    warm: Cache, etags: dict[str, str], bucket: Bucket
) -> None:
    paths = [warm.fetch("models", key) for key in keys(etags)]
    assert {path.outcome for path in paths} == {Outcome.HIT}
    assert asked(bucket.server) == {LISTING: 1}


def test_fetch_many_asks_once_as_well(warm: Cache, etags: dict[str, str], bucket: Bucket) -> None:
    assert {path.outcome for path in warm.fetch_many("models", keys(etags))} == {Outcome.HIT}
    assert asked(bucket.server) == {LISTING: 1}


def test_load_and_scratch_use_it(warm: Cache, bucket: Bucket) -> None:
    assert warm.load("models", "micr/001.npz", lambda file: file.read_bytes()) == b"001"
    with warm.scratch() as work:
        assert work.fetch("models", "micr/002.npz").read_bytes() == b"002"
    assert asked(bucket.server) == {LISTING: 1}


def test_ages_never_add_up(
    warm: Cache, etags: dict[str, str], bucket: Bucket, clock: Clock
) -> None:
    clock.advance(29)  # the listing is as old as it may be, and so is what it confirms
    assert warm.fetch("models", "micr/001.npz").outcome is Outcome.HIT
    assert asked(bucket.server) == {LISTING: 1}
    clock.advance(1)
    assert warm.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED
    assert asked(bucket.server) == {LISTING: 1, "micr/001.npz": 1}


def test_another_etag_is_asked_for(warm: Cache, etags: dict[str, str], bucket: Bucket) -> None:
    etags["001.npz"] = bucket.put("micr/001.npz", b"new")
    bucket.put(LISTING, listing(NOW + 100, etags))
    assert warm.fetch("models", "micr/001.npz").read_bytes() == b"new"
    assert warm.fetch("models", "micr/002.npz").outcome is Outcome.HIT
    assert asked(bucket.server) == {LISTING: 1, "micr/001.npz": 1}


def test_what_is_gone_is_never_in_it(warm: Cache, etags: dict[str, str], bucket: Bucket) -> None:
    bucket.delete("micr/001.npz")
    with pytest.raises(ObjectNotFoundError):
        warm.fetch("models", "micr/001.npz", max_age=0)
    with pytest.raises(ObjectNotFoundError):
        warm.fetch("models", "micr/001.npz")


def test_max_age_0_and_versions_ignore_it(warm: Cache, bucket: Bucket) -> None:
    assert warm.fetch("models", "micr/001.npz", max_age=0).outcome is Outcome.REVALIDATED
    warm.fetch("models", "micr/001.npz", version_id="null")
    assert LISTING not in asked(bucket.server)


def test_a_listing_that_nobody_writes_is_asked_for_once_a_second(
    warm: Cache, etags: dict[str, str], bucket: Bucket, clock: Clock
) -> None:
    bucket.put(LISTING, listing(NOW, etags))  # too old
    for key in keys(etags):
        assert warm.fetch("models", key).outcome is Outcome.REVALIDATED
    assert asked(bucket.server)[LISTING] == 1
    clock.advance(31)
    warm.fetch_many("models", keys(etags))
    clock.advance(1)
    assert asked(bucket.server)[LISTING] == 1


def test_only_one_of_many_threads_asks(warm: Cache, etags: dict[str, str], bucket: Bucket) -> None:
    start = threading.Barrier(8)

    def fetch(key: str) -> None:
        start.wait()
        warm.fetch("models", key)

    threads = [threading.Thread(target=fetch, args=(key,)) for key in keys(etags)[:8]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked(bucket.server) == {LISTING: 1}


def test_processes_of_one_machine_share_it(
    warm: Cache, etags: dict[str, str], bucket: Bucket, root: Path, clock: Clock
) -> None:
    warm.fetch("models", "micr/001.npz")
    asked(bucket.server)
    with spawn(
        """
        import tmpcache
        cache = tmpcache.Cache(root, max_age=30, listings=listings, clock=lambda: now)
        say([cache.fetch("models", key).outcome.value for key in ("micr/001.npz", "micr/002.npz")])
        """,
        root=str(root),
        now=clock.now + 0.5,
        listings=[PREFIX],
    ) as child:
        assert child.hear() == ["hit", "hit"]
    assert asked(bucket.server) == {}


def test_s3_itself_is_asked_again_after_twelve_hours(
    warm: Cache, etags: dict[str, str], bucket: Bucket, clock: Clock
) -> None:
    outcomes = []
    for hour in range(1, 14):
        clock.now = NOW + hour * 3600
        bucket.put(LISTING, listing(clock.now, etags))
        outcomes.append(warm.fetch("models", "micr/001.npz").outcome)
    assert outcomes == [Outcome.HIT] * 11 + [Outcome.REVALIDATED, Outcome.HIT]


def test_a_stale_copy_of_a_silent_origin_is_as_old_as_the_listing_says(
    warm: Cache, bucket: Bucket, clock: Clock
) -> None:
    assert warm.fetch("models", "micr/001.npz").outcome is Outcome.HIT
    clock.advance(40)
    bucket.inject("micr/001.npz", INTERNAL_ERROR)
    found = warm.fetch("models", "micr/001.npz", stale_if_error=20)
    assert found.outcome is Outcome.STALE


def test_put_listing_says_what_is_there_and_when(
    cache: Cache, etags: dict[str, str], bucket: Bucket, clock: Clock
) -> None:
    bucket.put("micr/.tmpcache-pack", b"x")
    bucket.put("micro", b"x")
    bucket.put("micr/deep/a", b"x")
    path = cache.put_listing("models", "micr/")
    document = json.loads(path.read_bytes())
    assert (path.key, document["tmpcache-listing"], document["at"]) == (LISTING, 1, NOW)
    assert document["etags"].keys() == etags.keys() | {"deep/a"}
    clock.now = 4e9  # S3's clock is earlier
    assert json.loads(cache.put_listing(PREFIX).read_bytes())["at"] < 3e9


def test_our_own_objects_are_none_of_the_users(cache: Cache, bucket: Bucket) -> None:
    bucket.put("micr/a", b"a")
    cache.put_listing("s3://models/micr")
    assert [*cache.fetch_prefix("models", "micr/")] == ["micr/a"]
    assert [one["key"] for one in json.loads(cache.manifest())["objects"]] == ["micr/a"]


def test_a_prefix_of_nothing_but_our_own_is_empty(cache: Cache, bucket: Bucket) -> None:
    cache.put_listing(PREFIX)
    assert not cache.fetch_prefix("models", "micr/")


@pytest.mark.parametrize(
    "given", ["s3://m/a/ s3://m/b/", "s3://m/a,s3://m/b", "s3://m/a/, s3://m/b"]
)
def test_listings_come_from_the_environment(
    given: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPCACHE_LISTINGS", given)
    assert Cache(root)._settings["listings"] == ("s3://m/a/", "s3://m/b/")


@pytest.mark.parametrize("given", [3, ["models/micr/"], "micr/", [None]])
def test_what_is_no_prefix_is_refused(given: Any, root: Path) -> None:
    with pytest.raises(ConfigError):
        Cache(root, listings=given)


def test_the_default_cache_has_the_verb(root: Path, bucket: Bucket, etags: dict[str, str]) -> None:
    tmpcache.configure(root=root, listings=PREFIX)
    assert len(json.loads(tmpcache.put_listing("models", "micr/").read_bytes())["etags"]) == 20


def test_a_first_hit_imports_no_more_for_listings(
    cache: Cache, etags: dict[str, str], bucket: Bucket, root: Path, clock: Clock
) -> None:
    cache.fetch("models", "micr/001.npz")
    asked(bucket.server)
    with spawn(
        """
        import tmpcache
        cache = tmpcache.Cache(root, max_age=30, listings=listings, clock=lambda: now)
        before = set(sys.modules)
        outcome = cache.fetch("models", "micr/001.npz").outcome.value
        new = [name for name in sys.modules if name not in before and "listings" in name]
        modules = ("boto3", "botocore", "filelock", "dataclasses")
        say([outcome, new, [name for name in modules if name in sys.modules]])
        """,
        root=str(root),
        now=clock.now + 1,
        listings=[PREFIX],
    ) as child:
        assert child.hear() == ["hit", [], []]
    assert asked(bucket.server) == {}
