"""A signal handler that raises, at whatever moment: its exception, nothing left, no hang."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import pytest
from support.interrupts import VERBS, TimeIsUp, alarm, attack, attack_by_alarm
from support.leftovers import threads_of_ours
from support.proxy import FaultProxy, Trouble
from support.shelf import Shelf

from tmpcache import Cache
from tmpcache.common.handler_exceptions import reraise_from_handler
from tmpcache.common.threads import Worker, join_all
from tmpcache.fetching.single_flight import SingleFlight
from tmpcache.testing import Bucket
from tmpcache.testing.faults import Fault


class SoftTimeLimitExceeded(Exception):
    """Celery's, which is no OSError."""


@pytest.mark.parametrize("verb", VERBS)
def test_interrupted_at_any_moment_nothing_is_left_and_nobody_hangs(verb: str) -> None:
    most = {"large": 5, "fetch_many": 8, "fetch_prefix": 8}.get(verb, 15)
    assert attack(verb, most, seed=int(time.time())) == {}


def test_interrupted_by_an_alarm_nothing_is_left_and_nobody_hangs() -> None:
    assert attack_by_alarm(35, seed=int(time.time())) == {}


# ---- the handler's exception comes out -----------------------------------------------------------


@pytest.mark.parametrize("kind", [TimeIsUp, SoftTimeLimitExceeded, KeyError])
@pytest.mark.parametrize("origin", ["boto3", "direct", "obstore"], indirect=True)
def test_a_time_limit_ends_a_body_with_its_own_exception(
    origin: str, kind: type[Exception], bucket: Bucket, proxy: FaultProxy, root: Path
) -> None:
    bucket.put("a", bytes(3_000_000))
    proxy.set(Trouble(rate=0.5e6))
    cache = Cache(root, quota="64 MiB")
    began = time.monotonic()
    with pytest.raises(kind), alarm(0.8, kind("time is up")):
        cache.fetch("models", "a")
    assert time.monotonic() - began < 4
    assert len(bucket.gets("a")) == 1


