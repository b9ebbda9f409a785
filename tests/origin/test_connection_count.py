"""The number of connections of a download follows what they bring."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.content import content
from support.odd import OddStore
from support.origins import through_both_readers

from tmpcache import Cache
from tmpcache.origin.transfer import connection_count, parallel
from tmpcache.origin.transfer.connection_count import (
    FIRST_COUNT,
    MAX_COUNT,
    ConnectionCount,
    count_for,
    remember,
)
from tmpcache.origin.transfer.range_reader import open_connections

MIB = 1 << 20
BODY = content("counted", 120 * MIB)
#: After the first addition.
SECOND_COUNT = FIRST_COUNT + FIRST_COUNT // 4


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddStore]:
    """A server of one large object, 5 MB/s a connection."""
    store = OddStore(BODY)
    store.pause = 0.05
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.endpoint)
    yield store
    store.stop()


@pytest.fixture
def cache(root: Path, store: OddStore) -> Iterator[Cache]:
    with Cache(root, quota="400 MiB") as cache:
        yield cache
    assert not open_connections
    assert "tmpcache connection" not in [thread.name for thread in threading.enumerate()]


def fetch(cache: Cache, body: bytes = BODY) -> None:
    before = cache.stats().bytes_fetched
    path = cache.fetch("models", "one")
    assert path.read_bytes() == body
    assert cache.stats().bytes_fetched == before + len(body), "some bytes came twice"


# ---- servers that cap ----------------------------------------------------------------------------


def turn_clock(
    monkeypatch: pytest.MonkeyPatch, store: OddStore, rate: Callable[[int], float]
) -> None:
    """Let the time pass in which so many connections at once bring what the server sends.

    So it does not matter how busy the machine is.
    """
    lock, now = threading.Lock(), [0.0]

    def pace(link: socket.socket, others: int, sent: int) -> None:
        time.sleep(0.02)
        with lock:
            now[0] += MIB / 4 / rate(store.open)

    store.pace = pace
    monkeypatch.setattr(parallel, "time", SimpleNamespace(monotonic=lambda: now[0]))


@through_both_readers[1]
@through_both_readers[0]
def test_where_each_connection_is_capped_there_are_more_of_them(
    cache: Cache, store: OddStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn_clock(monkeypatch, store, lambda connections: connections * 5e6)
    fetch(cache)
    assert store.most_open > SECOND_COUNT
    assert count_for(store.endpoint).opened >= SECOND_COUNT


def test_where_all_together_are_capped_there_are_no_more_of_them(
    cache: Cache, store: OddStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And if the server only becomes slower by them, there are fewer the next time."""
    turn_clock(monkeypatch, store, lambda connections: 40e6 * FIRST_COUNT / connections)
    fetch(cache)
    assert FIRST_COUNT <= store.most_open <= SECOND_COUNT + 1
    assert count_for(store.endpoint).opened == FIRST_COUNT - 1


# ---- connections that do not help ----------------------------------------------------------------


def test_further_connections_that_are_refused_cost_nothing_else(
    cache: Cache, store: OddStore
) -> None:
    store.throttles = lambda number, others: others >= FIRST_COUNT
    fetch(cache)
    refused = [status for status, _ in store.log].count(503)
    # An ended response may still count there, so some more may be refused, once.
    assert 0 < refused <= 5 * (SECOND_COUNT - FIRST_COUNT)
    assert abs(count_for(store.endpoint).opened - FIRST_COUNT) <= 1


def test_a_server_that_allows_few_connections_is_asked_for_few_more_the_next_time(
    cache: Cache, store: OddStore
) -> None:
    store.body, store.throttles = BODY[: 48 * MIB], lambda number, others: others >= 3
    refused = []
    for _ in range(2):
        fetch(cache, store.body)
        refused.append([status for status, _ in store.log].count(503))
        store.log.clear()
        cache.clear()
        assert count_for(store.endpoint).opened < FIRST_COUNT
    assert refused[1] < refused[0]


# ---- what is remembered --------------------------------------------------------------------------


def test_as_many_origins_are_remembered_as_a_process_may_use() -> None:
    for number in range(1000):
        remember(f"origin {number}", 5)
    assert len(connection_count._remembered) == 64
    assert count_for("origin 999").opened == 5
    assert count_for("origin 0").opened == FIRST_COUNT


def observe(count: ConnectionCount, rates: list[float]) -> list[int]:
    """Return what changes if all connections together bring so many bytes in each second."""
    now = received = 0.0
    changes = []
    for rate in rates:
        count.change(now, int(received), count.opened)
        now, received = now + 1, received + rate
        changes.append(count.change(now, int(received), count.opened))
        if count.is_settled:
            break
    return changes


def test_connections_are_not_judged_before_all_receive() -> None:
    count = ConnectionCount(8, most=16)
    for second in range(10):
        assert count.change(float(second), second * 1000, receiving=7) == 0
    assert not count.right


def test_there_are_never_more_than_the_most() -> None:
    count = ConnectionCount(8, most=16)
    assert observe(count, [8e6, 10e6, 12e6, 15e6, 16e6]) == [2, 2, 3, 1, 0]
    assert (count.opened, count.right, count.is_settled) == (16, 16, True)


def test_connections_that_add_little_end_and_those_that_add_nothing_take_one_along() -> None:
    some, none = ConnectionCount(8, most=16), ConnectionCount(8, most=16)
    assert observe(some, [8e6, 8.5e6]) == observe(none, [8e6, 7.9e6]) == [2, -2]
    assert (some.right, none.right) == (8, 7)


def test_a_busy_network_leaves_half_of_the_first_connections() -> None:
    right = FIRST_COUNT
    for _ in range(20):
        count = ConnectionCount(right, most=MAX_COUNT)
        observe(count, [8e6, 7e6])
        right = count.right
    assert right == FIRST_COUNT // 2
