"""A connection that is much slower than others is not waited for: another one reads its range."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.content import content
from support.odd import OddStore
from support.origins import through_both_readers
from support.shelf import Shelf

from tmpcache import Cache
from tmpcache.errors import AccessDeniedError
from tmpcache.origin.transfer.range_reader import open_connections

MIB = 1 << 20
BODY = content("taken over", 40 * MIB)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddStore]:
    """A server of one large object."""
    store = OddStore(BODY)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.endpoint)
    yield store
    store.stop()


@pytest.fixture
def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has nothing left to do takes over what another one reads, however fast that is."""
    monkeypatch.setattr("tmpcache.origin.transfer.byte_ranges._PATIENCE", 0.0)
    monkeypatch.setattr("tmpcache.origin.transfer.byte_ranges._OVERDUE", 0.0)


def fetch(cache: Cache) -> None:
    path = cache.fetch("models", "one")
    assert path.read_bytes() == BODY
    assert cache.stats().bytes_fetched == len(BODY), "some bytes came twice"
    assert not open_connections
    assert "tmpcache connection" not in [thread.name for thread in threading.enumerate()]


def hangs_up(link: socket.socket) -> bool:
    """Wait until the client closes a connection; return whether it does."""
    readable, _, _ = select.select([link], [], [], 60)
    return bool(readable)


@pytest.mark.parametrize("stalled", [1, 4])
@through_both_readers[1]
@through_both_readers[0]
def test_a_connection_that_stalls_is_not_waited_for(
    root: Path, store: OddStore, monkeypatch: pytest.MonkeyPatch, stalled: int
) -> None:
    monkeypatch.setattr("tmpcache.origin.s3.timeouts.READ_TIMEOUT", 120.0)
    left: list[bool] = []

    def pace(link: socket.socket, others: int, sent: int) -> None:
        time.sleep(0.02)
        if others == stalled and sent == MIB and not left:
            left.append(False)
            left[0] = hangs_up(link)

    store.pace = pace
    with Cache(root, quota="100 MiB") as cache:
        fetch(cache)
    assert left == [True]


@pytest.mark.usefixtures("without_patience")
@pytest.mark.parametrize("slow", range(4))
@through_both_readers[1]
@through_both_readers[0]
def test_whoever_is_taken_over_whenever_no_byte_is_lost_or_comes_twice(
    root: Path, store: OddStore, slow: int
) -> None:
    store.pace = lambda link, others, sent: time.sleep(0.03 if others == slow else 0.005)
    with Cache(root, quota="100 MiB") as cache:
        fetch(cache)


def helpers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "connection" in thread.name]


@pytest.mark.usefixtures("without_patience")
@pytest.mark.parametrize("refused", [False, True])
def test_what_a_connection_reads_after_its_range_was_taken_over_is_not_used(
    root: Path, refused: bool
) -> None:
    """Not even if the other one is refused, and the first one has to read the range after all."""
    shelf = Shelf({"one": BODY})
    waits, taken_over = threading.Event(), threading.Event()

    def pace(key: str, at: int, halted: threading.Event) -> None:
        """The first reader reads slowly, then waits until its range is taken over."""
        if threading.current_thread() is not threading.main_thread():
            assert waits.wait(30)
            return
        if taken_over.is_set():
            return
        time.sleep(0.05)
        if helpers():
            waits.set()
            assert halted.wait(30)
            halted.clear()  # the read brings bytes all the same
            taken_over.set()
            while refused and helpers():
                time.sleep(0.001)

    def gate(key: str, deadline: object) -> None:
        if refused and threading.current_thread() is not threading.main_thread():
            if not taken_over.is_set() and shelf.asked[key] < 6:
                return
            raise AccessDeniedError("no more", bucket="models", key=key)

    shelf.pace, shelf.gate = pace, gate
    with Cache(root, quota="100 MiB", origin=shelf) as cache:
        fetch(cache)
    assert taken_over.is_set()
