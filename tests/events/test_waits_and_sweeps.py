"""Waits, and what is swept: the events that other processes and threads cause."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from filelock import lock_descriptor
from support.events import of
from support.processes import spawn, wait_until

from tmpcache import Cache, Outcome
from tmpcache.events import (
    Event,
    Fetched,
    Swept,
    Waited,
)
from tmpcache.testing import Bucket
from tmpcache.testing.faults import Fault

MIB = 1 << 20


def test_waiting_for_another_process_is_told(
    root: Path, bucket: Bucket, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"x" * 1000)
    code = """
        import tmpcache
        from tmpcache.common.objects import ObjectName
        cache = tmpcache.Cache(root, quota="4 MiB")
        name = ObjectName(cache._origin.name, "models", "a")
        with cache._store.downloads.locked_partial(name, 10):
            say(); hear()
    """
    cache = Cache(root, quota="4 MiB")
    cache.usage()
    looks: list[object] = []

    def look(*args: Any, **options: Any) -> bool:
        looks.append(args)
        return lock_descriptor(*args, **options)

    monkeypatch.setattr("filelock.lock_descriptor", look)
    with spawn(code, root=str(root)) as other:
        other.hear()
        fetching = threading.Thread(target=cache.fetch, args=("models", "a"))
        fetching.start()
        wait_until(lambda: len(looks) > 3)  # it has found the lock held, and waits
        other.say()
        fetching.join()
    (waited,) = of(Waited, told)
    assert (waited.bucket, waited.key, waited.other) == ("models", "a", "process")
    assert waited.seconds > 0
    assert str(waited) == f"s3://models/a: waited {waited.seconds:.3f} s for another process"


def test_waiting_for_another_thread_is_told_once_for_each(
    cache: Cache, bucket: Bucket, told: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"x" * 1000)
    flights = cache._fetcher._single_flight
    arrived, original = Barrier(9), flights._wait

    def wait_for_all(*args: Any) -> None:
        arrived.wait()
        original(*args)

    monkeypatch.setattr(flights, "_wait", wait_for_all)
    bucket.inject("a", Fault(before=arrived.wait), times=1)  # the leader's request
    with ThreadPoolExecutor(9) as threads:
        list(threads.map(lambda _: cache.fetch("models", "a", max_age=60), range(9)))
    assert len(of(Fetched, told)) == 1
    assert [event.other for event in of(Waited, told)] == ["thread"] * 8


def leave_dead(root: Path, bucket: Bucket) -> None:
    """Kill a process that has a lease and a scratch directory."""
    bucket.put("a", b"x")
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="4 MiB")
        path, work = cache.fetch("models", "a"), cache.scratch()
        work.__enter__()
        say(); hear()
    """
    with spawn(code, root=str(root)) as other:
        other.hear()
        other.kill()


def test_what_dead_processes_left_is_told_when_it_is_swept(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
    leave_dead(root, bucket)
    cache = Cache(root, quota="4 MiB")
    with cache.invocation():
        pass
    swept = of(Swept, told)
    assert sum(event.sessions for event in swept) == 1
    assert sum(event.scratches for event in swept) == 1
    assert str(swept[0]) == "swept what dead processes left: 1 session files"


def test_the_first_hit_of_a_process_tells_what_it_has_swept(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
    leave_dead(root, bucket)
    assert Cache(root, quota="4 MiB", max_age=3600).fetch("models", "a").outcome is Outcome.HIT
    assert sum(event.sessions for event in of(Swept, told)) == 1
    assert sum(event.scratches for event in of(Swept, told)) == 1
