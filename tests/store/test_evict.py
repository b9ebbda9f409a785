"""What the user evicts: an object, a bucket, what is below a prefix, what was not used for long."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shelf import Shelf

import tmpcache
from tmpcache.errors import ConfigError
from tmpcache.testing import Clock

NAMES = [*(f"dir/{number}" for number in range(100)), "dir", "dir%", "d", "DIR/1"]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(root: Path, clock: Clock) -> tmpcache.Cache:
    shelf = Shelf({key: key.encode() for key in NAMES})
    cache = tmpcache.Cache(root, quota="64 MiB", max_age=1e9, origin=shelf, clock=clock)
    for key in NAMES:
        cache.fetch("one", key)
    cache.fetch("two", "dir/1")
    return cache


def left(cache: tmpcache.Cache) -> list[str]:
    return sorted(f"{entry.bucket}/{entry.key}" for entry in cache.entries())


def test_a_prefix_is_evicted_and_nothing_that_is_only_like_it(cache: tmpcache.Cache) -> None:
    assert cache.evict("one", prefix="dir/") > 0
    assert left(cache) == ["one/DIR/1", "one/d", "one/dir", "one/dir%", "two/dir/1"]
    assert cache.evict("one", prefix="dir/") == 0
    with pytest.raises(ConfigError, match="whole_bucket"):
        cache.evict("one", prefix="")
    cache.evict("one", whole_bucket=True)
    assert left(cache) == ["two/dir/1"]
    with pytest.raises(ConfigError, match="no key with it"):
        cache.evict("one", "d", prefix="d")


def test_what_was_not_used_for_long_is_evicted(cache: tmpcache.Cache, clock: Clock) -> None:
    clock.advance(3600)
    cache.fetch("one", "d")
    cache.fetch("two", "dir/1")
    clock.advance(60)
    assert cache.evict_unused(7200) == 0
    assert cache.evict_unused(60) > 0
    assert left(cache) == ["one/d", "two/dir/1"]
    with pytest.raises(ConfigError, match="seconds"):
        cache.evict_unused(-1)
