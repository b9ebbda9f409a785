"""The index file of one root: opened, and created anew when it is of no use any more.

:meth:`RecoveringIndex.use` runs an operation on the open index. If that fails, it takes the step
that fits the failure, and runs the operation again, five times at most. So an operation must be
idempotent.

# Recovery

* *Damaged*: garbage, a broken structure, values that were never written, or another format in
  ``user_version``. The index is counted as damage, removed, and created anew.
* *Made for a larger quota*: its pages or the file are too large for this one. It is removed, too,
  but that is no damage.
* *Deleted*, or without its log (``-wal``, ``-shm``), which holds what was committed last: counted
  as damage, and created anew.
* *Replaced* by another process: that index is opened.
* *The file* ``changes`` *deleted or replaced*: index and ``changes`` are opened again.
* *Descriptors closed* by the program: counted as damage, and created anew. SQLite would go on to
  use their numbers for this file, and lock other files, or none. The old connection is never
  closed. (A daemon that forks first has no index open when it closes them, and loses nothing.)
* *A directory deleted*, or this user's rights on it lost: created again, and given back.
* *Disk full*: 1 MiB of blobs is evicted. Where the index cannot even be opened, these are the blobs
  with the oldest mtime (:mod:`.room_for_index`).
* *Too large* for the quota with all its free pages: these are given back to the file system.

Three failures are the caller's: the index is locked for longer than the call can wait, the process
has no descriptors left, or nobody may give the rights back.

A process that creates the index, or opens one whose last change was not committed, rebuilds it
(:mod:`..content.crash_recovery`): what has no row is removed, unless somebody leases or locks it.
An index from an earlier boot is checked first: a machine that lost power may have broken it.

# Locking

While a process opens, creates or removes the index file, it locks the directory ``sessions/``
(``flock``). So two processes that find the same damage do not remove each other's new index.
"""

from __future__ import annotations

import os
import sqlite3
import time
from threading import RLock

from ...common.handler_exceptions import reraise_from_handler
from ...errors import QuotaExceededError, TmpCacheError, is_out_of_files, too_many_files
from ..changes import Changes
from ..content import crash_recovery
from ..content.checked_values import totals
from ..content.quota import FULL, Quota
from ..filesystem import descriptor, files
from ..index import Index, IndexTooLargeError, UnfitIndexError, is_unusable
from ..root import boot_id, denied, is_denied
from ..statistics import note_opened
from .index_wait import BUSY_TIMEOUT, IndexWait
from .session_within_quota import keep_visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ..leases.session import Session
    from ..root import Root

    T = TypeVar("T")

#: SQLite opens three files. The others are for threads that close some while they are counted.
_DESCRIPTORS = 8
#: What SQLite says, besides SQLITE_FULL, when a file of its own cannot grow. Its other I/O errors
#: are about files that somebody has truncated or deleted.
_CANNOT_GROW = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
#: Bytes to evict when a write of the index itself meets a full disk.
_EVICTED_FOR_INDEX = 1024 * 1024
_MAX_ATTEMPTS = 5


