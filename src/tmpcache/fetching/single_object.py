"""What few callers of one object need: a SHA-256, progress, and a look without a request."""

from __future__ import annotations

from copy import copy as shallow_copy

from ..cached_file import Outcome
from ..common.objects import ObjectName
from ..common.subscriptions import delivering
from ..config import checked_call, split_url
from .pinned import fetch_pinned
from .progress import Bar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cached_file import CachedFile
    from .fetcher import Fetcher
    from .progress import ByteProgress


def fetch(
    fetcher: Fetcher,
    bucket: str,
    key: str | None,
    version_id: str | None,
    freshness: tuple[float | None, float | None],
    sha256: str | None,
    progress: ByteProgress | bool | None,
) -> CachedFile:
    """See :meth:`tmpcache.Cache.fetch`; `freshness` is `max_age` and `stale_if_error`."""
    if key is None:
        bucket, key = split_url(bucket)
    name = ObjectName(fetcher.origin.name, bucket, key, version_id)
    bar = Bar(name.key) if progress is True else None
    if progress:
        report = checked_call("progress", bar or progress)
        downloader = fetcher.downloader.with_progress(report)
        fetcher = shallow_copy(fetcher)
        fetcher._downloader = downloader

    max_age, stale_if_error = freshness

    def fetch_current() -> CachedFile:  # a fresh copy with another hash is not what is meant
        return fetcher.fetch(bucket, key, version_id, 0, stale_if_error)

    try:
        if sha256 is None:
            return fetcher.fetch(bucket, key, version_id, max_age, stale_if_error)
        known = peek(fetcher, name, counted=False)
        return fetch_pinned(fetcher, name, sha256, known, fetch_current)
    finally:
        if bar is not None:
            bar.close()


@delivering
def peek(fetcher: Fetcher, name: ObjectName, *, counted: bool = True) -> CachedFile | None:
    """Return the copy that the origin has given these credentials, however old it is.

    It is `counted` as a hit.
    """
    copy = fetcher.store.look_up(name, fetcher.origin.scope)
    if copy is None or copy.validated_at is None:
        return None
    lease = fetcher.store.lease_copy(copy)
    if lease is None:
        return None
    return fetcher.respond(name, copy, Outcome.HIT, lease, counted=counted)
