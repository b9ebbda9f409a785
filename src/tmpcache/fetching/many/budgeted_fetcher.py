"""Fetches within a budget of bytes and within the free space, so that nothing is evicted."""

from __future__ import annotations

from threading import Lock

from ...cached_file import Outcome
from ...errors import DeadlineExceededError
from ...origin import Reply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Unpack

    from ...cached_file import CachedFile
    from ...common.deadline import Deadline
    from ...common.objects import Copy, ObjectName
    from ...origin import GetOptions, Origin, Unchanged
    from ...store.many_copies import FreeSpace
    from ..fetcher import Fetcher

    ObjectKey = tuple[str, str, str]


class SkippedError(DeadlineExceededError):
    """The budget or the free space is too small for an object. Its partial file is kept."""


class BudgetedFetcher:
    """Fetches objects whose approximate size is known, as long as they fit.

    The size that the caller gives decides whether an object is asked for. The size in the origin's
    reply decides whether its body is received.
    """

    def __init__(self, fetcher: Fetcher, free_space: FreeSpace, max_bytes: int | None) -> None:
        """Fetch what fits into `free_space`, and `max_bytes` of content if given."""
        self._original, self._lock = fetcher, Lock()
        self._free, self._cost, self._left = free_space.bytes, free_space.cost, max_bytes
        self._granted: dict[ObjectKey, int] = {}
        self._fetcher = fetcher.with_origin(_BudgetedOrigin(fetcher.origin, self))
        self._fetcher.unload = lambda needed: False  # what `load` keeps is used more

    def fetch(
        self, name: ObjectName, size: int, copy: Copy | None, deadline: Deadline
    ) -> CachedFile:
        """Fetch an object of about `size` bytes, and release its path at once."""
        object_key = name.bucket, name.key, name.version
        self.grant(object_key, size)
        received = False
        try:
            file = self._fetcher.fetch_from_origin(name, copy, 0, 0, deadline)
            file.release()
            received = file.outcome is Outcome.FETCHED
            return file
        finally:
            if not received:
                with self._lock:
                    self._return(object_key)

    def grant(self, object_key: ObjectKey, size: int) -> None:
        """Set aside `size` bytes for an object, in place of what was set aside for it before."""
        with self._lock:
            self._return(object_key)
            if self._cost(size) > self._free or (self._left is not None and size > self._left):
                raise SkippedError
            self._granted[object_key] = size
            self._free -= self._cost(size)
            if self._left is not None:
                self._left -= size

    def _return(self, object_key: ObjectKey) -> None:
        """Give back what was set aside for an object. Called with the lock held."""
        size = self._granted.pop(object_key, None)
        if size is not None:
            self._free += self._cost(size)
            if self._left is not None:
                self._left += size

    def account(self) -> int:
        """Add what was counted to the cache's own tally. Return the bytes received."""
        self._original.tally.add_all(self._fetcher.tally)
        return self._fetcher.tally.bytes_received


class _BudgetedOrigin:
    """An origin whose replies are refused if they are larger than the budget that is left."""

    def __init__(self, origin: Origin, budget: BudgetedFetcher) -> None:
        self._origin, self._budget = origin, budget
        self.name, self.close = origin.name, origin.close

    @property
    def scope(self) -> str | None:
        """The scope of the origin."""
        return self._origin.scope

    def get(
        self, bucket: str, key: str, version_id: str | None = None, **options: Unpack[GetOptions]
    ) -> Reply | Unchanged | None:
        """Return the origin's reply, or raise `SkippedError` if its body does not fit."""
        reply = self._origin.get(bucket, key, version_id, **options)
        if isinstance(reply, Reply) and reply.size is not None:
            try:
                self._budget.grant((bucket, key, version_id or ""), reply.size)
            except SkippedError:
                reply.body.close()
                raise
        return reply
