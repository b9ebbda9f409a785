"""manifest lists the objects of one cache, hottest first; warm fetches them into another."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping

from ...cached_file import Outcome
from ...common.deadline import FOREVER, deadline_within
from ...common.handler_exceptions import reraise_from_handler
from ...common.objects import ObjectName
from ...config import parse_size, seconds
from ...errors import (
    AccessDeniedError,
    ConfigError,
    DeadlineExceededError,
    ObjectNotFoundError,
    QuotaExceededError,
)
from ...invocations.context import current_deadline
from ...reports import Warming
from ..listings.document import is_own
from .budgeted_fetcher import BudgetedFetcher
from .fetch_many import checked, fetch_all
from .job import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...cached_file import CachedFile
    from ...common.deadline import Deadline
    from ...common.objects import Copy
    from ..fetcher import Fetcher
    from .fetch_many import Progress

    #: The forms in which a manifest may be given.
    Manifest = Mapping[str, Any] | str | bytes | os.PathLike[str]

#: The format of the manifest. Another one is refused: its fields may mean something else.
_FORMAT = 1


def manifest(fetcher: Fetcher) -> str:
    """See :meth:`tmpcache.Cache.manifest`."""
    from ...store.many_copies import by_use

    objects = []
    for bucket, key, version, etag, size in by_use(fetcher.store, fetcher.origin.name):
        if is_own(key):
            continue
        pinned = {"version": version} if version else {}
        objects.append({"bucket": bucket, "key": key, **pinned, "etag": etag, "size": size})
    document = {"tmpcache-manifest": _FORMAT, "objects": objects}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


class _ManifestEntry:
    """One object of a manifest."""

    __slots__ = ("etag", "job", "size")

    def __init__(self, origin: str, entry: Any) -> None:
        if not isinstance(entry, dict):
            raise ConfigError(f"{entry!r} describes no object")
        fields: list[Any] = [
            entry.get(name) for name in ("bucket", "key", "version", "etag", "size")
        ]
        bucket, key, version, etag, size = fields
        self.job = Job(ObjectName(origin, bucket, key, version), None)
        if not isinstance(etag, str):
            raise ConfigError(f"etag={etag!r} is not a text")
        if isinstance(size, bool) or not isinstance(size, int) or size < 0:
            raise ConfigError(f"size={size!r} is not a number of bytes")
        self.etag, self.size = etag, size


def warm(
    fetcher: Fetcher,
    source: Manifest,
    max_bytes: int | str | None,
    max_seconds: float | None,
    threads: int | None,
    progress: Progress | None,
) -> Warming:
    """See :meth:`tmpcache.Cache.warm`."""
    from ...store.many_copies import FreeSpace, touch_in_order

    began, count = time.monotonic(), checked(threads)
    store, quota = fetcher.store, fetcher.store.database.quota.quota
    limit_bytes = (
        None if max_bytes is None else parse_size(max_bytes, total=quota, name="max_bytes")
    )
    limit = FOREVER if max_seconds is None else seconds("max_seconds", max_seconds)
    deadline = deadline_within(current_deadline(), limit)
    hot = _read(source, fetcher.origin.name)
    todo = [one.job for one in hot if not _has_named_version(fetcher, one)]
    budget = BudgetedFetcher(fetcher, FreeSpace(store), limit_bytes)
    sizes = {one.job.name: one.size for one in hot}

    def fetch(name: ObjectName, copy: Copy | None, deadline: Deadline) -> CachedFile:
        return budget.fetch(name, sizes[name], copy, deadline)

    try:
        fetch_all(fetch, todo, len(hot), count, progress, deadline)
    finally:
        received = budget.account()
    new = [job.file for job in todo if job.file and job.file.outcome is Outcome.FETCHED]
    touch_in_order(store, [file._copy for file in new])
    return _report(hot, received, time.monotonic() - began)


def _has_named_version(fetcher: Fetcher, hot: _ManifestEntry) -> bool:
    """Return whether the cache has the version that the manifest names.

    If it has another one, the job knows that.
    """
    store, job = fetcher.store, hot.job
    job.copy = store.look_up(job.name, fetcher.origin.scope)
    if job.copy is None or job.copy.etag != hot.etag:
        return False
    lease = store.lease_copy(job.copy)
    if lease is None:
        job.copy = None
        return False
    lease.release()
    return True


def _read(source: Manifest, origin: str) -> list[_ManifestEntry]:
    """Return the objects of a manifest, each once, or raise `ConfigError`."""
    document = source if isinstance(source, Mapping) else _parsed(source)
    if not isinstance(document, Mapping) or "tmpcache-manifest" not in document:
        raise ConfigError("this is not a manifest: give what Cache.manifest() returned")
    if document["tmpcache-manifest"] != _FORMAT:
        raise ConfigError(
            f"the manifest has format {document['tmpcache-manifest']!r}, not {_FORMAT}: make it "
            "with the version of tmpcache that reads it"
        )
    objects = document.get("objects")
    if not isinstance(objects, list):
        raise ConfigError("the manifest has no list of objects")
    found: dict[tuple[str, ...], _ManifestEntry] = {}
    for number, entry in enumerate(objects):
        try:
            hot = _ManifestEntry(origin, entry)
        except ConfigError as error:
            raise ConfigError(f"objects[{number}] of the manifest: {error}") from None
        found.setdefault(hot.job.name.identity(), hot)
    return [*found.values()]


def named_objects(source: Manifest, origin: str) -> list[ObjectName]:
    """Return the names of the objects of a manifest, each once, or raise `ConfigError`."""
    return [one.job.name for one in _read(source, origin)]


def _parsed(source: str | bytes | os.PathLike[str]) -> Any:
    """Return the document in a text, or in the file at a path, or raise `ConfigError`."""
    if isinstance(source, os.PathLike) or (
        isinstance(source, str) and not source.lstrip().startswith("{")
    ):
        try:
            with open(source, "rb") as file:
                source = file.read()
        except ValueError as error:  # a NUL
            raise ConfigError(f"{source!r} is neither a manifest nor the path of one") from error
    if not isinstance(source, (str, bytes, bytearray)):
        raise ConfigError(f"{type(source).__name__} is no manifest: give a text or a path")
    try:
        return json.loads(source)
    except (ValueError, RecursionError) as error:
        reraise_from_handler(error)
        raise ConfigError(f"the manifest cannot be read: {error}") from None


def _report(hot: list[_ManifestEntry], received: int, took: float) -> Warming:
    """Count what became of the objects of a manifest."""
    fetched = present = changed = missing = denied = skipped = 0
    problems = []
    for one in hot:
        file, error = one.job.file, one.job.error
        if isinstance(error, ObjectNotFoundError):
            missing += 1
        elif isinstance(error, AccessDeniedError):
            denied += 1
        elif isinstance(error, (DeadlineExceededError, QuotaExceededError)):
            skipped += 1
        elif error is not None:
            problems.append(f"{type(error).__name__}: {error}")
        elif file is not None and file.outcome is Outcome.FETCHED:
            fetched, changed = fetched + 1, changed + (file.etag != one.etag)
        else:
            present += 1
    return Warming(
        fetched=fetched,
        present=present,
        changed=changed,
        missing=missing,
        denied=denied,
        skipped=skipped,
        problems=tuple(problems),
        bytes=received,
        seconds=took,
    )
