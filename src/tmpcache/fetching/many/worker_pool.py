"""Threads that fetch the objects of one call, and end with it.

The calling thread starts the threads, supplies them with jobs, publishes finished downloads,
reports progress and waits. If the call ends early (Ctrl-C, an error in the caller's progress
function), the calling thread cancels the deadline that all threads share. They end as if their time
were up, and downloads of large objects can be resumed later.

# Locking

Objects without a copy are locked ahead of the threads (:mod:`.batch_downloader`), and other
processes wait for what is locked. So only a few are locked ahead, unless jobs end quickly. Objects
that another process has locked are fetched last. This avoids deadlock: a pool waits only when it
holds no locks.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from itertools import repeat
from queue import Empty, SimpleQueue

from ...common.handler_exceptions import reraise_from_handler
from ...common.threads import LOOK, Worker, join_all
from ...errors import QuotaExceededError, is_out_of_files
from ...store.downloads.partial_file import PartialLostError
from ...store.downloads.publish_many import MOST
from ...store.filesystem.files import spare_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...cached_file import CachedFile
    from ...common.deadline import Deadline
    from ...common.objects import Copy, ObjectName
    from .batch_downloader import BatchDownloader
    from .job import Job

    Fetch = Callable[[ObjectName, Copy | None, Deadline], CachedFile]

#: If jobs end more seconds apart than this, only those are locked ahead that threads take next. The
#: last of 64 would stay locked for 3 s before it is begun, and other processes wait for 10 s.
_FAST = 0.05
#: Seconds between two reports of progress.
_REPORT_INTERVAL = 0.1


class WorkerPool:
    """Threads at work on a list of jobs.

    Jobs with a copy are done first. Of the others those come last whose object another process
    downloads.
    """

    def __init__(
        self,
        fetch: Fetch,
        jobs: Iterable[Job],
        deadline: Deadline,
        report: Callable[[list[Job]], object] | None = None,
        batched: BatchDownloader | None = None,
    ) -> None:
        """If `fetch` raises, that is the job's error, and the other jobs go on.

        Jobs without a copy are done by `batched` if it is given. The calling thread calls `report`
        with the finished jobs, ten times a second and at the end.
        """
        self._fetch, self._deadline, self._report = fetch, deadline, report
        self._batched, self._jobs = batched, list(jobs)
        self._waiting: deque[Job] = deque()  # to be locked
        self._last: list[Job] = []  # to be done last: could not be locked
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._supplied = False  # all jobs are in the queue, then None for each thread
        #: From the threads: jobs that have ended or arrived, and None for each thread that ends.
        self._results: SimpleQueue[Job | None] = SimpleQueue()
        self._arrived: deque[Job] = deque()  # to be published
        self._finished: list[Job] = []
        self._retried: list[Job] = []  # to be fetched once more, one at a time
        self._failure: BaseException | None = None
        self._workers: list[Worker] = []
        self._reported_at = time.monotonic()
        self._max_partials = MOST  # that may be open at a time
        self._queued = 0  # jobs that are or were in the queue
        self._returned = 0  # jobs that threads have returned
        self._pace = _FAST  # seconds from the end of one job to that of the next
        self._seen = 0, self._reported_at  # jobs that had ended, and when that was
        for job in self._jobs:
            if batched is None or job.copy is not None:
                self._queue.put(job)
                self._queued += 1
            else:
                self._waiting.append(job)

    def run(self, threads: int) -> None:
        """Do all jobs with at most so many `threads`. None of them is left afterwards.

        If this process may open few files, it has fewer threads, each with one connection and
        another one that its origin is about to close, and locks fewer partials ahead.
        """
        reason: BaseException | None = None
        files = spare_descriptors()
        threads = max(1, min(threads, len(self._jobs), files // 4))
        self._max_partials = max(1, files - 2 * threads)
        try:
            self._coordinate(self._start(threads))
            reason = self._failure
        except BaseException as error:
            reason = error
            self._deadline.cancel()
            raise
        finally:
            self._shut_down(reason)
            reason = None  # its traceback has this frame
        if self._failure is not None:
            raise self._failure
        self._retry_alone()
        if self._report is not None:
            self._report(self._finished)

    def _start(self, count: int) -> int:
        """Start the threads. Return how many the system gave."""
        while len(self._workers) < count:
            self._workers.append(Worker(partial(copy_context().run, self._work), "tmpcache fetch"))
            if not self._workers[-1].start():
                self._workers.pop()
                break
        if not self._workers:
            self._retried += self._jobs
        return len(self._workers)

    # ---- the calling thread -------------------------------------------------------------------

    def _coordinate(self, working: int) -> None:
        """Supply the threads and publish their downloads until all threads have ended."""
        while working or self._arrived:
            if working:
                self._enqueue()
                working -= self._await_results()
            if self._arrived and self._batched is not None:
                count = min(len(self._arrived), MOST)
                batch = [self._arrived.popleft() for _ in range(count)]
                self._batched.publish(batch)
                for job in batch:
                    self._finish(job)
            self._report_progress()

    def _await_results(self) -> int:
        """Take the results there are, or wait for one. Return how many threads have ended."""
        ended = 0
        with suppress(Empty):
            wait = not self._arrived
            while True:
                job = self._results.get(wait, LOOK)
                wait = False
                if job is None:
                    ended += 1
                    continue
                self._returned += 1
                if job.arrival is None:
                    self._finish(job)
                else:
                    self._arrived.append(job)
        return ended

    def _enqueue(self) -> None:
        """Keep one job more in the queue than there are threads, or many if jobs end quickly."""
        ended = self._returned + self._results.qsize()
        if ended > self._seen[0]:
            now = time.monotonic()
            self._pace = (now - self._seen[1]) / (ended - self._seen[0])
            self._seen = ended, now
        fast = self._pace < _FAST
        while self._waiting and self._batched is not None:
            free = len(self._workers) + (MOST if fast else 1) - (self._queued - ended)
            closed = len(self._finished) + len(self._retried)  # an arrived one is still open
            free = min(free, self._max_partials - (self._queued - closed))
            if free <= (min(MOST, self._max_partials) // 2 if fast else 0):
                break
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), free, MOST))]
            others = self._batched.lock(batch)
            self._last += others
            self._queued += len(batch) - len(others)
            for job in batch:
                if job.partial is not None:
                    self._queue.put(job)
        if not self._waiting and not self._supplied:
            self._supplied = True
            for last in (*self._last, *repeat(None, len(self._workers))):
                self._queue.put(last)

    def _report_progress(self) -> None:
        now = time.monotonic()
        if self._report is not None and now >= self._reported_at + _REPORT_INTERVAL:
            self._reported_at = now
            self._report(self._finished)

    def _shut_down(self, error: BaseException | None) -> None:
        """Wait for the threads to end. Release partial files that were not published."""
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        for _ in self._workers:
            self._queue.put(None)
        try:
            join_all(self._workers)
        finally:
            for job in self._jobs:
                if job.partial is not None and self._batched is not None:
                    self._batched.drop(job, error)

    def _retry_alone(self) -> None:
        """Fetch jobs again, one at a time, smallest first: the others may have taken the room.

        If one finds no room now, neither would those that need as much.
        """
        is_full = False
        for job in sorted(self._retried, key=lambda job: getattr(job.error, "needed", 0)):
            if not is_full or type(job.error) is PartialLostError:
                self._fetch_one(job)
                is_full = is_full or type(job.error) is QuotaExceededError
            self._finished.append(job)

    # ---- each of the threads ------------------------------------------------------------------

    def _work(self) -> None:
        """Take jobs from the queue and do them, until None comes."""
        try:
            while (job := self._queue.get()) is not None:
                if job.partial is None:
                    self._fetch_one(job)
                else:
                    self._receive(job)
                self._results.put(job)
        except BaseException as error:
            self._failure = error
            self._deadline.cancel()
        finally:
            self._results.put(None)

    def _fetch_one(self, job: Job) -> None:
        """Fetch the object of a job; keep its path or error in the job."""
        job.error = None
        try:
            if self._deadline.remaining() <= 0:
                job.error = self._deadline.exceeded(job.name)
            else:
                job.file = self._fetch(job.name, job.copy, self._deadline)
        except Exception as error:
            reraise_from_handler(error)
            job.error = error

    def _receive(self, job: Job) -> None:
        """Download the object of a job for the calling thread to publish; keep its error."""
        assert self._batched is not None
        try:
            self._deadline.check(job.name)
            self._batched.receive(job, self._deadline)
        except BaseException as error:
            self._batched.drop(job, error)
            if not isinstance(error, Exception):
                raise
            job.error = error

    def _finish(self, job: Job) -> None:
        is_retried = type(job.error) in (QuotaExceededError, PartialLostError)
        is_retried = is_retried or is_out_of_files(job.error)
        (self._retried if is_retried else self._finished).append(job)
