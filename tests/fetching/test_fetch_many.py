"""Many objects at a time: in order, once each, and no thread, lease or byte of room left over."""

from __future__ import annotations

import gc
import os
import pickle
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.content import content
from support.shelf import Shelf

import tmpcache
from tmpcache import Cache, CachedFile, Outcome
from tmpcache.errors import (
    AccessDeniedError,
    ConfigError,
    FetchManyError,
    ObjectNotFoundError,
    OriginUnavailableError,
    QuotaExceededError,
)
from tmpcache.testing import Bucket

KIB = 1024


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({f"{number:05}.bin": b"%d" % number for number in range(300)})


@pytest.fixture
def cache(root: Path, shelf: Shelf) -> Iterator[Cache]:
    with Cache(root, quota="64 MiB", origin=shelf) as cache:
        yield cache


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert ours() == []


def ours() -> list[str]:
    """The threads of fetch_many that run, and of downloads."""
    return [one.name for one in threading.enumerate() if one.name.startswith("tmpcache ")]


def test_paths_come_in_the_order_of_the_keys(cache: Cache, shelf: Shelf) -> None:
    keys = sorted(shelf.objects, key=hash)
    paths = cache.fetch_many("models", iter(keys))
    assert [path.key for path in paths] == keys
    assert [path.read_bytes() for path in paths] == [shelf.objects[key] for key in keys]
    assert {path.outcome for path in paths} == {Outcome.FETCHED}
    again = cache.fetch_many("models", keys)
    assert {path.outcome for path in again} == {Outcome.REVALIDATED}
    assert set(shelf.sent.values()) == {1}
    assert cache.fetch_many("models", []) == []


def test_the_top_level_function(root: Path, bucket: Bucket, monkeypatch: Any) -> None:
    bucket.put("a", b"a")
    monkeypatch.setattr(tmpcache, "_default", Cache(root))
    (path,) = tmpcache.fetch_many("models", ["a"])
    assert path.read_bytes() == b"a"
    assert list(tmpcache.fetch_prefix("models", "")) == ["a"]
    assert tmpcache.warm(tmpcache.manifest()).present == 1


def test_a_key_that_comes_again_is_fetched_once_and_leased_for_each(
    cache: Cache, shelf: Shelf
) -> None:
    paths = cache.fetch_many("models", ["00001.bin", "00002.bin", "00001.bin", "00001.bin"])
    assert shelf.sent == Counter({"00001.bin": 1, "00002.bin": 1})
    assert [path.outcome.value for path in paths] == ["fetched", "fetched", "hit", "hit"]
    for path in paths[:3]:
        path.release()
    cache.clear()
    assert paths[3].read_bytes() == b"1"
    paths[3].release()
    assert cache.usage().leased == 0


def test_what_is_fresh_needs_no_thread_and_no_request(
    cache: Cache, root: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.fetch_many("models", shelf.objects)
    shelf.asked.clear()

    def refuse(thread: threading.Thread) -> None:
        raise AssertionError("a thread was started")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for same in (cache, Cache(root, origin=shelf)):  # from memory, and from the index
        paths = same.fetch_many("models", shelf.objects, max_age=60)
        assert {path.outcome for path in paths} == {Outcome.HIT}
        assert len(paths) == 300
        assert same.stats().hits == 300
    assert shelf.asked == Counter()


def test_a_damaged_copy_among_the_fresh_ones_is_fetched(cache: Cache, shelf: Shelf) -> None:
    paths = cache.fetch_many("models", shelf.objects)
    os.unlink(paths[7])
    again = cache.fetch_many("models", shelf.objects, max_age=60)
    assert Counter(path.outcome.value for path in again) == {"hit": 299, "fetched": 1}
    assert again[7].read_bytes() == b"7"


def test_no_more_threads_than_asked_for(cache: Cache, shelf: Shelf) -> None:
    busy = most = 0

    def gate(key: str, deadline: object) -> None:
        nonlocal busy, most
        with shelf.lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.001)
        with shelf.lock:
            busy -= 1

    shelf.gate = gate
    cache.fetch_many("models", shelf.objects, threads=3)
    assert most == 3


