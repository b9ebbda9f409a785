"""What a cache offers to look at what it keeps, and to remove some of it."""

from __future__ import annotations

from ..common.objects import ObjectName

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..reports import Entry, Stats, Usage, Verification
    from ..store import Store
    from .fetcher import Fetcher
    from .loaded_objects import LoadedObjects


class Administration:
    """The methods of :class:`tmpcache.Cache` that look at what it keeps, or remove some of it.

    Each imports what it needs when it is called, so that a hit in a new process need not wait.
    """

    _fetcher: Fetcher
    _store: Store
    _loaded: LoadedObjects

    @property
    def root(self) -> Path:
        """The directory that everything is in."""
        from pathlib import Path

        return Path(self._store.database.root.path)

    def entries(self) -> Iterator[Entry]:
        """Every object that has a copy here, oldest record first."""
        from ..store import maintenance

        return maintenance.entries(self._store)

    def usage(self) -> Usage:
        """Where the bytes are: quota, used, leased, reserved and the rest."""
        from ..store import maintenance

        return maintenance.usage(self._store)

    def stats(self) -> Stats:
        """What this object has done so far: hits, fetches, bytes, evictions, damage."""
        return self._fetcher.tally.stats(self._store.database)

    def verify(self) -> Verification:
        """Read and hash everything; damaged copies are thrown away, to be fetched again."""
        from ..store import maintenance

        return maintenance.verify(self._store)

    def evict(self, bucket: str, key: str | None = None, version_id: str | None = None) -> int:
        """Forget one object, or a whole bucket; the bytes that this freed.

        Files that somebody still holds stay until they are released and room is needed.
        """
        from ..store import maintenance

        ObjectName("", bucket, "*" if key is None else key, version_id)  # refuses what is no name
        self._fetcher.known.clear()
        return maintenance.evict(self._store, bucket, key, version_id)

    def make_room(self, size: int | str) -> int:
        """Evict, least recently used first, until `size` more bytes fit; the bytes that this freed.

        Raises :class:`~tmpcache.errors.QuotaExceededError` if they cannot.
        """
        from ..store import maintenance

        return self._fetcher.retry_unloading(maintenance.make_room, self._store, size)

    def _make_room_on_disk(self, size: int | str) -> int:
        from ..store import maintenance

        return self._fetcher.retry_unloading(maintenance.make_room, self._store, size, on_disk=True)

    def gc(self) -> int:
        """Remove what nobody can use: leftovers of the dead, superseded copies; bytes freed.

        Nobody needs to call this: what is in the way is removed when room is needed.
        """
        from ..store import maintenance

        return maintenance.gc(self._store)

    def clear(self) -> int:
        """Forget everything, what :meth:`load` keeps too, and remove all but files in use.

        Returns the bytes that this freed.
        """
        from ..store import maintenance

        self._fetcher.known.clear()
        self._loaded.clear()
        return maintenance.clear(self._store)

    def _sweep(self) -> None:
        self._store.database.sweep_if_needed()
