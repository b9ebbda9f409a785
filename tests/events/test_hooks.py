"""Hooks are called under no lock of ours, and what they do breaks nothing."""

from __future__ import annotations

import logging
import os
import signal
import threading
from pathlib import Path

import pytest
from support.content import content
from support.processes import spawn

import tmpcache
from tmpcache import Cache
from tmpcache.errors import ConfigError, DeadlineExceededError
from tmpcache.events import (
    Event,
    Evicted,
    Fetched,
    Retried,
    Revalidated,
)
from tmpcache.testing import Bucket
from tmpcache.testing.faults import SLOW_DOWN

MIB = 1 << 20


def test_a_subscription_ends(cache: Cache, bucket: Bucket) -> None:
    bucket.put("ends", b"x")
    first: list[Event] = []
    second: list[Event] = []
    subscription = tmpcache.subscribe(first.append)
    with tmpcache.subscribe(second.append):
        cache.fetch("models", "ends")
        subscription.close()
        subscription.close()
        cache.fetch("models", "ends")
    cache.fetch("models", "ends")
    # Nothing else is compared: a thread that another test has left may have something to tell.
    of_this = [
        [type(e) for e in told if getattr(e, "key", "") == "ends"] for told in (first, second)
    ]
    assert of_this == [[Fetched], [Fetched, Revalidated]]
    with pytest.raises(ConfigError, match="hook=3 is not a function"):
        tmpcache.subscribe(3)  # type: ignore[arg-type]


def test_a_hook_that_fails_is_logged_once_and_breaks_nothing(
    cache: Cache, bucket: Bucket, caplog: pytest.LogCaptureFixture, told: list[Event]
) -> None:
    bucket.put("a", b"x")

    def fail(event: Event) -> None:
        told.append(event)
        raise ValueError("a mistake in the hook")

    told.clear()
    with tmpcache.subscribe(fail):
        for _ in range(3):
            assert cache.fetch("models", "a").read_bytes() == b"x"
    assert len(told) == 6  # both hooks were called each time
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(failures) == 1
    assert "a mistake in the hook" in caplog.text


def test_a_time_limit_that_strikes_in_a_hook_ends_the_call(cache: Cache, bucket: Bucket) -> None:
    bucket.put("a", b"x")

    class LimitError(Exception):
        pass

    def strike(number: int, frame: object) -> None:
        raise LimitError

    before = signal.signal(signal.SIGUSR1, strike)
    try:
        with (
            tmpcache.subscribe(lambda event: os.kill(os.getpid(), signal.SIGUSR1)),
            pytest.raises(LimitError),
        ):
            cache.fetch("models", "a")
    finally:
        signal.signal(signal.SIGUSR1, before)
    told: list[Event] = []
    with tmpcache.subscribe(told.append):
        assert cache.fetch("models", "a").read_bytes() == b"x"
    assert len(told) == 1  # hooks go on


def test_a_hook_may_use_the_cache_as_no_lock_is_held(root: Path, bucket: Bucket) -> None:
    """In a transaction each of these calls would raise; under the download lock, wait for 10 s."""
    for key in ("a", "b", "d", "hook"):
        bucket.put(key, content(key, MIB))
    cache = Cache(root, quota="4 MiB", lock_timeout=3600)
    told: list[Event] = []
    failures: list[Exception] = []

    def use(event: Event) -> None:
        told.append(event)
        try:
            cache.gc()
            assert cache.fetch("models", getattr(event, "key", "hook")).size == MIB
        except Exception as error:
            failures.append(error)

    with tmpcache.subscribe(use):
        cache.fetch("models", "a")
        cache.fetch("models", "b")
        cache.put("models", "c", content("c", MIB))
        cache.fetch_many("models", ["a", "b"])
        cache.fetch("models", "d")
        cache.clear()
    assert failures == []
    # What the hook itself caused was not told: it would never end.
    assert {type(event) for event in told} >= {Fetched, Evicted}
    assert len(told) < 15


def test_a_hook_is_called_in_the_thread_where_it_happened(cache: Cache, bucket: Bucket) -> None:
    bucket.put("a", b"x")
    threads: list[str] = []
    with tmpcache.subscribe(lambda event: threads.append(threading.current_thread().name)):
        thread = threading.Thread(target=cache.fetch, args=("models", "a"), name="mine")
        thread.start()
        thread.join()
    assert threads == ["mine"]


def test_hooks_stay_in_forked_children(root: Path, bucket: Bucket) -> None:
    bucket.put("a", b"x")
    with spawn(
        """
        import tmpcache
        cache, told = tmpcache.Cache(root, quota="4 MiB"), []
        tmpcache.subscribe(told.append)
        cache.fetch("models", "a")
        if os.fork() == 0:
            cache.fetch("models", "a")
            say([type(event).__name__ for event in told])
            os._exit(0)
        os.wait()
        say([type(event).__name__ for event in told])
        """,
        root=str(root),
    ) as child:
        assert child.hear() == ["Fetched", "Revalidated"]
        assert child.hear() == ["Fetched"]


def test_a_fetch_that_fails_tells_what_happened_until_then(
    root: Path, bucket: Bucket, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    bucket.put("a", b"x")
    bucket.inject("a", SLOW_DOWN)
    with pytest.raises((tmpcache.OriginUnavailableError, DeadlineExceededError)):
        Cache(root, quota="4 MiB").fetch("models", "a")
    assert [type(event) for event in told] == [Retried]
