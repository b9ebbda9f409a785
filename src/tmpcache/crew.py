"""Threads that fetch the objects of one call, and end with it.

The calling thread starts them, tells of progress, and waits. Whatever ends the call early (Ctrl-C,
an error in the caller's progress function) cancels the deadline that all of them share, so that
they end as if their time were up: what has arrived of large objects stays, to be gone on with.
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from threading import Event, Thread, current_thread

from .errors import QuotaExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .deadline import Deadline
    from .file import CachedFile
    from .objects import Copy, ObjectName

    Fetch = Callable[[ObjectName, Copy | None, Deadline], CachedFile]

#: Seconds between two reports of progress.
_TICK = 0.1


class Job:
    """An object to fetch, and what has come of it."""

    __slots__ = ("copy", "error", "file", "name")

    def __init__(self, name: ObjectName, copy: Copy | None) -> None:
        #: What is to be fetched, and what is known to be here of it.
        self.name, self.copy = name, copy
        self.file: CachedFile | None = None
        self.error: Exception | None = None


class Crew:
    """Threads at work on a list of jobs, in its order."""

    def __init__(
        self,
        fetch: Fetch,
        jobs: Iterable[Job],
        deadline: Deadline,
        report: Callable[[list[Job]], object] | None = None,
    ) -> None:
        """What `fetch` raises is the job's error, and the others go on.

        `report` is called by the calling thread, with the jobs that have ended, ten times a second
        and at the end.
        """
        self._fetch, self._todo, self._deadline = fetch, deque(jobs), deadline
        self._report = report
        self._finished: list[Job] = []
        self._refused: list[tuple[int, Job]] = []
        self._failure: BaseException | None = None
        self._threads: list[Thread] = []
        self._ended: set[Thread] = set()
        self._news = Event()

    def run(self, threads: int) -> None:
        """Have all done by at most so many `threads`; none of them is left afterwards."""
        try:
            self._start(min(threads, len(self._todo)))
            self._wait(None if self._report is None else _TICK)
        except BaseException:
            self._stop()
            raise
        finally:
            # Not by Thread.join: one that Ctrl-C interrupts takes a thread that runs for one that
            # has ended (https://github.com/python/cpython/issues/90882).
            self._wait(None)
            for thread in self._threads:
                thread.join()
        if self._failure is not None:
            raise self._failure
        self._retry_the_refused()
        if self._report is not None:
            self._report(self._finished)

    def _start(self, count: int) -> None:
        for _ in range(count):
            thread = Thread(
                target=copy_context().run, args=(self._work,), name="tmpcache fetch", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the system has no more of them
                break
            self._threads.append(thread)
        if not self._threads:
            self._work()

    def _wait(self, tick: float | None) -> None:
        while True:
            self._news.clear()
            if self._ended.issuperset(self._threads):
                return
            if not self._news.wait(tick) and self._report is not None:
                self._report(self._finished)

    def _stop(self) -> None:
        self._todo.clear()
        self._deadline.cancel()

    def _work(self) -> None:
        try:
            while True:
                try:
                    job = self._todo.popleft()
                except IndexError:
                    return
                self._do(job)
                if type(job.error) is QuotaExceededError:
                    self._refused.append((job.error.needed, job))
                else:
                    self._finished.append(job)
        except BaseException as error:
            self._failure = error
            self._stop()
        finally:
            self._ended.add(current_thread())
            self._news.set()

    def _do(self, job: Job) -> None:
        job.error = None
        try:
            if self._deadline.remaining() <= 0:
                job.error = self._deadline.exceeded(job.name)
            else:
                job.file = self._fetch(job.name, job.copy, self._deadline)
        except Exception as error:
            job.error = error

    def _retry_the_refused(self) -> None:
        """Alone, the smallest first: it was perhaps only the others that were in the way.

        Where one is refused now, so would be those that need as much.
        """
        alone = len(self._threads) < 2
        for _, job in sorted(self._refused, key=lambda refused: refused[0]):
            if not alone:
                self._do(job)
                alone = type(job.error) is QuotaExceededError
            self._finished.append(job)
