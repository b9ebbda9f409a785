"""What hooks and the log are told: every event, once, with its facts, under no lock of ours."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError
from http import HTTPStatus
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from filelock import lock_descriptor
from support.content import content
from support.processes import spawn, wait_until
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.common.events import LEVELS
from tmpcache.common.events import subscriptions as all_subscriptions
from tmpcache.errors import ConfigError, DeadlineExceededError
from tmpcache.events import (
    Damaged,
    Event,
    Evicted,
    Fetched,
    Retried,
    Revalidated,
    Stale,
    Swept,
    Waited,
)
from tmpcache.testing import Bucket
from tmpcache.testing.faults import INTERNAL_ERROR, SLOW_DOWN, Fault

MIB = 1 << 20


@pytest.fixture
def told() -> Iterator[list[Event]]:
    """All events so far."""
    events: list[Event] = []
    with tmpcache.subscribe(events.append):
        yield events
    assert not all_subscriptions


def of(kind: type[Event], told: list[Event]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


# ---- the facts ----------------------------------------------------------------------------------


def test_a_fetch_and_a_revalidation_are_told_with_their_facts(
    cache: Cache, bucket: Bucket, told: list[Event]
) -> None:
    bucket.put("a", b"x" * 1000)
    cache.fetch("models", "a")
    cache.fetch("models", "a")
    fetched, revalidated = told
    assert isinstance(fetched, Fetched)
    assert (fetched.bucket, fetched.key, fetched.version_id) == ("models", "a", None)
    assert (fetched.bytes, fetched.seconds > 0, fetched.level) == (1000, True, logging.DEBUG)
    assert str(fetched).startswith("s3://models/a fetched: 1000 bytes in 0.")
    assert isinstance(revalidated, Revalidated)
    assert (revalidated.key, revalidated.bytes) == ("a", 1000)
    assert str(revalidated).startswith("s3://models/a revalidated in 0.")
    with pytest.raises(FrozenInstanceError):
        fetched.bytes = 3  # type: ignore[misc]


def test_a_version_is_told(cache: Cache, bucket: Bucket, told: list[Event]) -> None:
    bucket.client.put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Enabled"}
    )
    version = bucket.client.put_object(Bucket="models", Key="a", Body=b"x")["VersionId"]
    cache.fetch("models", "a")
    (fetched,) = of(Fetched, told)
    assert fetched.version_id == version
    assert f"s3://models/a?versionId={version} fetched" in str(fetched)


def test_many_objects_are_told_one_by_one(cache: Cache, bucket: Bucket, told: list[Event]) -> None:
    keys = [f"k{number}" for number in range(40)]
    for key in keys:
        bucket.put(key, key.encode())
    cache.fetch_many("models", keys)
    assert sorted(event.key for event in of(Fetched, told)) == sorted(keys)
    assert all(event.seconds > 0 for event in of(Fetched, told))
    told.clear()
    cache.fetch_many("models", keys)
    assert sorted(event.key for event in of(Revalidated, told)) == sorted(keys)
    told.clear()
    cache.fetch_prefix("models", "k")
    assert len(told) == len(of(Revalidated, told)) == 40
    assert {event.seconds for event in of(Revalidated, told)} == {None}
    assert "revalidated by a listing" in str(told[0])


def test_a_damaged_copy_is_told_with_what_is_wrong_and_fetched_anew(
    cache: Cache, bucket: Bucket, caplog: pytest.LogCaptureFixture, told: list[Event]
) -> None:
    bucket.put("a", b"x" * 1000)
    path = cache.fetch("models", "a")
    os.chmod(path, 0o600)
    os.truncate(path, 10)
    told.clear()
    assert cache.fetch("models", "a", max_age=60).outcome is Outcome.FETCHED
    damaged, fetched = told
    assert damaged == Damaged("truncated", "size 10 ≠ 1000", "models", "a", None)
    assert isinstance(fetched, Fetched)
    line = "s3://models/a damaged: size 10 ≠ 1000, fetched anew"
    assert ("tmpcache", logging.WARNING, line) in caplog.record_tuples
    assert dict(cache.stats().damaged) == {"truncated": 1}


@pytest.mark.parametrize(
    ("harm", "reason", "detail"),
    [
        (os.unlink, "missing", "no file"),
        (lambda path: os.utime(path, (1, 1)), "changed", "mtime 1000000000 ≠ "),
    ],
)
def test_other_damage_is_told(
    cache: Cache,
    bucket: Bucket,
    told: list[Event],
    harm: Callable[[Path], None],
    reason: str,
    detail: str,
) -> None:
    bucket.put("a", b"x" * 1000)
    path = cache.fetch("models", "a")
    if reason == "changed":
        os.chmod(path, 0o600)
        path_ = Path(str(path))
        path_.write_bytes(b"y" * 1000)
    harm(Path(str(path)))
    told.clear()
    cache.fetch("models", "a", max_age=60)
    (damaged,) = of(Damaged, told)
    assert (damaged.reason, damaged.key) == (reason, "a")
    assert damaged.detail.startswith(detail)


def test_what_verify_finds_and_a_damaged_index_are_told(
    cache: Cache, bucket: Bucket, root: Path, told: list[Event]
) -> None:
    bucket.put("a", b"x" * 1000)
    path = Path(str(cache.fetch("models", "a")))
    status = path.stat()
    os.chmod(path, 0o600)
    path.write_bytes(b"y" * 1000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    told.clear()
    cache.verify()
    assert told == [Damaged("corrupt", "other bytes")]
    assert str(told[0]) == "damaged: corrupt (other bytes)"
    told.clear()
    cache.close()
    (root / "index.sqlite").write_bytes(b"garbage" * 1000)
    cache.fetch("models", "a")
    (damaged,) = of(Damaged, told)
    assert (damaged.reason, damaged.detail) == ("index", "file is not a database")


def test_an_eviction_is_told_with_what_it_was_for(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
    with Cache(root, quota="4 MiB") as cache:
        for key in ("a", "b"):
            bucket.put(key, content(key, 2 * MIB))
        digest = cache.fetch("models", "a").digest
        told.clear()
        cache.fetch("models", "b")
        evicted, fetched = told
        assert isinstance(evicted, Evicted)
        assert (evicted.digests, evicted.bytes) == ((digest,), 2 * MIB)
        assert evicted.reason == "room for s3://models/b"
        assert str(evicted) == "evicted 1 file, 2097152 bytes: room for s3://models/b"
        assert isinstance(fetched, Fetched)
        told.clear()
        cache.evict("models", "b")
        assert [event.reason for event in of(Evicted, told)] == ["evict() was called"]
        assert cache.stats().evicted == 2


def test_a_stale_copy_is_told_with_its_age_and_the_error(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
    now = [1_800_000_000.0]
    cache = Cache(root, quota="4 MiB", clock=lambda: now[0], stale_if_error=3600)
    bucket.put("a", b"x")
    cache.fetch("models", "a")
    bucket.inject("a", INTERNAL_ERROR)
    now[0] += 100
    told.clear()
    assert cache.fetch("models", "a").outcome is Outcome.STALE
    (stale,) = told
    assert isinstance(stale, Stale)
    assert (stale.key, stale.age, stale.level) == ("a", 100, logging.WARNING)
    assert "InternalError" in stale.reason
    assert str(stale).startswith("s3://models/a served stale, 100 s old: ")


def test_offline_nothing_is_told_of_stale_copies(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
    bucket.put("a", b"x")
    Cache(root, quota="4 MiB").fetch("models", "a")
    told.clear()
    cache = Cache(root, quota="4 MiB", offline=True)
    assert cache.fetch("models", "a").outcome is Outcome.STALE
    assert told == []


@pytest.mark.parametrize("origin", ["direct", "obstore"], indirect=True)
def test_a_request_that_is_sent_again_is_told(
    origin: str,
    root: Path,
    bucket: Bucket,
    told: list[Event],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    bucket.put("a", b"x")
    bucket.inject("a", SLOW_DOWN, times=2)
    cache = Cache(root, quota="4 MiB")
    assert cache.fetch("models", "a").outcome is Outcome.FETCHED
    first, second, fetched = told
    assert isinstance(first, Retried)
    assert isinstance(second, Retried)
    assert isinstance(fetched, Fetched)
    assert (first.bucket, first.key, first.attempt, second.attempt) == ("models", "a", 1, 2)
    assert "SlowDown" in first.reason
    assert f"s3://models/a: attempt 1 failed, the next one {first.seconds:.3f} s" in str(first)


def test_a_transfer_that_breaks_and_goes_on_is_told(
    root: Path, bucket: Bucket, proxy: FaultProxy, told: list[Event]
) -> None:
    bucket.put("a", content("a", 3 * MIB))
    proxy.set(Trouble(body="reset", after=MIB, times=1))
    cache = Cache(root, quota="16 MiB")
    cache.fetch("models", "a")
    retried = of(Retried, told)
    assert retried
    assert {event.key for event in retried} == {"a"}


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

    monkeypatch.setattr("tmpcache.store.downloads.download_lock.lock_descriptor", look)
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


def test_what_dead_processes_left_is_told_when_it_is_swept(
    root: Path, bucket: Bucket, told: list[Event]
) -> None:
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
    assert Cache(root, quota="4 MiB", max_age=3600).fetch("models", "a").outcome is Outcome.HIT
    assert sum(event.sessions for event in of(Swept, told)) == 1
    assert sum(event.scratches for event in of(Swept, told)) == 1


def test_every_event_has_a_level_and_a_line_for_a_log() -> None:
    kinds = {kind.__name__: kind for kind in Event.__subclasses__()}
    assert set(kinds) == set(LEVELS) == {*tmpcache.events.__all__} - {"Event"}


def test_a_key_cannot_write_lines_of_its_own_into_a_log() -> None:
    key, reason = "a\nERROR forged\x1b[31m", "first\nsecond\x00"
    events = [
        Fetched("models", key, None, 3, 0.1),
        Revalidated("models", key, None, 3, 0.1),
        Stale("models", key, None, 3, reason),
        Waited("models", key, None, 3, "process"),
        Retried("models", key, None, 1, 0.1, reason),
        Damaged("changed", reason, "models", key),
        Damaged("index", reason),
        Evicted(("0" * 32,), 3, reason),
    ]
    for event in events:
        assert str(event).isprintable()


# ---- hooks ---------------------------------------------------------------------------------------


def test_a_subscription_ends(cache: Cache, bucket: Bucket) -> None:
    bucket.put("a", b"x")
    first: list[Event] = []
    second: list[Event] = []
    subscription = tmpcache.subscribe(first.append)
    with tmpcache.subscribe(second.append):
        cache.fetch("models", "a")
        subscription.close()
        subscription.close()
        cache.fetch("models", "a")
    cache.fetch("models", "a")
    assert (len(first), len(second)) == (1, 2)
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


# ---- the log, and what it costs ------------------------------------------------------------------


def test_the_log_has_rare_events_at_info_and_all_at_debug(
    root: Path, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Cache(root, quota="4 MiB")
    for key in ("a", "b"):
        bucket.put(key, content(key, 2 * MIB))
    caplog.set_level(logging.INFO, "tmpcache")
    cache.fetch("models", "a")
    cache.fetch("models", "b")
    assert [record.getMessage() for record in caplog.records if record.name == "tmpcache"] == [
        "evicted 1 file, 2097152 bytes: room for s3://models/b"
    ]
    caplog.set_level(logging.DEBUG, "tmpcache")
    caplog.clear()
    cache.fetch("models", "a")
    lines = [record.getMessage() for record in caplog.records if record.name == "tmpcache"]
    assert [line.split(" in ")[0] for line in lines][-2:] == [
        "evicted 1 file, 2097152 bytes: room for s3://models/a",
        "s3://models/a fetched: 2097152 bytes",
    ]


def test_no_credentials_are_in_the_log(
    root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-very-secret-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-very-secret-token")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    bucket.put("a", b"x")
    bucket.inject("a", SLOW_DOWN, times=1)
    log = io.StringIO()
    logger, handler = logging.getLogger("tmpcache"), logging.StreamHandler(log)
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    try:
        cache = Cache(root, quota="4 MiB", stale_if_error=60)
        cache.fetch("models", "a")
        bucket.inject("a", Fault(status=HTTPStatus.INTERNAL_SERVER_ERROR, code="InternalError"))
        cache.fetch("models", "a")
    finally:
        logger.removeHandler(handler)
        monkeypatch.undo()
        logger.manager._clear_cache()  # type: ignore[attr-defined]
    assert "served stale" in log.getvalue()
    assert "a-very-secret" not in log.getvalue()


def opcodes(call: Callable[[], object]) -> int:
    """Return how many instructions of the interpreter a call takes."""
    count = 0

    def trace(frame: Any, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_a_hit_takes_no_instruction_more_with_hooks_and_is_no_event(
    root: Path, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    bucket.put("a", b"x")
    cache = Cache(root, quota="4 MiB", max_age=3600, clock=lambda: 1_800_000_000.0)
    cache.fetch("models", "a")

    def from_memory() -> None:
        assert cache.fetch("models", "a").outcome is Outcome.HIT

    def from_index() -> None:
        cache._fetcher.remembered.clear()
        assert cache.fetch("models", "a").outcome is Outcome.HIT

    from_index()
    opcodes(from_memory)  # Python 3.12 counts none the first time
    before = [opcodes(from_memory), min(opcodes(from_index) for _ in range(5))]
    caplog.set_level(logging.DEBUG, "tmpcache")
    caplog.clear()
    told: list[Event] = []
    with tmpcache.subscribe(told.append):
        now = [opcodes(from_memory), min(opcodes(from_index) for _ in range(5))]
    assert now == before
    assert not told
    assert not caplog.records


def test_where_nobody_listens_no_event_is_made(root: Path, bucket: Bucket) -> None:
    """The default level is WARNING: what each fetch does is not worth an import of 5 ms."""
    bucket.put("a", b"x")
    with spawn(
        """
        import logging, tmpcache
        cache = tmpcache.Cache(root, quota="4 MiB", origin="direct")
        outcomes = [cache.fetch("models", "a").outcome.value for _ in range(2)]
        say([outcomes, "tmpcache.events" in sys.modules])
        """,
        root=str(root),
    ) as child:
        assert child.hear() == [["fetched", "revalidated"], False]