@pytest.mark.parametrize("kind", [TimeIsUp, SoftTimeLimitExceeded])
@pytest.mark.parametrize("origin", ["boto3", "direct"], indirect=True)
def test_a_time_limit_is_not_taken_for_a_failed_request(
    origin: str, kind: type[Exception], bucket: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """urllib3 makes a socket's time-out of a TimeoutError, botocore asks again."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    bucket.put("a", b"a")
    cache = Cache(root, quota="64 MiB")
    cache.fetch("models", "a").release()
    bucket.server.forget()
    answered = threading.Event()
    bucket.inject("a", Fault(before=lambda: answered.wait(3)))
    began = time.monotonic()
    with pytest.raises(kind), alarm(0.5, kind("time is up")):
        cache.fetch("models", "a", stale_if_error=60)
    assert time.monotonic() - began < 2
    answered.set()
    time.sleep(0.1)
    assert len(bucket.gets("a")) == 1


def test_a_time_limit_in_fetch_many_reaches_the_caller_at_once(root: Path) -> None:
    waiting = threading.Event()
    shelf = Shelf({f"{number}": b"x" for number in range(50)})

    def pace(key: str, at: int, halted: threading.Event) -> None:
        waiting.set()
        halted.wait(5)

    shelf.pace = pace
    cache = Cache(root, quota="64 MiB", origin=shelf)
    began = time.monotonic()
    with pytest.raises(SoftTimeLimitExceeded), alarm(0.3, SoftTimeLimitExceeded()):
        cache.fetch_many("models", shelf.objects)
    assert waiting.is_set()
    assert time.monotonic() - began < 2
    assert threads_of_ours() == []


def test_an_error_that_a_handler_has_raised_before_is_not_raised_again() -> None:
    def handle() -> BaseException | None:
        try:
            raise OSError("a real one")
        except OSError as error:
            reraise_from_handler(error)
            return error.__context__

    try:
        with alarm(0.05, TimeIsUp()):
            time.sleep(1)
    except TimeIsUp as earlier:
        found, expected = handle(), earlier
    assert found is expected


def test_an_error_that_is_its_own_cause_is_looked_at_once() -> None:
    """Raised from itself by a helper that returns the error it was given: this never ended."""
    with alarm(5, TimeIsUp()):
        try:
            try:
                raise OSError("a real one")
            except OSError as error:
                raise error from error
        except OSError as error:
            reraise_from_handler(error)


def test_what_a_library_makes_of_a_handlers_exception_is_undone() -> None:
    def library() -> None:
        try:
            time.sleep(1)
        except TimeoutError:
            raise ConnectionError("timed out") from None

    with pytest.raises(TimeIsUp), alarm(0.05, TimeIsUp()):
        try:
            library()
        except ConnectionError as error:
            reraise_from_handler(error)


def test_a_library_that_passes_the_handlers_traceback_on_does_not_hide_its_exception() -> None:
    """urllib3 raises its ProtocolError with the traceback of what interrupted a request."""

    def library() -> None:
        try:
            time.sleep(1)
        except TimeoutError as error:
            raise ConnectionError("aborted").with_traceback(error.__traceback__) from None

    mine = TimeIsUp()
    with pytest.raises(TimeIsUp) as raised, alarm(0.05, mine):
        try:
            library()
        except ConnectionError as error:
            reraise_from_handler(error)
    assert raised.value is mine


def test_an_exception_that_a_handler_made_of_another_is_the_one_raised() -> None:
    def handler(number: int, frame: object) -> None:
        try:
            raise OSError("inside the handler")
        except OSError as error:
            raise TimeIsUp("what it made of it") from error

    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(TimeIsUp, match="made of it"):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                time.sleep(1)
            except TimeIsUp as error:
                reraise_from_handler(error)
                raise AssertionError("taken for an error of the call") from error
    finally:
        signal.signal(signal.SIGALRM, before)


# ---- threads -------------------------------------------------------------------------------------


def test_ctrl_c_inside_the_start_of_a_thread_leaves_none(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Thread.start` waits for the thread: it runs although `start` does not return."""
    start, started = threading.Thread.start, list[str]()

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        started.append(thread.name)
        if started.count("tmpcache fetch") == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    shelf = Shelf({f"{number}": b"x" for number in range(20)})
    cache = Cache(root, quota="64 MiB", origin=shelf)
    with alarm(5, AssertionError("it hangs")), pytest.raises(KeyboardInterrupt):
        cache.fetch_many("models", shelf.objects, threads=4)
    assert threads_of_ours() == []
    assert len(cache.fetch_many("models", shelf.objects, threads=4)) == 20


def test_a_thread_that_begins_after_it_was_called_off_does_nothing() -> None:
    worked = list[int]()
    worker = Worker(lambda: worked.append(1), "tmpcache test")
    worker._first["first"] = "owner"
    assert worker.start()
    join_all([worker])
    assert (worked, threads_of_ours()) == ([], [])


def test_a_thread_that_was_never_started_is_not_waited_for_long() -> None:
    worker = Worker(lambda: None, "tmpcache test")
    began = time.monotonic()
    worker.join()
    worker.join()
    assert time.monotonic() - began < 5
    assert threads_of_ours() == []


# ---- flights -------------------------------------------------------------------------------------


def test_a_leader_that_is_gone_is_not_waited_for() -> None:
    """Interrupted in the middle of landing: off the list, but nobody was woken."""
    flights = SingleFlight()
    begun, land = threading.Event(), threading.Event()

    def call() -> str:
        begun.set()
        land.wait(5)
        raise TimeIsUp

    def lead() -> None:
        with pytest.raises(TimeIsUp):
            flights.share("a", None, call)

    answers: list[tuple[object, bool]] = []
    leader = threading.Thread(target=lead)
    waiter = threading.Thread(
        target=lambda: answers.append(flights.share("a", None, lambda: "mine"))
    )
    leader.start()
    begun.wait(5)
    waiter.start()
    flight = flights._calls.pop("a")
    assert not flight.is_done
    waiter.join(2)
    assert answers == [("mine", True)]
    land.set()
    leader.join(5)
    assert len(flights) == 0
