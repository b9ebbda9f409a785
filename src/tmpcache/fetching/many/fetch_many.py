"""fetch_many: thousands of objects in one call.

Fresh copies are served first, from a few look-ups in the index. A worker pool fetches the rest.
"""

from __future__ import annotations

from collections import Counter

from ...cached_file import Outcome
from ...common.deadline import deadline_within
from ...common.objects import ObjectName
from ...common.subscriptions import delivering
from ...errors import ConfigError, FetchManyError
from ...invocations.context import current_deadline, current_start
from ..freshness import is_always_stale, is_fresh
from .batch_downloader import BatchDownloader
from .job import Job
from .worker_pool import WorkerPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ...cached_file import CachedFile
    from ...common.deadline import Deadline
    from ...common.objects import Copy
    from ..fetcher import Fetcher
    from .worker_pool import Fetch

    #: Called with the number of objects done, of all objects, and of bytes received.
    Progress = Callable[[int, int, int], object]

#: Threads of a call that does not say how many. Objects of 10 KiB from an S3 that answers after
#: 30 ms, two cores, per second: 8 threads 195, 16 360, 32 490, 64 450 (then the cores are busy).
THREADS = 32
#: Threads that a call may ask for: as many connections as the client keeps.
_MAX_THREADS = 64


def fetch_many(
    fetcher: Fetcher,
    bucket: str,
    keys: Iterable[str],
    max_age: float | None,
    stale_if_error: float | None,
    threads: int | None,
    return_exceptions: bool,
    progress: Progress | None,
) -> list[CachedFile]:
    """See :meth:`tmpcache.Cache.fetch_many`."""
    if isinstance(keys, (str, bytes)):
        raise ConfigError(f"keys={keys!r} is one key: give a list of keys")
    max_age, stale_if_error = fetcher.freshness_limits(max_age, stale_if_error)
    wanted, count, deadline = list(keys), checked(threads), current_deadline()
    if deadline is not None:
        deadline.check(f"{len(wanted)} objects of s3://{bucket}")
    jobs = {key: Job(ObjectName(fetcher.origin.name, bucket, key), None) for key in wanted}
    todo = serve_fresh(fetcher, bucket, jobs, max_age)
    fetch_all(
        from_origin(fetcher, max_age, stale_if_error),
        # Cached objects are revalidated first: a revalidated object needs no space, and evicting
        # for the others before that could remove it.
        sorted(todo, key=lambda job: job.copy is None),
        len(jobs),
        count,
        progress,
        deadline_within(deadline),
        BatchDownloader(fetcher, bucket),
    )
    in_order = [jobs[key] for key in wanted]
    return collect_results(fetcher, in_order, f"s3://{bucket}", return_exceptions)


def checked(threads: int | None) -> int:
    """Return the number of threads to use, or raise `ConfigError`."""
    if threads is None:
        return THREADS
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ConfigError(f"threads={threads!r} is not a number of threads: give 1 or more")
    return min(threads, _MAX_THREADS)


def serve_fresh(fetcher: Fetcher, bucket: str, jobs: dict[str, Job], max_age: float) -> list[Job]:
    """Serve the fresh copies. Return the other jobs, each with the copy that the index has."""
    from ...store.many_copies import look_up_many

    scope, known, store = fetcher.origin.scope, fetcher.remembered, fetcher.store
    start = current_start()
    always_stale = is_always_stale(max_age, start)

    def is_fresh_now(copy: Copy) -> bool:
        return is_fresh(copy.validated_at, fetcher.clock(), max_age, start)

    unknown = []
    for key, job in jobs.items():
        remembered = known.get((bucket, key, None))
        if remembered is not None and (
            always_stale or (remembered.scope == scope and is_fresh_now(remembered))
        ):
            job.copy = remembered
        else:
            unknown.append(key)
    for key, copy in look_up_many(store, fetcher.origin.name, bucket, unknown, scope).items():
        jobs[key].copy = fetcher.listed(copy, max_age)
    todo = []
    for job in jobs.values():
        if job.copy is None or not is_fresh_now(job.copy):
            todo.append(job)
        elif (lease := store.lease_copy(job.copy)) is not None:
            job.file = fetcher.respond(job.name, job.copy, Outcome.HIT, lease)
        else:
            job.copy = None  # its file is damaged
            todo.append(job)
    return todo


def from_origin(fetcher: Fetcher, max_age: float, stale_if_error: float) -> Fetch:
    """Return the function with which a worker pool fetches each object."""

    def fetch(name: ObjectName, copy: Copy | None, deadline: Deadline) -> CachedFile:
        return fetcher.fetch_from_origin(name, copy, max_age, stale_if_error, deadline)

    return fetch


@delivering
def fetch_all(
    fetch: Fetch,
    todo: list[Job],
    total: int,
    threads: int,
    progress: Progress | None,
    deadline: Deadline,
    batched: BatchDownloader | None = None,
) -> None:
    """Have a worker pool do the jobs that are left of `total` objects; report to `progress`."""
    bytes_received = seen = 0

    def report(finished: list[Job]) -> None:
        nonlocal bytes_received, seen
        for job in finished[seen:]:
            seen += 1
            if job.file is not None and job.file.outcome is Outcome.FETCHED:
                bytes_received += job.file.size
        assert progress is not None
        progress(total - len(todo) + seen, total, bytes_received)

    if progress is not None:
        report([])
    if todo:
        pool = WorkerPool(fetch, todo, deadline, None if progress is None else report, batched)
        pool.run(threads)


def collect_results(
    fetcher: Fetcher, jobs: list[Job], what: str, return_exceptions: bool
) -> list[CachedFile]:
    """Return the results of the jobs, or raise `FetchManyError`. The jobs forget their results.

    An error has the frames that it came through, and these have the jobs. A caller that keeps an
    error must not keep all paths leased by that.
    """
    results, distinct = _collect(fetcher, jobs), dict.fromkeys(jobs)
    errors = [job.error for job in distinct if job.error is not None]
    for job in jobs:
        job.file = job.error = None
    if not errors or return_exceptions:
        return results
    kinds = Counter(type(error).__name__ for error in errors)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    raise FetchManyError(
        f"{len(errors)} of {len(distinct)} objects of {what} could not be fetched ({counts}); the "
        "paths of the others are in `results`",
        errors,
        [None if isinstance(result, Exception) else result for result in results],
    )


def _collect(fetcher: Fetcher, jobs: list[Job]) -> list[Any]:
    """Return paths and errors. A job that is given again gets a path with a lease of its own."""
    results: list[Any] = []
    seen: set[Job] = set()
    for job in jobs:
        file = job.file
        if file is not None and job in seen:  # its file is leased, so it exists
            lease = fetcher.store.lease(file._copy.lease_id)
            file = fetcher.respond(job.name, file._copy, Outcome.HIT, lease)
        seen.add(job)
        results.append(job.error if file is None else file)
    return results
