"""A large object that cannot be split is read over one connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.content import assert_accounts_balance, content
from support.odd import OddStore

from tmpcache import Cache, Outcome
from tmpcache.errors import OriginUnavailableError
from tmpcache.origin.transfer.range_reader import open_connections

MIB = 1 << 20
QUOTA = "200 MiB"

ONE = content("one", 24 * MIB)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddStore]:
    """A store that is not quite S3."""
    store = OddStore(ONE)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", store.endpoint)
    yield store
    store.stop()


def fetched_in_one(root: Path, odd: OddStore) -> None:
    with Cache(root, quota=QUOTA) as cache:
        path = cache.fetch("models", "one")
        assert path.read_bytes() == odd.body
        assert path.outcome is Outcome.FETCHED
        path.release()
        assert_accounts_balance(cache)
    assert not open_connections
    assert not [one.name for one in threading.enumerate() if one.name.startswith("tmpcache ")]


@pytest.mark.parametrize("threads", [0, 1])
def test_no_more_threads(
    root: Path, odd: OddStore, monkeypatch: pytest.MonkeyPatch, threads: int
) -> None:
    start, left = threading.Thread.start, iter(range(threads))

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("tmpcache") and next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    fetched_in_one(root, odd)
    if not threads:
        assert odd.log == [(200, None)]


def test_a_weak_etag_is_no_condition(root: Path, odd: OddStore) -> None:
    """RFC 9110, 13.1.1: a weak ETag never matches in ``If-Match``."""
    odd.etag, odd.refuses_if_match = 'W/"1"', True
    fetched_in_one(root, odd)
    assert odd.log == [(200, None)]


def test_a_weak_etag_is_nothing_to_go_on_from(root: Path, odd: OddStore) -> None:
    odd.etag, odd.breaks_after = 'W/"1"', 20 * MIB
    with Cache(root, quota=QUOTA) as cache:
        with pytest.raises(OriginUnavailableError, match="broke 5 times"):
            cache.fetch("models", "one")
        odd.breaks_after = len(ONE)
        assert cache.fetch("models", "one").read_bytes() == ONE
    assert {asked for _, asked in odd.log} == {None}
    assert len(odd.log) == 6


def test_a_store_that_refuses_every_condition(root: Path, odd: OddStore) -> None:
    odd.refuses_if_match = True
    fetched_in_one(root, odd)


def test_a_store_that_refuses_every_condition_and_breaks_bodies(root: Path, odd: OddStore) -> None:
    def heal(number: int, others: int) -> bool:
        odd.breaks_after = 4 * MIB if number < 4 else len(ONE)
        return False

    odd.refuses_if_match, odd.throttles = True, heal
    fetched_in_one(root, odd)


def test_a_range_without_an_etag_may_be_of_another_version(root: Path, odd: OddStore) -> None:
    odd.etag_of_ranges = None
    fetched_in_one(root, odd)


@pytest.mark.parametrize("place", ["", "bytes */{size}", "bytes {first}-{last}/*", "lines 1-2/3"])
def test_a_range_that_does_not_say_where_it_is_from(root: Path, odd: OddStore, place: str) -> None:
    odd.content_range = place
    fetched_in_one(root, odd)


@pytest.mark.parametrize("place", ["", "bytes {first}-{last}/{size}"])
def test_a_200_with_only_the_part(root: Path, odd: OddStore, place: str) -> None:
    odd.status_of_ranges, odd.content_range = 200, place
    fetched_in_one(root, odd)


def test_a_store_that_allows_one_connection(root: Path, odd: OddStore) -> None:
    odd.throttles = lambda number, others: others > 0
    odd.body, odd.pause = ONE[: 17 * MIB], 0.07  # the first part takes longer than five tries
    fetched_in_one(root, odd)
    assert [status for status, asked in odd.log if not asked] == [200], "it is read on"
    assert len(odd.log) <= 4


def test_a_store_that_answers_503_to_every_second_request(root: Path, odd: OddStore) -> None:
    odd.throttles = lambda number, others: number % 2 == 1
    fetched_in_one(root, odd)
    assert len(odd.log) < 40


def test_parts_that_are_denied_are_read_by_the_first_connection(root: Path, odd: OddStore) -> None:
    odd.status_of_ranges = 403
    fetched_in_one(root, odd)


def test_a_body_that_breaks_without_ranges_is_not_begun_anew_for_ever(
    root: Path, odd: OddStore
) -> None:
    odd.etag, odd.breaks_after, odd.pause = "", 8 * MIB, 0
    with Cache(root, quota=QUOTA) as cache, pytest.raises(OriginUnavailableError, match="broke 5"):
        cache.fetch("models", "one")
    assert len(odd.log) == 5
