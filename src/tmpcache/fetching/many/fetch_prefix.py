"""fetch_prefix: a listing names the objects and confirms the copies, 1,000 keys a request."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType

from ...cached_file import CachedFile, Outcome
from ...common.deadline import deadline_within
from ...common.handler_exceptions import reraise_from_handler
from ...common.objects import ObjectName
from ...errors import ConfigError, ObjectNotFoundError
from ...invocations.context import current_deadline
from ...origin import scope_of
from ..freshness import has_listed_etag
from ..listings.document import is_own
from ..telling import note_outcome
from .batch_downloader import BatchDownloader
from .fetch_many import checked, collect_results, fetch_all, from_origin
from .job import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...invocations.scratch import Scratch
    from ...origin import Listed
    from ..fetcher import Fetcher
    from .fetch_many import Progress

#: Keys that S3 lists for one request.
_PAGE = 1000


class CachedPrefix(Mapping[str, CachedFile]):
    """The objects below a prefix: key to path, in the order of the keys. Read-only.

    Only tmpcache makes these.
    """

    #: Keys that have no place in the directory given as `into`, and why.
    unlinked: Mapping[str, str]
    #: Keys that were listed, but S3 had no such object when it was asked for it. If there are many,
    #: the store's listing does not name objects by the keys that its GET takes.
    missing: tuple[str, ...]

    def __init__(
        self, files: dict[str, CachedFile], unlinked: dict[str, str], missing: tuple[str, ...] = ()
    ) -> None:
        self._files, self.unlinked = files, MappingProxyType(unlinked)
        self.missing = missing

    def __getitem__(self, key: str) -> CachedFile:
        return self._files[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __reduce__(self) -> tuple[object, ...]:
        # Pickled paths are plain ones without leases.
        return type(self), (self._files, dict(self.unlinked), self.missing)

    def __repr__(self) -> str:
        name, counts = type(self).__name__, (len(self.unlinked), len(self.missing))
        return f"<{name} of {len(self)} objects, {counts[0]} unlinked, {counts[1]} missing>"


def fetch_prefix(
    fetcher: Fetcher,
    bucket: str,
    prefix: str,
    into: Scratch | str | os.PathLike[str] | None,
    stale_if_error: float | None,
    threads: int | None,
    return_exceptions: bool,
    progress: Progress | None,
    links: str = "hard",
) -> CachedPrefix:
    """See :meth:`tmpcache.Cache.fetch_prefix`."""
    _, stale_if_error = fetcher.freshness_limits(0, stale_if_error)
    if not isinstance(prefix, str):
        raise ConfigError(f"prefix={prefix!r} is not a text")
    name = ObjectName(fetcher.origin.name, bucket, prefix or "*")  # raises if it is no name
    from ...invocations.scratch import are_copies

    copies = are_copies(links)
    if not hasattr(fetcher.origin, "list"):
        raise ConfigError(f"{name}: the origin {fetcher.origin.name} cannot list objects")
    if into is not None:
        _prepare(into)
    count, deadline = checked(threads), deadline_within(current_deadline())
    jobs: dict[str, Job] = {}
    listed: Iterator[Listed] = fetcher.origin.list(bucket, prefix, deadline=deadline)
    at = fetcher.clock()  # the response is no older than the request for it
    while page := list(islice(listed, _PAGE)):
        page = [one for one in page if not is_own(one.key)]
        jobs.update(_answer_listed(fetcher, bucket, page, at))
        at = fetcher.clock()
    fetcher.tally.add(requests=1 + max(0, len(jobs) - 1) // _PAGE)
    todo = [job for job in jobs.values() if job.file is None]
    fetch = from_origin(fetcher, 0, stale_if_error)
    batched = BatchDownloader(fetcher, bucket)
    fetch_all(fetch, todo, len(jobs), count, progress, deadline, batched)
    return _prefix_of(fetcher, bucket, prefix, into, copies, return_exceptions, jobs)


def _prepare(into: str | os.PathLike[str]) -> None:
    """Make the directory for the tree, and those above it."""
    if not isinstance(into, (str, os.PathLike)) or not isinstance(os.fspath(into), str):
        raise ConfigError(f"into={into!r} is not the path of a directory")
    try:
        if not os.path.isdir(into):
            os.makedirs(into, exist_ok=True)
            os.chmod(into, os.stat(into).st_mode | 0o700)  # whatever the umask
    except (OSError, ValueError) as error:
        reraise_from_handler(error)
        raise ConfigError(f"into={os.fspath(into)!r} cannot be made: {error}") from error


def _prefix_of(
    fetcher: Fetcher,
    bucket: str,
    prefix: str,
    into: Scratch | str | os.PathLike[str] | None,
    copies: bool,
    return_exceptions: bool,
    jobs: dict[str, Job],
) -> CachedPrefix:
    """Return the result of the jobs of a prefix, mirrored `into` a directory if one is given."""
    in_order = [jobs[key] for key in sorted(jobs)]  # directory buckets list in none
    # An object deleted since the listing might as well have been deleted before it.
    gone = [job for job in in_order if type(job.error) is ObjectNotFoundError]
    found = [job for job in in_order if type(job.error) is not ObjectNotFoundError]
    results = collect_results(fetcher, found, f"s3://{bucket}/{prefix}", return_exceptions)
    files = {job.name.key: result for job, result in zip(found, results, strict=True)}
    missing = tuple(job.name.key for job in gone)
    if into is None:
        return CachedPrefix(files, {}, missing)
    from .link_tree import mirrored

    linkable = {key: file for key, file in files.items() if isinstance(file, CachedFile)}
    base = prefix[: prefix.rfind("/") + 1]
    unlinked = mirrored(linkable, base, into, fetcher.store, copies=copies)
    return CachedPrefix(files, unlinked, missing)


def _answer_listed(fetcher: Fetcher, bucket: str, page: list[Listed], at: float) -> dict[str, Job]:
    """Serve the copies that a page of the listing confirms, as of `at`. Return a job for each key.

    Credentials that may list need not be allowed to read. So a listing confirms only copies that S3
    has given or confirmed to the same scope before (`Copy.validated_at`).
    """
    from ...store.many_copies import confirm_again, look_up_many

    store, origin = fetcher.store, fetcher.origin.name
    scope = scope_of(fetcher.origin, page[0].scope) if page else None
    jobs = {one.key: Job(ObjectName(origin, bucket, one.key), None) for one in page}
    copies = look_up_many(store, origin, bucket, [*jobs], scope)
    leased = {}
    try:
        for one in page:
            copy = jobs[one.key].copy = copies.get(one.key)
            if copy is None or copy.validated_at is None:
                continue
            if not has_listed_etag(copy.etag, one.etag):
                continue
            if one.scope != page[0].scope:  # of S3's next page, which was signed by another
                continue
            if (lease := store.lease_copy(copy)) is not None:
                leased[one.key] = lease
        if leased and scope is not None:
            same = [copies[key] for key in leased]
            for copy in confirm_again(store, origin, same, scope, at):
                job, lease = jobs[copy.identity[1]], leased.pop(copy.identity[1])
                job.file = fetcher.respond(job.name, copy, Outcome.REVALIDATED, lease)
                note_outcome(job.file, None)
    finally:
        for lease in leased.values():
            lease.release()
    return jobs
