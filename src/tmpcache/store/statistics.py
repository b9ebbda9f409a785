"""Statistics of a root: what all processes have done since its index was created.

Each process counts in memory. What it has counted since is added to the ledger, the table that each
write transaction writes to anyway, by a transaction that records uses. So a hit writes nothing. A
process that is killed loses what it has counted since its last such transaction: 30 seconds of hits
at most, as with the uses of blobs.

The ledger also has the quota that was set last, so that a program that only looks at a root, or
cleans it, need not be told.
"""

from __future__ import annotations

import os
import sqlite3
from urllib.parse import quote

from ..config import SMALLEST_QUOTA
from .content.checked_values import byte_count
from .index import DamagedIndexError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .index import Index

#: The columns of the ledger that are counters: what fetches did, and what the store did.
OF_FETCHES = ("hits", "revalidated", "stale", "fetched", "asked", "bytes_fetched", "bytes_saved")
OF_STORE = ("evicted", "evicted_bytes", "damaged")
COUNTERS = (*OF_FETCHES, *OF_STORE)

_ADD = f"UPDATE ledger SET {', '.join(f'{name} = {name} + ?' for name in COUNTERS)}"
_READ = f"SELECT {', '.join(COUNTERS)} FROM ledger"
_RESTORE = f"UPDATE ledger SET since = ?, {', '.join(f'{name} = ?' for name in COUNTERS)}"


class Statistics:
    """What one process has counted, and how much of that the ledger has."""

    def __init__(self, count_of_store: Callable[[], tuple[int, ...]]) -> None:
        self._count_of_store = count_of_store
        #: Returns the counters of :data:`OF_FETCHES`, which only ever grow.
        self.count_of_fetches: Callable[[], tuple[int, ...]] = lambda: (0,) * len(OF_FETCHES)
        self._recorded = self._written = (0,) * len(COUNTERS)

    def _counted(self) -> tuple[int, ...]:
        return *self.count_of_fetches(), *self._count_of_store()

    @property
    def has_news(self) -> bool:
        """Whether this process has counted anything that the ledger does not have."""
        return self._counted() != self._recorded

    def record(self, index: Index) -> None:
        """In a transaction: add to the ledger what was counted since the last one."""
        self._written = self._counted()
        new = [now - before for now, before in zip(self._written, self._recorded, strict=True)]
        if any(new):
            index.run(_ADD, *new)

    def committed(self) -> None:
        """Note that the transaction of the last :meth:`record` was committed."""
        self._recorded = self._written

    def forked(self) -> None:
        """In a forked child: leave to the parent what it has counted."""
        self._recorded = self._written = self._counted()


def read(index: Index) -> tuple[float, tuple[int, ...]]:
    """Return when the ledger began to count (seconds since the epoch), and its counters."""
    since = index.one("SELECT since FROM ledger")[0]
    if not isinstance(since, float):
        raise DamagedIndexError(f"{since!r} is not a time")
    return since, tuple(map(byte_count, index.one(_READ)))


def restore(index: Index, since: float, counters: tuple[int, ...]) -> None:
    """Give a new index the statistics of the one that it replaces."""
    index.run(_RESTORE, since, *counters)


def note_opened(index: Index, boot: str, quota: int) -> None:
    """Record the boot, and the quota in bytes if one was set (else 0), if they have changed."""
    sql = "UPDATE ledger SET boot = ?, quota = ? WHERE boot <> ? OR quota <> ?"
    index.run(sql, boot, quota, boot, quota)


def quota_in_use(path: str) -> int | None:
    """Return the quota in bytes that the index at `path` was last opened under.

    None if there is no index of this user, or if no quota was set. Nothing is created or changed.
    """
    try:
        if os.lstat(path).st_uid != os.geteuid():
            return None
        connection = sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True, timeout=1)
        try:
            value = connection.execute("SELECT quota FROM ledger").fetchall()[0][0]
        finally:
            connection.close()
    except (OSError, sqlite3.Error, LookupError):  # whoever opens it to use it will repair it
        return None
    return value if isinstance(value, int) and SMALLEST_QUOTA <= value < 2**60 else None
