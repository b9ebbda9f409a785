"""Many objects under a quota: what fits is fetched, and large objects share the connections."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.content import assert_accounts_balance, content
from support.processes import wait_until
from support.shelf import Shelf

from tmpcache import Cache
from tmpcache.errors import AccessDeniedError, FetchManyError, QuotaExceededError
from tmpcache.origin.transfer import connection_count
from tmpcache.origin.transfer.range_reader import open_connections

KIB, MIB = 1024, 1024 * 1024


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


def test_a_quota_smaller_than_the_whole_gives_what_fits_and_refuses_the_rest(root: Path) -> None:
    shelf = Shelf({f"{number:02}": content(number, 100 * KIB) for number in range(40)})
    cache = Cache(root, quota="2 MiB", origin=shelf)
    with pytest.raises(FetchManyError) as caught:
        cache.fetch_many("models", shelf.objects)
    held = [path for path in caught.value.results if path is not None]
    assert {type(error) for error in caught.value.exceptions} == {QuotaExceededError}
    assert len(held) >= 15
    for path in held:
        assert path.read_bytes() == shelf.objects[path.key]
    assert_accounts_balance(cache)
    assert sum(shelf.asked.values()) <= 40 + 2, "who cannot fit need not be asked for again"
    refused = [key for key in shelf.objects if key not in {path.key for path in held}]
    del held, caught, path
    assert len(cache.fetch_many("models", refused[:15])) == 15


def test_nothing_is_refused_that_one_after_the_other_would_fit(root: Path) -> None:
    """The first takes most of the room, and fails; the second was in its way for that long."""
    shelf = Shelf({"breaks": content(1, 600 * KIB), "fine": content(2, 600 * KIB)})
    cache = Cache(root, quota="1 MiB", origin=shelf)
    begun, asked = threading.Event(), threading.Event()

    def gate(key: str, deadline: object) -> None:
        if key == "fine":
            asked.set()
            assert begun.wait(30)

    def pace(key: str, at: int, halted: threading.Event) -> None:
        if key == "breaks":
            begun.set()
            assert asked.wait(30)
            wait_until(lambda: ours() == ["tmpcache fetch"])  # the other has given up
            raise AccessDeniedError("no more", bucket="models", key=key)

    shelf.gate, shelf.pace = gate, pace
    found: list[Any] = cache.fetch_many("models", shelf.objects, return_exceptions=True)
    first, second = found
    assert isinstance(first, AccessDeniedError)
    assert second.read_bytes() == shelf.objects["fine"]
    assert shelf.asked["fine"] == 2


def test_large_objects_share_the_connections(root: Path) -> None:
    shelf = Shelf({f"{number}": bytes([number]) * (24 * MIB) for number in range(6)})
    bodies: set[threading.Event] = set()

    def pace(key: str, at: int, halted: threading.Event) -> None:
        if halted not in bodies:  # the first read of one: that all may be open at the same time
            bodies.add(halted)
            wait_until(lambda: len(bodies) >= 6)
            time.sleep(0.3 if at else 0)
        time.sleep(0.004)  # 64 MB/s: slow enough for a second connection to be worth while

    shelf.pace = pace
    cache = Cache(root, quota="400 MiB", origin=shelf)
    paths = cache.fetch_many("models", shelf.objects)
    assert [path.read_bytes() == shelf.objects[path.key] for path in paths] == [True] * 6
    assert 6 < shelf.most_open <= connection_count.MAX_COUNT
    assert not open_connections