class RecoveringIndex:
    """The index of one root, as one process has it open, and the quota it is opened under."""

    def __init__(
        self,
        root: Root,
        quota: int | str | None,
        min_free: int | str,
        statvfs: Callable[[str], os.statvfs_result],
        time_left: Callable[[], float],
    ) -> None:
        self.root, self.boot, self.wait = root, boot_id(), IndexWait(root, time_left)
        #: How often damage was found, by reason.
        self.damaged: dict[str, int] = {}
        #: Held by the thread that uses the index.
        self.lock = RLock()
        #: The thread that is in a transaction, 0 for none.
        self.writer = 0
        #: None until the index is opened for the first time.
        self.changes: Changes | None = None
        self.quota = Quota(root, quota, min_free, statvfs)
        #: The session of this process, once it has one: every transaction keeps its file visible.
        self.session: Session | None = None
        self._index: Index | None = None
        #: The inode of the index that was opened last, or could not be opened.
        self._last_inode = 0

    def use(self, operation: Callable[[Index], T]) -> T:
        """Run an operation on the open index; after a failure, recover and run it again."""
        began = time.monotonic()
        with self.lock:  # its holder waits for other processes once at most
            timeout = self.wait.remaining(since=began)
            for attempt in range(1, _MAX_ATTEMPTS + 1):
                is_last = attempt == _MAX_ATTEMPTS
                try:
                    index = self._opened()
                    if not self.writer:
                        index.roll_back()
                    index.wait_at_most(timeout)
                    return operation(index)
                except sqlite3.ProgrammingError:  # a mistake of ours says nothing about the index
                    if self._index is not None or is_last:
                        raise  # else a signal handler, or a finalizer, closed it meanwhile
                except sqlite3.Error as error:
                    self._recover_from(error, is_last=is_last)
                except OSError as error:
                    reraise_from_handler(error)
                    if not self._recover_from_os_error(error, is_last=is_last):
                        raise
        raise AssertionError("the last attempt returns or raises")

    def _recover_from(self, error: sqlite3.Error, *, is_last: bool) -> None:
        """Take the step that fits what SQLite says; raise what the caller must deal with."""
        extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        code = extended & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise self.wait.timed_out() from error
        is_too_large = isinstance(error, IndexTooLargeError)
        is_full = is_too_large or code == sqlite3.SQLITE_FULL or extended in _CANNOT_GROW
        if is_last:
            if is_full:
                raise self._disk_full() from error
            from .index_errors import not_repaired

            raise not_repaired(self.root, error) from error
        # Its files first: what SQLite says of files that are not there any more means nothing.
        if self._has_closed_descriptors():
            self.close()
        elif self._index is not None and not self._index.in_place(now=True):
            self._recover_from_replacement(self._index)
        elif self.changes is not None and not self.changes.is_in_place:
            self.close()
        elif is_too_large and self._index is not None:
            self._index.shrink()
        elif is_full:
            self._recover_from_full_disk()
        elif code == sqlite3.SQLITE_CANTOPEN and not files.spare_descriptors(kept=_DESCRIPTORS):
            raise too_many_files(self.root.index) from error
        else:
            if not isinstance(error, UnfitIndexError):
                self.count("index", str(error))
            self._remove_damaged()

    def _recover_from_os_error(self, error: OSError, *, is_last: bool) -> bool:
        """Take the step that fits an error of the file system; return False if there is none."""
        if isinstance(error, FileNotFoundError) or is_denied(error):
            if not is_last:
                self.root.restore()
                return True
            if is_denied(error):
                raise denied(self.root.base, error) from error
            return False
        if self._has_closed_descriptors() and not is_last:
            self.close()
            return True
        if isinstance(error, TmpCacheError):
            return False
        if is_out_of_files(error):
            raise too_many_files(self.root.index) from error
        if error.errno not in FULL:
            return False
        if is_last:
            raise self._disk_full() from error
        self._recover_from_full_disk()
        return True

    def _recover_from_replacement(self, index: Index) -> None:
        """Close an index that was deleted or replaced, or has lost its log and so its content."""
        found = descriptor.inode(self.root.index)
        if found in (0, index.inode):  # else another process has replaced it
            self.count("index")
        if found == index.inode:
            self._last_inode = found
            self._remove_damaged()
        self.close()

    def _has_closed_descriptors(self) -> bool:
        """Return whether the program, maybe a daemon that begins, has closed all descriptors."""
        return self.changes is not None and not self.changes.is_open

    def _recover_from_full_disk(self) -> None:
        """Evict blobs although the index cannot be written, or not even be opened."""
        from . import room_for_index

        if self._index is None:
            room_for_index.evict_oldest(self.root, self.changes, self.wait, _EVICTED_FOR_INDEX)
        else:
            room_for_index.evict(self._index, self.quota, _EVICTED_FOR_INDEX)

    def _remove_damaged(self) -> None:
        """Remove the index that was opened last, unless another process has replaced it."""
        self.root.restore()
        with self.wait.lock_directory():
            if descriptor.inode(self.root.index) == self._last_inode:
                self.delete()
        self.close()

    def delete(self) -> None:
        """Remove the index. All processes that have it open see that its path leads elsewhere."""
        # The index first: a connection to one that has gone leaves the log's name alone.
        for end in ("", "-wal", "-shm"):
            files.remove(self.root.index + end)

    def count(self, reason: str, detail: str = "", identity: tuple[str, ...] = ()) -> None:
        """Count one damage found, and note it."""
        from ...common.events import note

        self.damaged[reason] = self.damaged.get(reason, 0) + 1
        note("Damaged", identity, reason=reason, detail=detail)

    def _disk_full(self) -> QuotaExceededError:
        from .index_errors import disk_full

        return disk_full(self.root, self.quota.quota, _EVICTED_FOR_INDEX)

    # ---- opening ------------------------------------------------------------------------------

    def _opened(self) -> Index:
        if self._index is not None:
            if self._has_closed_descriptors():
                self.close()
            elif self._index.in_place():
                return self._index
            else:
                self._recover_from_replacement(self._index)
        self.root.prepare()
        with self.wait.lock_directory():
            while is_unusable(self.root.index):
                self.delete()
                files.create(self.root.index)
            if self.changes is None or not self.changes.is_in_place:
                self.changes = Changes(self.root.changes)
            self._last_inode = descriptor.inode(self.root.index)
            index = Index(self.root.index, quota=self.quota.quota, busy_timeout=BUSY_TIMEOUT)
            self._last_inode = index.inode
            try:
                with index.transaction():
                    is_rebuilt = self._bring_up_to_date(index, self.changes)
            except BaseException:
                index.close()
                raise
            if is_rebuilt:
                self.changes.end()
            self._index = index
        self.root.remove_unused_formats()
        return index

    def _bring_up_to_date(self, index: Index, changes: Changes) -> bool:
        """Rebuild a new index, or one with an uncommitted change; return whether that was done."""
        is_rebuilt = index.created or changes.is_unfinished(index)
        if is_rebuilt:
            changes.begin(index)
            if self.session is not None:
                keep_visible(index, self.quota, self.session)
            crash_recovery.rebuild(index, self.root, self.quota.blocks)
        elif index.one("SELECT boot FROM ledger")[0] != self.boot:
            index.check()
        self.quota.set_limits(cached=totals(index)[0])
        note_opened(index, self.boot, self.quota.quota if self.quota.is_set else 0)
        return is_rebuilt

    def close(self) -> None:
        """Close the index; the next use opens it again."""
        if self._index is None:
            return
        if self._has_closed_descriptors():
            self.count("index", "the program has closed its descriptors")
            self._index.give_up()
        else:
            self._index.close()
        self._index = None

    def forked(self) -> None:
        """In a forked child: leave the index to the parent."""
        self.lock, self.writer, self.changes = RLock(), 0, None
        if self._index is not None:
            self._index.leave()
            self._index = None
