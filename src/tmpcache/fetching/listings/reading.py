"""Fetches a listing as any object, with the same credentials; whatever is wrong, there is none."""

from __future__ import annotations

from ...cached_file import Outcome
from ...common.deadline import deadline_within
from ...common.events import note
from ...common.handler_exceptions import reraise_from_handler
from ...errors import AccessDeniedError, ObjectNotFoundError, OriginError, TmpCacheError
from ...invocations.context import current_deadline
from ...origin import Reply
from ..freshness import is_fresh
from .document import (
    FORBIDDEN,
    GARBAGE,
    LISTING,
    MISSING,
    MOST_BYTES,
    NOT_RECEIVED,
    TOO_LARGE,
    parse,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Unpack

    from ...common.objects import ObjectName
    from ...origin import GetOptions, Origin, Unchanged
    from ..downloader import Served
    from ..fetcher import Fetcher
    from .document import Listing, Seen

#: Seconds that a fetch waits for a listing before it asks about the object itself.
_PATIENCE = 5.0


class TooLargeError(OriginError):
    """An object is too large to be a listing."""


class Unusable(Exception):
    """There is no listing that can be used, and why."""

    def __init__(self, reason: str, detail: str = "") -> None:
        #: One of the words in :mod:`.document`, and what an error said.
        self.reason, self.detail = reason, detail


def fetch_listing(fetcher: Fetcher, name: ObjectName, scope: str, max_age: float = 0.0) -> Listing:
    """Return the listing that S3 gives to `scope`, or raise `Unusable`.

    A copy of it that was confirmed within `max_age` seconds, by whatever process, is not asked for.
    """
    try:
        copy, _, lease = _serve(fetcher, name, scope, max_age)
        try:
            if copy.scope != scope:
                raise Unusable(NOT_RECEIVED, "the credentials were replaced meanwhile")
            fetcher.store.touch(copy, fetcher.clock())
            with open(copy.path, "rb") as file:
                return checked(file.read(MOST_BYTES + 1), name)
        finally:
            lease.release()
    except (TmpCacheError, OSError) as error:
        reraise_from_handler(error)
        raise unusable(error) from None


def checked(data: bytes, name: ObjectName) -> Listing:
    """Return the listing that an object has as its content, or raise `Unusable`."""
    if len(data) > MOST_BYTES:
        raise Unusable(TOO_LARGE)
    listing = parse(data, name.key.removesuffix(LISTING))
    if listing is None:
        raise Unusable(GARBAGE)
    return listing


def unusable(error: Exception) -> Unusable:
    """Return what a listing is that an error came instead of."""
    kinds = {ObjectNotFoundError: MISSING, AccessDeniedError: FORBIDDEN, TooLargeError: TOO_LARGE}
    found = (reason for kind, reason in kinds.items() if isinstance(error, kind))
    return Unusable(next(found, NOT_RECEIVED), str(error))


def note_reading(name: ObjectName, before: Seen, now: Seen, detail: str) -> None:
    """Note what has changed since a listing was last read. What lasts is noted once."""
    if now.reason:
        if now.reason != before.reason:
            _note("ListingUnusable", name, now, reason=now.reason, detail=detail)
    elif now.listing is not None and (before.reason or before.made_at != now.made_at):
        _note("ListingRead", name, now, objects=len(now.listing.etags))


def _note(kind: str, name: ObjectName, seen: Seen, **facts: Any) -> None:
    note(kind, bucket=name.bucket, key=name.key, age=seen.age, **facts)


def _serve(fetcher: Fetcher, name: ObjectName, scope: str, max_age: float) -> Served:
    """Return the copy of the listing, by one conditional GET if it was not just confirmed."""
    copy = fetcher.store.look_up(name, scope)
    if copy is not None and is_fresh(copy.validated_at, fetcher.clock(), max_age):
        lease = fetcher.store.lease_copy(copy)
        if lease is not None:
            return copy, Outcome.HIT, lease
    downloader = fetcher.downloader.with_origin(SmallObjects(fetcher.origin), fetcher.tally)
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


class SmallObjects:
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
            raise TooLargeError(f"s3://{bucket}/{key} is too large for a listing")
        return reply
