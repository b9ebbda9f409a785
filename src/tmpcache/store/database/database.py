"""One root as one process uses it: its transactions, its session, and its leases.

# Fork

A forked child must neither use the parent's connection nor lose the protection of the leases that
it inherits. The parent makes the child's session before it forks (:meth:`Database.before_fork`).
"""

from __future__ import annotations

import atexit
import os
import sqlite3
import sys

from ...common import weak_set
from ...common.forking import reset_in_children
from ...errors import TmpCacheError
from .. import scratch_directories
from ..content import crash_recovery, eviction
from ..content.blobs import is_name
from ..filesystem.descriptor import Descriptor, inode
from ..filesystem.files import names
from ..leases.lease import Lease
from ..leases.session import Session
from ..root import Root
from . import session_within_quota
from .recovering_index import RecoveringIndex
from .transactions import Transactions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar
    from weakref import ref

    from ..index import Index

    T = TypeVar("T")


#: Seconds that a process which ends waits for others, to record what it did.
_WAIT_AT_EXIT = 0.1


class Database(Transactions):
    """The index, the session and the quota of one root, for all threads of one process."""

    def __init__(
        self,
        root: str,
        quota: int | str | None,
        min_free: int | str,
        clock: Callable[[], float],
        statvfs: Callable[[str], os.statvfs_result],
        time_left: Callable[[], float],
    ) -> None:
        if sqlite3.sqlite_version_info < (3, 24):
            raise TmpCacheError(
                f"this Python has SQLite {sqlite3.sqlite_version}, and tmpcache needs 3.24 or "
                "newer: use a Python that was built with one"
            )
        prepared = Root(root)
        prepared.prepare()
        index = RecoveringIndex(prepared, quota, min_free, statvfs, time_left)
        super().__init__(index, clock)
        self.boot, self.damaged, self.count = index.boot, index.damaged, index.count
        #: Partial files whose download locks this process holds.
        self.locked_partials: set[ref[Descriptor]] = set()
        self.scratches = scratch_directories.Scratches(self.root)
        self._child_session: Session | None = None
        weak_set.add(_all, self)
        reset_in_children(self)

    # ---- the session --------------------------------------------------------------------------

    def lease(self, lease_id: int) -> Lease:
        """Lease a blob by its lease id."""
        session = self._index.session
        if session is None:  # the first use by this process: sweep once
            session = self.session()
            scratch_directories.sweep(self.root)
            _deliver_events()
        while (lease := session.acquire(lease_id)) is None:
            session = self.write(self._grow_session)
        return lease

    def session(self) -> Session:
        """Return the session of this process; begin it if there is none."""
        return self._index.session or self.write(self._grow_session)

    def is_session_hidden(self) -> bool:
        """Return whether somebody deleted the session's file: the next `write` makes it anew."""
        session = self._index.session
        return session is not None and not session.is_visible()

    def _grow_session(self, index: Index) -> Session:
        """Begin the session of this process, or double its table of leases."""
        session = self._index.session
        if session is None:
            session = self._index.session = session_within_quota.begin(index, self.root, self.quota)
        elif session.is_full:  # else another thread was here
            session_within_quota.grow(index, self.quota, session)
        return session

    def sweep(self) -> None:
        """Reclaim what dead processes left: sessions, scratch directories, partial files.

        Partial files that a download can resume stay.
        """
        self.write(lambda index: crash_recovery.reclaim(index, self.root, keep_resumable=True))
        scratch_directories.sweep(self.root)
        _deliver_events()

    def sweep_if_needed(self) -> None:
        """Sweep if any session file or scratch directory is not this process's own."""
        session = self._index.session
        own = "" if session is None else os.path.basename(session.path)
        try:
            found = {*os.listdir(self.root.sessions)}
        except FileNotFoundError:
            found = {""}
        if found - {own} or scratch_directories.homes(self.root) - {self.scratches.own}:
            self.sweep()

    def clear(self) -> None:
        """Remove all blobs that nobody leases, and the index with them.

        The new index takes in the leased ones. Rows that are deleted one by one would all go
        through the log first.
        """

        def operation(index: Index) -> None:
            eviction.unlink(self.root, names(self.root.blobs, is_name))

        self.replace_index(operation)

    def record(self) -> None:
        """Record uses of blobs and what was counted, if there is anything to record.

        If somebody has deleted the index, no new one is made for that.
        """
        has_news = self.unrecorded_uses or self.statistics.has_news
        if has_news and inode(self.root.index):
            self.flush()

    def flush(self) -> None:
        """Record which blobs were used when; a failure is not worth an error."""
        try:
            self.write(lambda index: None)
        except TmpCacheError:
            self.flushed_at = self.clock()

    def at_exit(self) -> None:
        """Record what the process did, unless it would have to wait for others."""
        lock = self._index.lock
        if lock.acquire(timeout=_WAIT_AT_EXIT):
            try:
                self._index.wait.shorten(_WAIT_AT_EXIT)
                self.record()
            finally:
                lock.release()

    def close(self) -> None:
        """Close the index and forget the session, which lives on while a path is still leased."""
        with self._index.lock:
            self._index.close()
            self._index.session = None
            self.root.close()

    def __del__(self) -> None:
        try:
            if hasattr(self, "_child_session"):
                self.close()
        except (AttributeError, TypeError):  # the interpreter ends, and modules are empty already
            return

    # ---- fork ---------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Make the child's session before the child exists: its leases protect from the start.

        Then close the index; the next use opens it. SQLite knows in memory which locks a process
        has on a file. A child that inherits that takes no lock on a file that its parent has open,
        and its commits are lost when the parent closes the index and removes the log.
        """
        self._index.lock.acquire()
        session, self._child_session = self._index.session, None
        if session is not None and session.holds_any():
            try:
                self._child_session = self.write(
                    lambda index: session_within_quota.create_child_session(
                        index, self.quota, session
                    )
                )
            except TmpCacheError:
                self.count("lease lost at fork")
        self._index.close()

    def after_fork_in_parent(self) -> None:
        """Close the child's session in this process: the child keeps it alive."""
        if self._child_session is not None:
            self._child_session.leave()
            self._child_session = None
        self._index.lock.release()

    def forked(self) -> None:
        """In a child: leave the parent's files alone, and go on with the session made for it.

        The child closes its descriptors of the parent's partial files: a lock lasts as long as any
        process has the descriptor open, so the parent's downloads would stay locked.
        """
        self._index.forked()
        self.statistics.forked()
        for file in weak_set.living(self.locked_partials):
            file.close()
        self.locked_partials.clear()
        self.root.live_sessions.close()
        session = self._index.session
        if session is not None:
            session.continue_in(self._child_session)
            self._child_session = None


def _deliver_events() -> None:
    """Deliver what was noted. Where the module is not imported yet, nothing was."""
    if "tmpcache.common.events" in sys.modules:
        from ...common.subscriptions import deliver

        deliver()


_all: set[ref[Database]] = set()


def _each(method: Callable[[Database], None]) -> Callable[[], None]:
    def call() -> None:
        for database in weak_set.living(_all):
            method(database)

    return call


atexit.register(_each(Database.at_exit))
os.register_at_fork(
    before=_each(Database.before_fork), after_in_parent=_each(Database.after_fork_in_parent)
)