def test_a_system_without_more_threads_gets_it_done(
    cache: Cache, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert len(cache.fetch_many("models", shelf.objects)) == 300


@pytest.mark.parametrize(
    "options",
    [
        {"keys": "a"},
        {"keys": b"a"},
        {"keys": ["a", ""]},
        {"keys": ["a", 3]},
        {"threads": 0},
        {"threads": True},
        {"threads": 2.5},
        {"max_age": -1},
    ],
)
def test_arguments_that_cannot_be(cache: Cache, shelf: Shelf, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        cache.fetch_many("models", **{"keys": ["a"], **options})
    assert shelf.asked == Counter()


# ---- errors


def test_of_ten_thousand_some_are_missing_and_some_denied(root: Path) -> None:
    shelf = Shelf({f"{number:05}": b"%d" % (number % 50) for number in range(10_000)})
    cache = Cache(root, quota="256 MiB", origin=shelf, max_age=3600)
    keys = list(shelf.objects)
    missing, denied = keys[50::100], keys[500::1000]
    cache.fetch_many("models", keys[:7000])
    cache.evict("models", keys[50])
    for key in missing:
        cache.evict("models", key)
        del shelf.objects[key]
    for key in denied:
        cache.evict("models", key)
    shelf.denied.update(denied)
    with pytest.raises(FetchManyError, match="110 of 10000 objects of s3://models") as caught:
        cache.fetch_many("models", keys)
    gone, rest = caught.value.split(ObjectNotFoundError)
    assert isinstance(gone, FetchManyError)
    assert [error.key for error in gone.exceptions] == missing  # type: ignore[union-attr]
    assert isinstance(rest, FetchManyError)
    assert {type(error) for error in rest.exceptions} == {AccessDeniedError}
    assert [error.key for error in rest.exceptions] == denied  # type: ignore[union-attr]
    results = caught.value.results
    assert [path and path.key for path in results] == [
        None if key in {*missing, *denied} else key for key in keys
    ]
    assert results[9999].read_bytes() == b"49"
    results.clear()

    found = cache.fetch_many("models", keys, return_exceptions=True)
    assert Counter(map(type, found)) == {
        CachedFile: 9890,
        ObjectNotFoundError: 100,
        AccessDeniedError: 10,
    }


def test_against_s3_a_thousand_with_some_missing(bucket: Bucket, root: Path) -> None:
    keys = filled(bucket, 1000)
    wanted = [*keys[:500], "no/1", "no/2", *keys[500:]]
    cache = Cache(root, quota="64 MiB")
    with pytest.raises(FetchManyError) as caught:
        cache.fetch_many("models", wanted)
    assert {type(error) for error in caught.value.exceptions} == {ObjectNotFoundError}
    results = caught.value.results
    assert [number for number, path in enumerate(results) if path is None] == [500, 501]
    assert [path.read_bytes() for path in results if path] == [key.encode() for key in keys]
    # One listing confirms them all.
    bucket.server.forget()
    tree = cache.fetch_prefix("models", "many/")
    assert [request.path for request in bucket.server.requests] == ["/models"]
    assert list(tree) == keys
    assert {path.outcome for path in tree.values()} == {Outcome.REVALIDATED}


def filled(bucket: Bucket, count: int) -> list[str]:
    """The keys of so many small objects, put into moto's own tables."""
    from moto.s3.models import s3_backends

    keys = [f"many/{number:05}" for number in range(count)]
    backend = s3_backends["123456789012"]["aws"]
    for key in keys:
        backend.put_object(bucket.name, key, key.encode())
    return keys


def test_the_group_of_errors_is_one_of_ours_and_travels(cache: Cache, shelf: Shelf) -> None:
    with pytest.raises(tmpcache.errors.TmpCacheError) as caught:
        cache.fetch_many("models", ["00001.bin", "gone"])
    error = caught.value
    assert isinstance(error, ExceptionGroup)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is FetchManyError
    assert again.results == [Path(error.results[0]), None]  # type: ignore[attr-defined]
    assert again.exceptions[0].key == "gone"  # type: ignore[union-attr]
    assert str(again) == str(error)
    heard = []
    try:
        raise error
    except* FileNotFoundError as group:
        heard = group.results  # type: ignore[attr-defined]
    assert heard[0].read_bytes() == b"1"


def test_errors_do_not_keep_the_others_leased(cache: Cache, shelf: Shelf, tmp_path: Path) -> None:
    gc.disable()
    try:
        errors = []
        try:
            cache.fetch_many("models", [*shelf.objects, "gone"])
        except FetchManyError as group:
            errors = list(group.exceptions)  # as one might, to log them later
        assert cache.usage().leased == 0
        assert len(errors) == 1
        found: Any = cache.fetch_many("models", ["00001.bin", "gone"], return_exceptions=True)
        del found[0]
        assert cache.usage().leased == 0
        small = Cache(
            tmp_path / "small",
            quota="1 MiB",
            origin=Shelf({f"{n}": content(n, 200 * KIB) for n in range(9)}),
        )
        found = small.fetch_many("models", map(str, range(9)), return_exceptions=True)
        found = [one for one in found if isinstance(one, QuotaExceededError)]
        assert found
        assert small.usage().leased == 0
    finally:
        gc.enable()


def test_an_outage_is_bridged_where_that_is_allowed(cache: Cache, shelf: Shelf) -> None:
    cache.fetch_many("models", list(shelf.objects)[:10])

    def fail(key: str, deadline: object) -> None:
        raise OriginUnavailableError("down")

    shelf.gate = fail
    found: list[Any] = cache.fetch_many(
        "models", list(shelf.objects)[:12], stale_if_error=60, return_exceptions=True
    )
    assert [path.outcome for path in found[:10]] == [Outcome.STALE] * 10
    assert {type(error) for error in found[10:]} == {OriginUnavailableError}
