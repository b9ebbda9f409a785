"""How this process gets at the index: transactions, its session and its leases. Survives fork."""

from __future__ import annotations

import os
import sqlite3
from threading import get_ident
from weakref import WeakSet

from ..common.forking import here, recover_from_fork, reset_in_children
from ..errors import QuotaExceededError, TmpCacheError
from . import scratch_directories, session_file
from .content import eviction, reconciliation
from .content.blobs import is_name
from .filesystem.files import Descriptor, names
from .index.staging import is_waiting, merge, record_uses
from .index_file import IndexFile, ReplacedError
from .leases.sessions import Lease, Session
from .root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from ..common.objects import Copy
    from .index.index import Index

    T = TypeVar("T")


#: Transactions that evict objects for their rows after one that adds some: more than it added, and
#: so few that nobody waits long for a cache whose quota was made smaller.
_MOST_ROW_TRIMS = 8


class Database:
    """One root, as one process may use it: transactions on the index, leases, sizes."""

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
        self.root = Root(root)
        self.root.prepare()
        self.clock = clock
        self._index_file = index_file = IndexFile(self.root, quota, min_free, statvfs, time_left)
        self.boot, self.quota = index_file.boot, index_file.quota
        self.damaged, self.count = index_file.damaged, index_file.count
        #: Copies used since the last write, and when: they ride along with the next one.
        self.used: dict[tuple[str, str, str, str], tuple[Copy, float]] = {}
        self.flushed_at = self.looked_at = clock()
        #: Files of partials that this process has locked.
        self.held: WeakSet[Descriptor] = WeakSet()
        self.scratches = scratch_directories.Scratches(self.root)
        self._session: Session | None = None
        self._child_session: Session | None = None
        _all.add(self)
        reset_in_children(self)

    def read(self, operation: Callable[[Index], T]) -> T:
        """Run statements that change nothing."""
        if not here[0]:
            recover_from_fork()
        return self._index_file.use(operation)

    def read_after_writers(self, operation: Callable[[Index], T]) -> T:
        """The same once nobody is in the middle of a change: files are renamed before their rows
        are there to see. 3 µs more.
        """
        self._refuse_reentry()

        def alone(index: Index) -> T:
            self._index_file.writer = get_ident()
            try:
                with index.transaction():
                    return operation(index)
            finally:
                self._index_file.writer = 0
                index.roll_back()

        return self._index_file.use(alone)

    def last_change(self) -> int:
        """The number of the last change by any process, -1 if that is not known just now."""
        return -1 if self._index_file.changes is None else self._index_file.changes.last()

    def update(self, sql: str, *values: object) -> int:
        """Run one statement that changes rows in place, a transaction of its own; rows changed.

        A third of the time of :meth:`write`, which also writes down uses and watches the size.
        """
        self._refuse_reentry()
        return self._index_file.use(lambda index: index.run(sql, *values))

    def write(self, operation: Callable[[Index], T], *, merge_staged: bool = True) -> T:
        """Run an operation in a write transaction, alone on this machine.

        All copies are in the tables then, or with `tidy` false once the operation calls
        :meth:`tidy`; else it must not do more than :func:`.staging.stage`.
        """
        self._refuse_reentry()
        with self._index_file.lock:
            result = self._index_file.use(
                lambda index: self._transact(index, operation, merge_staged)
            )
            for _ in range(_MOST_ROW_TRIMS * self.quota.wants_to_trim_rows):
                trimmed = self._index_file.use(
                    lambda index: self._transact(index, self.quota.trim_rows, True)
                )
                if not trimmed or not self.quota.wants_to_trim_rows:
                    break
            self._index_file.use(lambda _: self._index_file.shrink_if_wanted())
        return result

    def merge_staged(self, index: Index) -> None:
        """In a transaction: bring into the tables what waits for that, copies and their uses."""
        merge(index)
        used, self.used, self.flushed_at = self.used, {}, self.clock()
        record_uses(index, used)

    def _refuse_reentry(self) -> None:
        if not here[0]:
            recover_from_fork()
        if self._index_file.writer == get_ident():
            raise TmpCacheError(
                "the cache was called in the middle of a change of itself, by a signal handler or "
                "a finalizer: call it later"
            )

    def _transact(self, index: Index, operation: Callable[[Index], T], merge_staged: bool) -> T:
        self._index_file.writer = get_ident()
        changes, evicted = self._index_file.changes, self.quota.evicted
        assert changes is not None, "opened with the index"
        try:
            if merge_staged and is_waiting(index):
                with index.transaction():  # of its own: what one with evictions writes is bounded
                    merge(index)
            with index.transaction():
                if not index.in_place(now=True) or not changes.is_in_place:
                    raise ReplacedError("the index is another one")
                unfinished = changes.begin(index)
                if merge_staged or unfinished:
                    self.merge_staged(index)
                if unfinished:  # files went, or came, in a transaction that came to nothing
                    reconciliation.reconcile(index, self.root)
                if self._session is not None:
                    session_file.keep_visible(index, self.quota, self._session)
                try:
                    result = operation(index)
                    self.quota.watch(index)
                except QuotaExceededError:
                    if self.quota.evicted == evicted and not unfinished:
                        changes.undo()
                    raise
            changes.end()
            return result
        finally:
            self._index_file.writer = 0
            index.roll_back()

    # ---- the session --------------------------------------------------------------------------

    def lease(self, lease_id: int) -> Lease:
        """Lease a blob by its lease id."""
        session = self._session
        if session is None:  # the first use by this process: a time to tidy up
            session = self.session()
            scratch_directories.sweep(self.root)
        while (held := session.acquire(lease_id)) is None:
            session = self.write(self._grow_session)
        return held

    def is_session_hidden(self) -> bool:
        """Whether somebody has deleted the session's file: the next transaction makes it anew."""
        return self._session is not None and not self._session.is_in_place

    def session(self) -> Session:
        """The session of this process, begun if need be."""
        return self._session or self.write(self._grow_session)

    def _grow_session(self, index: Index) -> Session:
        """Begin the session of this process, or give it another page of leases."""
        if self._session is None:
            self._session = session_file.begin(index, self.root, self.quota)
        elif self._session.is_full:  # else another thread was here
            session_file.grow(index, self.quota, self._session)
        return self._session

    def sweep(self) -> None:
        """Remove what the dead left and nobody can use: sessions, scratch directories, partials."""
        self.write(lambda index: reconciliation.reclaim(index, self.root, resumable=False))
        scratch_directories.sweep(self.root)

    def sweep_if_needed(self) -> None:
        """Sweep if anything is there that is not this process's own."""
        own = os.path.basename(self._session.path) if self._session is not None else ""
        try:
            found = {*os.listdir(self.root.sessions)}
        except FileNotFoundError:
            found = {""}
        if found - {own} or scratch_directories.homes(self.root) - {self.scratches.own}:
            self.sweep()

    def clear(self) -> None:
        """Remove all content that is not in use, and every row; what is in use is taken in again.

        Rows that are deleted one by one would all go through the log first.
        """

        def operation(index: Index) -> None:
            eviction.unlink(self.root, names(self.root.blobs, is_name))
            self._index_file.delete()

        self._refuse_reentry()
        with self._index_file.lock:
            self.used.clear()
            self._index_file.use(lambda index: self._transact(index, operation, merge_staged=True))
            self._index_file.close()
            self._index_file.use(lambda index: None)

    def close(self) -> None:
        """Let go of the index and the session; leases of paths still held go on."""
        with self._index_file.lock:
            self._index_file.close()
            self._session = None
            self.root.close()

    def __del__(self) -> None:
        try:
            if hasattr(self, "_child_session"):
                self.close()
        except (AttributeError, TypeError):  # the interpreter ends, and modules are empty already
            return

    # ---- fork ---------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Make the child's session before there is a child: no moment without protection."""
        self._index_file.lock.acquire()
        session, self._child_session = self._session, None
        if session is not None and session.holds_any():
            try:
                self._child_session = self.write(
                    lambda index: session_file.child_session(index, self.quota, session)
                )
            except TmpCacheError:
                self.count("lease lost at fork")

    def after_fork_in_parent(self) -> None:
        """The child has its session; this process need not keep it alive."""
        if self._child_session is not None:
            self._child_session.leave()
            self._child_session = None
        self._index_file.lock.release()

    def forked(self) -> None:
        """In a child: leave everything that belongs to the parent, go on with a session of one's
        own, which has the same leases.
        """
        self._index_file.forked()
        for file in list(
            self.held
        ):  # or the parent's partials would stay locked as long as we live
            file.close()
        self.held.clear()
        self.root.session_files.forget()
        if self._session is not None:
            self._session.continue_in(self._child_session)
            self._child_session = None


_all: WeakSet[Database] = WeakSet()


def _each(method: Callable[[Database], None]) -> Callable[[], None]:
    def call() -> None:
        for database in list(_all):
            method(database)

    return call


os.register_at_fork(
    before=_each(Database.before_fork), after_in_parent=_each(Database.after_fork_in_parent)
)
