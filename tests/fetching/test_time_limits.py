"""A call returns by its deadline, whatever does not answer; a stale copy is served before it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from support.origins import through_both_readers

from tmpcache import Cache, Outcome
from tmpcache.common.deadline import Deadline, deadline_within
from tmpcache.errors import DeadlineExceededError, OriginUnavailableError
from tmpcache.testing import Bucket
from tmpcache.testing.faults import Fault

pytestmark = through_both_readers


class Context:
    """A function that is killed in 3.5 seconds: 3, less the margin."""

    def get_remaining_time_in_millis(self) -> int:
        return 3500


@pytest.fixture
def silent(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Called, it lets S3 answer no longer; botocore would ask five times."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    healed = threading.Event()
    bucket.put("a", b"a")
    bucket.put("b", b"b")

    def silence() -> None:
        bucket.server.forget()
        wait = Fault(before=lambda: healed.wait(20))
        for path in ("/models/a", "/models/b", "/models", "/models/"):
            for method in ("GET", "PUT"):
                bucket.server.inject(path, wait, method=method)

    yield silence
    healed.set()
    bucket.server.heal()


def in_time(call: Callable[[], object], seconds: float = 8.0) -> object:
    """What a call gives, or its error; it takes no longer, on a busy machine.

    With all of botocore's five tries it would take 10 seconds and more.
    """
    began = time.monotonic()
    try:
        found: object = call()
    except (DeadlineExceededError, OriginUnavailableError) as error:
        found = error
    assert time.monotonic() - began < seconds
    return type(found) if isinstance(found, Exception) else found


def together(count: int, call: Callable[[], object]) -> list[object]:
    """What so many threads get for the same call."""
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(in_time(call))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == count
    return found


def test_a_copy_stands_in_before_the_time_is_up(
    cache: Cache, bucket: Bucket, silent: Callable[[], None]
) -> None:
    cache.fetch("models", "a").release()
    silent()
    with cache.invocation(Context()):
        found = in_time(lambda: cache.fetch("models", "a", stale_if_error=60).outcome)
        assert found is Outcome.STALE
        assert (
            in_time(lambda: cache.fetch("models", "b", stale_if_error=60)) is DeadlineExceededError
        )


def test_many_threads_do_not_wait_for_a_silent_origin_in_turn(
    cache: Cache, bucket: Bucket, silent: Callable[[], None]
) -> None:
    cache.fetch_many("models", ["a", "b"])
    silent()
    keys = iter(["a", "b"] * 8)
    with cache.invocation(Context()):
        found = together(16, lambda: cache.fetch("models", next(keys), stale_if_error=60).outcome)
    assert set(found) == {Outcome.STALE}
    assert len(bucket.server.requests) == 2


def test_many_threads_without_a_copy_end_with_the_time(
    cache: Cache, bucket: Bucket, silent: Callable[[], None]
) -> None:
    """Each that waited for another's answer would ask next, although the time was up."""
    silent()
    with cache.invocation(Context()):
        found = together(16, lambda: cache.fetch("models", "a"))
    assert set(found) == {DeadlineExceededError}


def test_a_silent_origin_is_asked_again_after_a_moment(
    cache: Cache, bucket: Bucket, silent: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpcache.fetching.origin_requests._UNRESPONSIVE_FOR", 1.0)
    cache.fetch_many("models", ["a", "b"])
    silent()
    outcomes = []
    with cache.invocation(Context()):
        outcomes.append(cache.fetch("models", "a", stale_if_error=60).outcome)
    bucket.server.heal()
    outcomes.append(cache.fetch("models", "b", stale_if_error=60).outcome)
    assert len(bucket.gets("b")) == 0
    time.sleep(1.0)
    outcomes.append(cache.fetch("models", "b", stale_if_error=60).outcome)
    assert outcomes == [Outcome.STALE, Outcome.STALE, Outcome.REVALIDATED]


def test_who_has_no_copy_asks_however_silent_it_was(
    cache: Cache, bucket: Bucket, silent: Callable[[], None]
) -> None:
    cache.fetch("models", "a").release()
    silent()
    with cache.invocation(Context()):
        cache.fetch("models", "a", stale_if_error=60)
    bucket.server.heal()
    assert cache.fetch("models", "b", stale_if_error=60).outcome is Outcome.FETCHED
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED


@pytest.mark.parametrize("verb", ["fetch_many", "fetch_prefix", "put"])
def test_no_verb_outlasts_the_deadline(cache: Cache, silent: Callable[[], None], verb: str) -> None:
    calls: dict[str, Callable[[], object]] = {
        "fetch_many": lambda: cache.fetch_many("models", ["a"], return_exceptions=True)[0],
        "fetch_prefix": lambda: cache.fetch_prefix("models", ""),
        "put": lambda: cache.put("models", "a", b"other"),
    }
    silent()
    with cache.invocation(Context()):
        assert in_time(calls[verb]) is DeadlineExceededError


def test_a_briefer_deadline_ends_with_the_one_it_is_of() -> None:
    deadline = deadline_within(None)
    brief = deadline.briefer()
    assert 0.5 < deadline.remaining() - brief.remaining() < 1.5
    assert 0.7 < Deadline(1).briefer().remaining() < 0.8
    deadline.cancel()
    assert brief.is_cancelled
    assert deadline.briefer().is_cancelled
