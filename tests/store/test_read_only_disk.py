"""A file system that is mounted read-only: the error says so, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.disk import read_only
from support.shelf import Shelf

from tmpcache import Cache, Outcome
from tmpcache.errors import ConfigError, FetchManyError, UnsafeRootError


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({"a": b"a", "b": b"b"})


@pytest.mark.parametrize("name", ["new", "new/below", "used"])
def test_no_cache_begins_where_nobody_may_write(
    name: str, shelf: Shelf, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("size=4m")
    with Cache(disk / "used", quota="3 MiB", origin=shelf) as cache:
        cache.fetch("models", "a").release()
    with read_only(disk), pytest.raises(ConfigError, match=r"Read-only file system .* Choose"):
        Cache(disk / name, quota="3 MiB", origin=shelf)


def _reopen(cache: Cache) -> None:
    cache.close()
    cache.fetch("models", "a")


CALLS: dict[str, Callable[[Cache], object]] = {
    "fetch": lambda cache: cache.fetch("models", "b"),
    "scratch": lambda cache: cache.scratch(),
    "usage": lambda cache: cache.usage(),
    "clear": lambda cache: cache.clear(),
    "gc": lambda cache: cache.gc(),
    "fetch with the index closed": lambda cache: _reopen(cache),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_disk_that_becomes_read_only_is_named_with_a_way_out(
    call: str,
    shelf: Shelf,
    small_disk: Callable[[str], Path],
    capfd: pytest.CaptureFixture[str],
) -> None:
    disk = small_disk("size=4m")
    cache = Cache(disk / "cache", quota="3 MiB", origin=shelf, max_age=3600)
    cache.fetch("models", "a").release()
    with read_only(disk):
        with pytest.raises(UnsafeRootError, match=r"Read-only file system .* Mount its file"):
            CALLS[call](cache)
        cache.close()
    assert cache.fetch("models", "b").outcome is Outcome.FETCHED
    assert cache.stats().damaged == {}
    assert capfd.readouterr().err == ""


def test_hits_go_on_where_the_disk_became_read_only(
    shelf: Shelf, small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpcache.store.leases.session._RENEWED_AFTER", -1.0)
    monkeypatch.setattr("tmpcache.store.store._CHECK_SESSION_AFTER", 0.0)
    monkeypatch.setattr("tmpcache.store.store._FLUSH_AFTER", 0.0)
    disk = small_disk("size=4m")
    cache = Cache(disk / "cache", quota="3 MiB", origin=shelf, max_age=3600)
    cache.fetch("models", "a").release()
    with read_only(disk):
        assert cache.fetch("models", "a").outcome is Outcome.HIT
        with pytest.raises(FetchManyError) as raised:
            cache.fetch_many("models", ["a", "b"])
        assert [type(one) for one in raised.value.exceptions] == [UnsafeRootError]
        cache.close()
