"""`fetch_many` that a signal, a deadline, a fork or an exception cuts short."""

from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

import pytest
from support.content import assert_accounts_balance, content
from support.processes import crowd, release, wait_until
from support.proxy import FaultProxy, Trouble
from support.shelf import Shelf

from tmpcache import Cache, CachedFile, Outcome
from tmpcache.common.deadline import Deadline
from tmpcache.errors import DeadlineExceededError, FetchManyError
from tmpcache.testing import Bucket

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


# ---- errors


def filled(bucket: Bucket, count: int) -> list[str]:
    """The keys of so many small objects, put into moto's own tables."""
    from moto.s3.models import s3_backends

    keys = [f"many/{number:05}" for number in range(count)]
    backend = s3_backends["123456789012"]["aws"]
    for key in keys:
        backend.put_object(bucket.name, key, key.encode())
    return keys


# ---- bad days in the middle


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_all_threads_at_once_and_keeps_what_can_be_gone_on_with(
    root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    body = content("large", 12 * MIB)
    bucket.put("large", body)
    bucket.put("small", b"small")
    proxy.set(Trouble(body="stall", after=10 * MIB))
    cache = Cache(root, quota="64 MiB")

    def interrupt() -> None:
        proxy.wait_struck()
        wait_until(lambda: any(has_come(file) for file in (root / "partial").iterdir()))
        os.kill(os.getpid(), signal.SIGINT)

    def has_come(file: Path) -> bool:
        return file.read_bytes()[9 * MIB :][:KIB] == body[9 * MIB :][:KIB]

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        cache.fetch_many("models", ["large", "small"])
    helper.join()
    assert ours() == []
    proxy.heal()
    bucket.server.forget()
    paths = cache.fetch_many("models", ["large", "small"])
    assert [path.read_bytes() for path in paths] == [body, b"small"]
    assert {get.range is not None for get in bucket.gets("large")} == {True}
    assert_accounts_balance(cache)


@pytest.mark.usefixtures("ctrl_c")
def test_a_read_that_waits_is_interrupted(cache: Cache, shelf: Shelf) -> None:
    waiting: list[str] = []
    interrupted: list[bool] = []

    def pace(key: str, at: int, halted: threading.Event) -> None:
        waiting.append(key)
        if len(waiting) == 4:
            os.kill(os.getpid(), signal.SIGINT)
        interrupted.append(halted.wait(10))

    shelf.pace = pace
    with pytest.raises(KeyboardInterrupt):
        cache.fetch_many("models", shelf.objects, threads=4)
    assert interrupted == [True] * 4
    shelf.pace = lambda key, at, halted: None
    assert len(cache.fetch_many("models", shelf.objects)) == 300


def test_what_progress_raises_ends_the_call(cache: Cache, shelf: Shelf) -> None:
    waiting: list[str] = []
    interrupted: list[bool] = []

    def pace(key: str, at: int, halted: threading.Event) -> None:
        if key > "00100.bin":
            waiting.append(key)
            interrupted.append(halted.wait(10))

    def progress(done: int, total: int, size: int) -> None:
        if done > 90 and waiting:
            raise LookupError("no more")

    shelf.pace = pace
    with pytest.raises(LookupError):
        cache.fetch_many("models", shelf.objects, progress=progress)
    assert interrupted
    assert all(interrupted)
    assert ours() == []
    assert_accounts_balance(cache)


def test_progress_is_told_by_the_calling_thread(cache: Cache, shelf: Shelf) -> None:
    told: list[tuple[int, int, int]] = []
    threads = set()

    def progress(*amounts: int) -> None:
        told.append(amounts)  # type: ignore[arg-type]
        threads.add(threading.current_thread())

    keys = list(shelf.objects)
    cache.fetch_many("models", keys[:100])
    cache.fetch_many("models", [*keys, keys[0], "gone"], max_age=60, progress=progress,
                     return_exceptions=True)  # fmt: skip
    assert threads == {threading.current_thread()}
    assert told[0] == (100, 301, 0)
    assert told[-1] == (301, 301, sum(len(shelf.objects[key]) for key in keys[100:]))
    assert told == sorted(told)
    told.clear()
    cache.fetch_many("models", keys, max_age=60, progress=progress)
    assert told == [(300, 300, 0)]


def test_a_deadline_in_the_middle(cache: Cache, shelf: Shelf) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 2000

    def gate(key: str, deadline: Deadline | None) -> None:
        assert deadline is not None
        if key >= "00050.bin":
            while deadline.remaining() > 0:
                time.sleep(0.01)
            deadline.check(key)

    shelf.gate = gate
    with cache.invocation(Context(), margin=0), pytest.raises(FetchManyError) as caught:
        cache.fetch_many("models", shelf.objects)
    assert {type(error) for error in caught.value.exceptions} == {DeadlineExceededError}
    assert len(caught.value.exceptions) == 250
    assert all(caught.value.results[:50])
    assert sum(shelf.asked.values()) <= 50 + 32, "nobody is asked when the time is up"


def test_threads_belong_to_the_invocation_and_the_context_of_the_caller(
    cache: Cache, shelf: Shelf
) -> None:
    caller = ContextVar("caller", default="nobody")
    caller.set("me")
    heard = set()
    shelf.gate = lambda key, deadline: heard.add(caller.get())
    with cache.invocation() as _, cache.invocation():
        paths = cache.fetch_many("models", shelf.objects)
        assert {path.outcome for path in paths} == {Outcome.FETCHED}
        assert {path.outcome for path in cache.fetch_many("models", shelf.objects)} == {Outcome.HIT}
        assert cache.usage().leased > 0
    assert cache.usage().leased == 0
    assert heard == {"me"}


def test_a_child_forked_afterwards_goes_on(cache: Cache, shelf: Shelf) -> None:
    paths = cache.fetch_many("models", list(shelf.objects)[:20])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        found = cache.fetch_many("models", shelf.objects)
        whole = [path.read_bytes() for path in found] == list(shelf.objects.values())
        os._exit(0 if whole else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(cache.fetch_many("models", shelf.objects)) == 300
    assert paths[3].read_bytes() == b"3"


def test_two_processes_fetch_each_object_about_once(bucket: Bucket, root: Path) -> None:
    keys = filled(bucket, 200)
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="64 MiB")
        say("ready"); hear()
        paths = cache.fetch_many("models", keys)
        say([path.read_text() for path in paths] == keys)
    """
    with crowd(2, code, root=str(root), keys=keys) as children:
        release(children)
        assert [child.hear() for child in children] == [True, True]
    sent = [get for get in bucket.server.gets() if get.status == 200]
    assert len(sent) <= 1.1 * len(keys)


def test_two_calls_in_one_process_fetch_each_object_once(cache: Cache, shelf: Shelf) -> None:
    found: list[list[CachedFile]] = []
    barrier = threading.Barrier(2)

    def call() -> None:
        barrier.wait()
        found.append(cache.fetch_many("models", shelf.objects))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[path.key for path in paths] for paths in found] == [list(shelf.objects)] * 2
    assert set(shelf.sent.values()) == {1}
