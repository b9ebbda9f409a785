"""What a cache offers to look at what it keeps, and to remove some of it."""

from __future__ import annotations

from ..common.objects import ObjectName
from ..config import seconds as checked_seconds
from ..config import split_url
from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..reports import Entry, RootStats, Stats, Usage, Verification
    from ..store import Store
    from .fetcher import Fetcher
    from .listings.confirmation import Listings
    from .loaded_objects import LoadedObjects


class Administration:
    """The methods of :class:`tmpcache.Cache` that look at what it keeps, or remove some of it.

    Each imports what it needs when it is called, so that a hit in a new process need not wait.
    """

    _fetcher: Fetcher
    _store: Store
    _loaded: LoadedObjects
    _listings: Listings | None = None

    @property
    def root(self) -> Path:
        """The directory that everything is in."""
        from pathlib import Path

        return Path(self._store.database.root.path)

    def entries(self) -> Iterator[Entry]:
        """Return every object that has a copy in this cache, oldest record first."""
        from ..store import maintenance

        return maintenance.entries(self._store)

    def usage(self) -> Usage:
        """Return where the bytes are: quota, used, leased, reserved and the rest."""
        from ..store import maintenance

        return maintenance.usage(self._store)

    def stats(self) -> Stats:
        """Return what this object has counted so far: hits, fetches, bytes, evictions, damage.

        ``stats().listings`` says how old each listing was when it was last asked for.
        """
        seen = {} if self._listings is None else self._listings.seen()
        return self._fetcher.tally.stats(self._store.database, seen)

    def root_stats(self) -> RootStats:
        """Return what all processes that used this root have counted: see `RootStats`."""
        from ..store import maintenance

        return maintenance.root_stats(self._store)

    def verify(self) -> Verification:
        """Read and hash every blob. Remove damaged ones; the next fetch downloads them again."""
        from ..store import maintenance

        return maintenance.verify(self._store)

    def evict(
        self,
        bucket: str,
        key: str | None = None,
        version_id: str | None = None,
        *,
        whole_bucket: bool = False,
        prefix: str | None = None,
    ) -> int:
        """Forget one object, given as bucket and key or as a URL. Return the bytes that this freed.

        Without a version, all versions are meant. With a `prefix` instead of a key, all objects are
        whose keys begin with it; with `whole_bucket` and neither, all of the bucket. Leased files
        stay until they are released and room is needed.

        Raises :class:`~tmpcache.errors.ConfigError` if the key is missing and the cache has objects
        of that bucket.

        >>> cache.evict("models", "micr/e13b.npz")                          # doctest: +SKIP
        >>> cache.evict("models", whole_bucket=True)                        # doctest: +SKIP
        """
        from ..store import maintenance

        if key is None and isinstance(bucket, str) and bucket.startswith("s3://"):
            bucket, key = split_url(bucket)
        ObjectName("", bucket, "*" if key is None else key, version_id)  # refuses what is no name
        if prefix is not None and (key is not None or not isinstance(prefix, str)):
            raise ConfigError(f"prefix={prefix!r}: give a text, and no key with it")
        is_named = key is not None or prefix or whole_bucket
        if not is_named and maintenance.has_copies(self._store, bucket):
            raise ConfigError(
                f"evict({bucket!r}) names no key: give one, or whole_bucket=True for all objects"
            )
        self._fetcher.remembered.clear()
        return maintenance.evict(self._store, bucket, key, version_id, prefix)

    def evict_unused(self, seconds: float) -> int:
        """Forget all objects that no process used for so many seconds. Return the bytes freed.

        Other processes record what they use within 30 seconds.
        """
        from ..store import maintenance

        before = self._fetcher.clock() - checked_seconds("seconds", seconds)
        self._fetcher.remembered.clear()
        return maintenance.evict_unused(self._store, before)

    def make_room(self, size: int | str) -> int:
        """Evict, least recently used first, until `size` more bytes fit. Return the bytes freed.

        Raises :class:`~tmpcache.errors.QuotaExceededError` if they cannot.
        """
        from ..store import maintenance

        return self._fetcher.retry_unloading(maintenance.make_room, self._store, size)

    def _make_room_on_disk(self, size: int | str) -> int:
        from ..store import maintenance

        return self._fetcher.retry_unloading(maintenance.make_room, self._store, size, on_disk=True)

    def gc(self) -> int:
        """Remove superseded copies, and what dead processes left. Return the bytes freed.

        Downloads that the next fetch of their objects would have resumed begin anew.

        No program needs to call this: room is made from the same things when it is needed.
        """
        from ..store import maintenance

        return maintenance.gc(self._store)

    def clear(self) -> int:
        """Forget everything, also what :meth:`load` keeps, and remove all but leased files.

        Returns the bytes that this freed.
        """
        from ..store import maintenance

        self._fetcher.remembered.clear()
        self._loaded.clear()
        return maintenance.clear(self._store)

    def _sweep(self) -> None:
        self._store.database.sweep_if_needed()
