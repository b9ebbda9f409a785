"""Threads that end with the call that starts them, even if a signal interrupts that call.

# Interrupts

Ctrl-C may arrive inside ``Thread.start``; then the thread runs although ``start`` did not return.
The calling thread waits here only by single calls into C. ``threading.Event`` and ``Condition`` are
not such calls: a signal in their ``__enter__`` leaves them locked for ever.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread

from .handler_exceptions import reraise_from_handler
from .subscriptions import delivering

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Seconds after which a wait looks again whether its thread has ended: a signal that arrives just
#: before a wait does not end it.
LOOK = 0.1
#: Seconds after which a thread whose ``start`` was interrupted, and that has not begun, is taken
#: not to exist.
_GRACE = 1.0


class Worker:
    """A thread that its owner records, then starts, then joins, whatever happens in between.

    It does its work only if it begins before its owner joins it. A thread that begins later ends at
    once and touches nothing.
    """

    def __init__(self, work: Callable[[], object], name: str) -> None:
        self._work = work
        #: "thread" if the thread began first, "owner" if its owner joined it first: then it ends.
        self._first: dict[str, str] = {}
        self._end: SimpleQueue[None] = SimpleQueue()
        self._is_done = False
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> bool:
        """Start the thread. Return False if the system has no more of them."""
        try:
            self._thread.start()
        except RuntimeError as error:
            reraise_from_handler(error)
            return False
        except KeyError as error:  # from threading, which cleaned up after an interrupted start
            reraise_from_handler(error)
            raise
        return True

    def _run(self) -> None:
        """Do the work, unless the owner gave the thread up before it began."""
        if self._first.setdefault("first", "thread") != "thread":
            return
        try:
            delivering(self._work)()
        finally:
            self._is_done = True
            self._end.put(None)

    def has_ended(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the end of the work; return whether it has ended."""
        if not self._is_done:
            with suppress(Empty):
                self._end.get(timeout=timeout)
        return self._is_done

    def join(self) -> None:
        """Wait until the thread has ended. May be called again, also after an interrupt."""
        # Not by Thread.join alone: one that Ctrl-C interrupts takes a thread that runs for one that
        # has ended (https://github.com/python/cpython/issues/90882).
        if self._first.setdefault("first", "owner") == "thread":
            while not self.has_ended(LOOK):
                pass
        give_up_at = time.monotonic() + _GRACE
        while True:
            try:
                self._thread.join()
                # Else threading's WeakSet calls Python when this object dies: see `weak_set`.
                threading._dangling.discard(self._thread)  # type: ignore[attr-defined]
                return
            except RuntimeError as error:  # it has not begun yet
                reraise_from_handler(error)
            if time.monotonic() >= give_up_at:
                break
            time.sleep(0.001)
        # Interrupted right before there was a thread: threading would list it for ever.
        threading._limbo.pop(self._thread, None)  # type: ignore[attr-defined]


def join_all(workers: Sequence[Worker]) -> None:
    """Wait until all have ended, even if a signal handler raises meanwhile."""
    try:
        for worker in workers:
            worker.join()
    except BaseException:
        for worker in workers:
            worker.join()
        raise
