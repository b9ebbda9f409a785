"""Room for an index that the full disk keeps from being written, or from being opened.

:func:`evict` deletes the blobs that were used last longest ago. :func:`evict_oldest` is for an
index that cannot be opened: it deletes those with the oldest mtime.

# Locking

Every eviction needs the index's write lock, or another process could withdraw what this one has
announced, begin a session or publish a blob meanwhile (:mod:`..content.eviction`). A process that
cannot open the index gets that lock all the same:

* While it evicts, it locks ``sessions/``, so no other process opens the index.
* If a process has the index open, the first block of the shared memory is there. Then this process
  can begin a transaction, which takes no room; only to commit one does.
* If it is not there, no process has the index open, so none is in a transaction. SQLite truncates
  what a killed process left before it asks for the room to make the block anew.
"""

from __future__ import annotations

import os
import sqlite3
import time

from ..content.eviction import evict_without_index
from ..staged_copies import merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..changes import Changes
    from ..content.quota import Quota
    from ..index import Index
    from ..root import Root
    from .index_wait import IndexWait

#: Bytes of a block of SQLite's shared memory (``-shm``); a connection maps the first one.
_SHARED_BLOCK = 32 * 1024


def evict(index: Index, quota: Quota, needed: int) -> None:
    """Evict blobs of `needed` bytes although the index cannot be written.

    The files go first, so there is room to delete their rows.
    """
    for _ in range(2):
        try:
            with index.transaction():
                merge(index)  # it needs room itself: the second time there is some
                quota.free_disk_space(index, needed)
            return
        except sqlite3.OperationalError:
            continue


def evict_oldest(root: Root, changes: Changes | None, wait: IndexWait, needed: int) -> None:
    """Evict blobs of `needed` bytes although the index cannot be opened.

    Files and rows differ then, which ``changes`` tells the next process. If SQLite refuses the
    write lock for want of room, nothing is evicted: then the next attempt to open the index fails,
    too, and has truncated the shared memory.
    """
    began = time.monotonic()
    with wait.lock_directory():
        if not _may_be_open(root):
            return _evict(root, changes, needed)
        connection = sqlite3.connect(
            root.index, timeout=wait.remaining(since=began), isolation_level=None
        )
        try:
            connection.execute("BEGIN IMMEDIATE")
            _evict(root, changes, needed)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise wait.timed_out() from error
        finally:
            connection.close()


def _may_be_open(root: Root) -> bool:
    """Return whether a process may have the index open."""
    try:
        return os.stat(root.index + "-shm").st_size >= _SHARED_BLOCK and os.path.exists(root.index)
    except FileNotFoundError:
        return False


def _evict(root: Root, changes: Changes | None, needed: int) -> None:
    if changes is not None and changes.is_open:
        changes.mark_unfinished()
    evict_without_index(root, needed)
