"""Warms a cache from S3 itself: from the pack of a prefix, from a listing of it, or a manifest."""

from __future__ import annotations

import time

from ...common.deadline import FOREVER, deadline_within
from ...common.handler_exceptions import reraise_from_handler
from ...common.objects import ObjectName
from ...config import parse_size, seconds, split_prefix_url
from ...errors import AccessDeniedError, DeadlineExceededError, OriginError
from ...invocations.context import current_deadline
from ...reports import Warming
from ..listings.document import LISTING, PACK
from ..listings.reading import Unusable, fetch_listing
from ..listings.writing import list_prefix
from ..many.warm import warm
from .unpacking import Unpacking

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..fetcher import Fetcher
    from ..listings.document import Listing
    from ..many.fetch_many import Progress


def warm_from_url(
    fetcher: Fetcher,
    url: str,
    max_bytes: int | str | None,
    max_seconds: float | None,
    threads: int | None,
    progress: Progress | None,
) -> Warming:
    """See :meth:`tmpcache.Cache.warm`: the URL is that of a prefix, a pack or a manifest."""
    bucket, key = split_prefix_url(url)
    prefix = key.removesuffix(PACK)
    if prefix and not prefix.endswith("/"):
        path = fetcher.fetch(bucket, key, None, None, None)
        return warm(fetcher, path, max_bytes, max_seconds, threads, progress)
    began, quota = time.monotonic(), fetcher.store.database.quota.quota
    limit = None if max_bytes is None else parse_size(max_bytes, total=quota, name="max_bytes")
    left = FOREVER if max_seconds is None else seconds("max_seconds", max_seconds)
    listing, deadline = _listing(fetcher, bucket, prefix), deadline_within(current_deadline(), left)
    unpacking = Unpacking(fetcher, (bucket, prefix), listing, limit, deadline)
    try:
        if unpacking.run(progress):
            return _report(unpacking, time.monotonic() - began)
    except OriginError as error:  # there is none, or none for these credentials
        reraise_from_handler(error)
    except DeadlineExceededError as error:
        reraise_from_handler(error)
        return _failed(error, time.monotonic() - began)
    try:
        manifest = _manifest_of(fetcher, bucket, prefix)
    except OriginError as error:
        reraise_from_handler(error)
        return _failed(error, time.monotonic() - began)
    if max_seconds is not None:
        max_seconds = max(0.0, deadline.remaining())
    return warm(fetcher, manifest, max_bytes, max_seconds, threads, progress)


def _listing(fetcher: Fetcher, bucket: str, prefix: str) -> Listing | None:
    scope = fetcher.origin.scope
    name = ObjectName(fetcher.origin.name, bucket, prefix + LISTING)
    try:
        return None if scope is None else fetch_listing(fetcher, name, scope)
    except Unusable:
        return None


def _manifest_of(fetcher: Fetcher, bucket: str, prefix: str) -> dict[str, object]:
    """Return a manifest of all that is below a prefix."""
    name = ObjectName(fetcher.origin.name, bucket, prefix + PACK)
    _, found = list_prefix(fetcher, name, prefix)
    objects = [
        {"bucket": bucket, "key": one.key, "etag": one.etag, "size": one.size} for one in found
    ]
    return {"tmpcache-manifest": 1, "objects": objects}


def _report(unpacking: Unpacking, took: float) -> Warming:
    return Warming(
        fetched=len(unpacking.copies),
        present=unpacking.present,
        changed=unpacking.changed,
        missing=0,
        denied=0,
        skipped=unpacking.skipped,
        problems=tuple(unpacking.problems),
        bytes=unpacking.received,
        seconds=took,
    )


def _failed(error: OriginError | DeadlineExceededError, took: float) -> Warming:
    """Return the report of a prefix that can neither be unpacked nor listed."""
    denied = isinstance(error, AccessDeniedError)
    return Warming(
        fetched=0,
        present=0,
        changed=0,
        missing=0,
        denied=int(denied),
        skipped=0,
        problems=() if denied else (f"{type(error).__name__}: {error}",),
        bytes=0,
        seconds=took,
    )
