"""Changes of many threads in one transaction: each gets its own result, or its own error."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from support.anywhere import Memory
from support.processes import wait_until

import tmpcache
from tmpcache.store.together import Together

Operation = Callable[[Any], Any]


class Index:
    """Counts transactions, and holds the first one up until it is told to go on."""

    def __init__(self) -> None:
        self.transactions, self.begun, self.go_on = 0, Event(), Event()

    def write(self, operation: Operation) -> Any:
        """As `Access.write`."""
        self.transactions += 1
        self.begun.set()
        assert self.go_on.wait(30)
        return operation(self)


def queued(together: Together, count: int) -> Callable[[], bool]:
    """Whether so many threads wait."""
    return lambda: len(together._turns) == count


def always(result: int) -> Operation:
    """A change with this result."""
    return lambda _: result


def test_who_waits_for_another_is_served_along_with_the_rest() -> None:
    together, index = Together(), Index()
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(together.run, index.write, lambda _: "first")
        index.begun.wait(30)
        others = [threads.submit(together.run, index.write, always(n * n)) for n in range(8)]
        wait_until(queued(together, 8))
        index.go_on.set()
        assert first.result(30) == "first"
        assert [other.result(30) for other in others] == [n * n for n in range(8)]
    assert index.transactions == 2


def test_one_that_fails_spoils_no_other() -> None:
    together, index = Together(), Index()

    def fail(_: object) -> None:
        raise ValueError("this one")

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(together.run, index.write, lambda _: "first")
        index.begun.wait(30)
        good = [threads.submit(together.run, index.write, always(n)) for n in range(2)]
        bad = threads.submit(together.run, index.write, fail)
        wait_until(queued(together, 3))
        index.go_on.set()
        assert (first.result(30), [one.result(30) for one in good]) == ("first", [0, 1])
        with pytest.raises(ValueError, match="this one"):
            bad.result(30)


@pytest.mark.usefixtures("ctrl_c")
def test_what_is_interrupted_while_it_waits_is_not_done() -> None:
    together, index, done = Together(), Index(), []
    leader = Thread(target=together.run, args=(index.write, lambda _: done.append("leader")))
    leader.start()
    index.begun.wait(30)

    main = threading.get_ident()

    def interrupt() -> None:
        wait_until(queued(together, 1))
        signal.pthread_kill(main, signal.SIGINT)

    Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        together.run(index.write, lambda _: done.append("interrupted"))
    assert not together._turns
    index.go_on.set()
    leader.join(30)
    assert together.run(index.write, lambda _: "goes on") == "goes on"
    assert done == ["leader"]


def test_what_an_interrupted_leader_left_is_done_by_another() -> None:
    together, index = Together(), Index()
    index.go_on.set()
    waiting: list[Thread] = []

    def lead(_: object) -> None:
        waiting.extend(
            Thread(target=together.run, args=(index.write, results.append)) for _ in range(3)
        )
        for thread in waiting:
            thread.start()
        wait_until(queued(together, 3))
        raise KeyboardInterrupt

    results: list[object] = []
    with pytest.raises(KeyboardInterrupt):
        together.run(index.write, lead)
    for thread in waiting:
        thread.join(30)
    assert len(results) == 3


def test_a_signal_handler_of_the_thread_that_leads_does_not_wait_for_itself() -> None:
    together, index = Together(), Index()
    index.go_on.set()
    inner = together.run(index.write, lambda _: together.run(index.write, lambda _: "inner"))
    assert inner == "inner"


def test_threads_that_publish_at_once_leave_a_whole_ledger(root: Path) -> None:
    with tmpcache.Cache(root, quota="64 MiB", origin=Memory(), max_age=60) as cache:
        keys = [f"{5000 + number}-x" for number in range(200)]
        with ThreadPoolExecutor(16) as threads:
            sizes = [
                path.stat().st_size for path in threads.map(lambda k: cache.fetch("b", k), keys)
            ]
        assert sizes == list(range(5000, 5200))
        assert cache.verify().damaged == ()
        assert cache.usage().blobs == 200
        assert cache.usage().reserved == 0
