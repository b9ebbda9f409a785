"""Fetches a listing as any object, with the same credentials; whatever is wrong, there is none."""

from __future__ import annotations

from ...cached_file import Outcome
from ...common.deadline import deadline_within
from ...common.interruption import reraise_from_handler
from ...errors import OriginError, TmpCacheError
from ...invocations.context import current_deadline
from ...origin import Reply
from ..freshness import is_fresh
from .document import LISTING, MOST_BYTES, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Unpack

    from ...common.objects import ObjectName
    from ...origin import GetOptions, Origin, Unchanged
    from ..downloader import Served
    from ..fetcher import Fetcher
    from .document import Listing

#: Seconds that a fetch waits for a listing before it asks about the object itself.
_PATIENCE = 5.0


def fetch_listing(
    fetcher: Fetcher, name: ObjectName, scope: str, max_age: float = 0.0
) -> Listing | None:
    """Return the listing that S3 gives to `scope`; None if there is none that can be used.

    A copy of it that was confirmed within `max_age` seconds, by whatever process, is not asked for.
    """
    try:
        copy, _, lease = _serve(fetcher, name, scope, max_age)
        try:
            if copy.scope != scope or copy.size > MOST_BYTES:
                return None
            fetcher.store.touch(copy, fetcher.clock())
            with open(copy.path, "rb") as file:
                return parse(file.read(), name.key.removesuffix(LISTING))
        finally:
            lease.release()
    except (TmpCacheError, OSError) as error:
        reraise_from_handler(error)
        return None


def _serve(fetcher: Fetcher, name: ObjectName, scope: str, max_age: float) -> Served:
    """Return the copy of the listing, by one conditional GET if it was not just confirmed."""
    copy = fetcher.store.look_up(name, scope)
    if copy is not None and is_fresh(copy.validated_at, fetcher.clock(), max_age):
        lease = fetcher.store.lease_copy(copy)
        if lease is not None:
            return copy, Outcome.HIT, lease
    downloader = fetcher.downloader.with_origin(_SmallObjects(fetcher.origin), fetcher.tally)
    downloader.requests.check_responsive(name)
    outer = current_deadline()
    deadline = deadline_within(outer, _PATIENCE, asks_once=True)
    try:
        if outer is not None:  # a task that is cancelled does not wait for the listing either
            outer.watch(deadline)
        return downloader.revalidate_or_download(name, copy, deadline)
    finally:
        if outer is not None:
            outer.forget(deadline)


class _SmallObjects:
    """An origin that refuses what is too large to be a listing, before it is received."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.name, self.close = origin.name, origin.close

    @property
    def scope(self) -> str | None:
        """The scope of the origin."""
        return self._origin.scope

    def get(
        self, bucket: str, key: str, version_id: str | None = None, **options: Unpack[GetOptions]
    ) -> Reply | Unchanged | None:
        """Return the origin's reply, or raise `OriginError` if its body is too large."""
        reply = self._origin.get(bucket, key, version_id, **options)
        if isinstance(reply, Reply) and (reply.size is None or reply.size > MOST_BYTES):
            reply.body.close()
            raise OriginError(f"s3://{bucket}/{key} is too large for a listing")
        return reply
