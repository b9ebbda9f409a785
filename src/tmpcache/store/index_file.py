"""The index of one root as one process has it: opened when it is needed, mended when it is broken.

Damage ends here. An index that is garbage, of another format, or was deleted while open is thrown
away and built anew; a full disk is relieved; then the operation runs once more. Operations must
therefore be such that running them twice does no harm.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from threading import RLock

from ..common.interruption import reraise_interrupt
from ..config import checked_quota, parse_size
from ..errors import DeadlineExceededError, QuotaExceededError, TmpCacheError
from .content import eviction, reconciliation
from .content.ledger import totals
from .content.quota import FULL, Quota, exceeded
from .filesystem import files
from .index.change_counter import ChangeCounter
from .index.index import Index, IndexTooLargeError, UnfitIndexError
from .index.staging import merge
from .leases.file_lock import try_lock
from .root import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .root import Root

    T = TypeVar("T")

#: Seconds to wait for the index's write lock, if the caller has so many. Transactions take under a
#: millisecond; whoever holds it longer is stopped in the middle of one.
_BUSY = 30.0
#: Seconds of waiting that are not told to SQLite (2 µs).
_NOTICED = 0.1
#: What SQLite says, besides SQLITE_FULL, when a file of its own cannot grow. Its other input and
#: output errors are about files that somebody has cut or deleted.
_CANNOT_GROW = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
#: Evicted when a write of the index itself meets a full disk.
_RELIEF = 1024 * 1024
_ATTEMPTS = 5
#: SQLite opens three; the others are for threads that close some just when it is looked at.
_DESCRIPTORS = 8


class ReplacedError(sqlite3.DatabaseError):
    """The index that is open is not the one at the path any more."""


class IndexFile:
    """Keeps the index of a root fit for use, and knows how large everything may become."""

    def __init__(
        self,
        root: Root,
        quota: int | str | None,
        min_free: int | str,
        statvfs: Callable[[str], os.statvfs_result],
        time_left: Callable[[], float],
    ) -> None:
        self.root, self.boot, self._time_left = root, boot_id(), time_left
        #: What was found damaged, by reason, and how often.
        self.damaged: dict[str, int] = {}
        #: Held by the thread that uses the index.
        self.lock = RLock()
        #: The thread that is in a transaction, 0 for none.
        self.writer = 0
        #: Told of every change from the first use of the index on.
        self.changes: ChangeCounter | None = None
        self._sizes, self._statvfs = (quota, min_free), statvfs
        self.quota = Quota(root, self._limits(cached=0), statvfs)
        self._index: Index | None = None
        self._suspect = 0

    def use(self, operation: Callable[[Index], T]) -> T:
        """Run an operation on the index; again, once what stood in its way is put right."""
        began = time.monotonic()
        with self.lock:  # whoever has it does not wait longer than one of these
            patience = self._lock_timeout(since=began)
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    index = self._opened()
                    if not self.writer:
                        index.roll_back()
                    index.wait_at_most(patience)
                    return operation(index)
                except sqlite3.Error as error:
                    self._repair(error, last=attempt == _ATTEMPTS)
                except FileNotFoundError:  # somebody deleted a directory
                    if attempt == _ATTEMPTS:
                        raise
                    self.root.prepare()
                except OSError as error:
                    reraise_interrupt(error)
                    if error.errno == errno.EBADF and attempt < _ATTEMPTS:
                        self.abandon()  # a daemon has closed all that was open
                        continue
                    if error.errno not in FULL or isinstance(error, TmpCacheError):
                        raise
                    if attempt == _ATTEMPTS:
                        raise self._full() from error
                    self._relieve_for_index()
        raise AssertionError("the last attempt returns or raises")

    def _repair(self, error: sqlite3.Error, last: bool) -> None:
        extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        code = extended & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise self._locked() from error
        too_large = isinstance(error, IndexTooLargeError)
        full = too_large or code == sqlite3.SQLITE_FULL or extended in _CANNOT_GROW
        if last:
            if full:
                raise self._full() from error
            raise TmpCacheError(
                f"{self.root.index} cannot be used ({error}), nor made anew: delete "
                f"{self.root.path}"
            ) from error
        if self._index is not None and not self._index.in_place(now=True):
            self._close_index(self._index)  # whatever it says: its files are not there any more
        elif self.changes is not None and not self.changes.is_in_place:
            if self.changes.is_open:
                self.close()
            else:
                self.abandon()
        elif too_large and self._index is not None:
            self._index.shrink()
        elif full:
            self._relieve_for_index()
        elif code == sqlite3.SQLITE_CANTOPEN and not _can_open(_DESCRIPTORS):
            raise TmpCacheError(
                f"{self.root.index} cannot be opened: this process has too many open files. Close "
                "some, or raise their limit (ulimit -n)."
            ) from error
        else:
            if not isinstance(error, UnfitIndexError):
                self.count("index")
            self._remove_index()

    def _lock_timeout(self, since: float) -> float:
        """Seconds that this caller can wait for others; it has done so `since` then."""
        waited = time.monotonic() - since
        return max(0.0, min(_BUSY - waited if waited > _NOTICED else _BUSY, self._time_left()))

    def _locked(self) -> TmpCacheError:
        if self._time_left() <= 0:
            return DeadlineExceededError(
                f"{self.root.index} is locked by another process, and the time of this call is up"
            )
        return TmpCacheError(
            f"{self.root.index} has been locked for {_BUSY:.0f} s: a process that uses it seems to "
            "be stopped in the middle of a change. Continue or kill it."
        )

    def _remove_index(self) -> None:
        """Remove the index that was looked at, unless another process has replaced it already."""
        self.root.prepare()
        with self._alone():
            if files.inode(self.root.index) == self._suspect:
                self.delete()
        self.close()

    def delete(self) -> None:
        """Remove the index; all who have it open will see that it is not there any more."""
        # The index first: a connection to one that has gone leaves the log's name alone.
        for end in ("", "-wal", "-shm"):
            files.remove(self.root.index + end)

    def _full(self) -> QuotaExceededError:
        used = self.root.measured()
        return exceeded(
            "the index and sessions",
            "the disk is full of other files, or of paths still held: free space on it",
            needed=_RELIEF,
            quota=self.quota.quota,
            used=used,
            leased=0,
        )

    def count(self, reason: str) -> None:
        """Count damage."""
        self.damaged[reason] = self.damaged.get(reason, 0) + 1

    def _opened(self) -> Index:
        if self._index is not None:
            if self._index.in_place():
                return self._index
            self._close_index(self._index)
        self.root.prepare()
        with self._alone():
            if self.changes is None or not self.changes.is_in_place:
                self.changes = ChangeCounter(self.root.changes)
            self._suspect = files.inode(self.root.index)
            index = Index(self.root.index, quota=self.quota.quota, busy_timeout=_BUSY)
            self._suspect = index.inode
            try:
                with index.transaction():
                    adopts = self._recover(index, self.changes)
            except BaseException:
                index.close()
                raise
            if adopts:
                self.changes.end()
            self._index = index
        self._remove_other_formats()
        return index

    def _close_index(self, index: Index) -> None:
        """Close an index that is not in place any more, or has lost its log, and so its content."""
        found = files.inode(self.root.index)
        if not index.in_place(now=True):
            if found in (0, index.inode):  # else another process has replaced it
                self.count("index")
            if found == index.inode:
                self._suspect = found
                self._remove_index()
        self.close()

    def _recover(self, index: Index, changes: ChangeCounter) -> bool:
        """Account for what lies under the root but not in the index, if that was left to be done;
        check an index of an earlier boot.
        """
        adopts = index.created or changes.is_unfinished(index)
        if adopts:
            changes.begin(index)
            reconciliation.rebuild(index, self.root, self.quota.blocks)
        elif index.one("SELECT boot FROM ledger")[0] != self.boot:
            index.check()
        index.run("UPDATE ledger SET boot = ? WHERE boot <> ?", self.boot, self.boot)
        self.quota.limit(*self._limits(cached=totals(index)[0]))
        return adopts

    def _remove_other_formats(self) -> None:
        """Remove what another release has left here, once none of its processes lives."""
        for other in self.root.other_formats():
            if not other.live_sessions.are_any_alive():
                other.remove()

    def _limits(self, cached: int) -> tuple[int, int]:
        """The quota and what is to stay free, in bytes; some are told as a share of the disk."""
        quota, min_free = self._sizes
        status = self._statvfs(self.root.path)
        total, free = (status.f_frsize * count for count in (status.f_blocks, status.f_bavail))
        return (
            checked_quota(quota, total=total, free=free, cached=cached),
            parse_size(min_free, total=total, name="min_free"),
        )

    def shrink_if_wanted(self) -> None:
        """After a transaction: give pages back that eviction has set free."""
        if self.quota.wants_shrink and self._index is not None:
            self.quota.wants_shrink = False
            self._index.shrink()

    def abandon(self) -> None:
        """Open everything anew. What SQLite has open is left alone: the numbers may be others'."""
        self.changes = None
        if self._index is not None:
            self._index.abandon()
            self._index = None

    def close(self) -> None:
        """Close the index; the next use opens it again."""
        if self._index is not None:
            self._index.close()
            self._index = None

    def forked(self) -> None:
        """In a forked child: leave the index to the parent."""
        self.lock, self.writer = RLock(), 0
        self.abandon()

    def _relieve_for_index(self) -> None:
        """Evict although the index cannot be written: files go first, their rows when they can."""
        if self._index is None:
            if self.changes is not None:
                self.changes.forget()  # whoever opens the index compares
            eviction.evict_without_index(self.root, _RELIEF)
            return
        for _ in range(2):
            try:
                with self._index.transaction():
                    merge(self._index)  # that needs room itself: only once files have gone
                    self.quota.free_disk_space(self._index, _RELIEF)
                return
            except sqlite3.OperationalError:
                continue

    def _alone(self) -> files.Descriptor:
        """A lock: while an index is made or thrown away, nobody else does either."""
        lock, began = files.Descriptor(self.root.sessions, files.DIRECTORY), time.monotonic()
        while not try_lock(lock.fd):
            if not self._lock_timeout(since=began):
                raise self._locked()
            time.sleep(0.001)
        return lock


def _can_open(count: int) -> bool:
    """Whether this process may open so many files more."""
    opened: list[files.Descriptor] = []
    try:
        for _ in range(count):
            opened.append(files.Descriptor(os.devnull, os.O_RDONLY))
        return True
    except OSError as error:
        reraise_interrupt(error)
        return False
