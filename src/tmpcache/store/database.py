"""How this process gets at the index: transactions, its session and its leases. Survives fork."""

from __future__ import annotations

import os
import sqlite3
from threading import get_ident
from weakref import WeakSet

from ..common.forking import here, put_right, reset_in_children
from ..errors import QuotaExceededError, TmpCacheError
from . import scratch_directories
from .content import eviction, reconciliation
from .content.blobs import is_name
from .filesystem.files import Descriptor, names
from .index.staging import is_waiting, merge
from .index_file import Keeper, ReplacedError
from .leases.sessions import PAGE, Lease, Session
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
_TRIMS_MOST = 8


class Access:
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
        self._keeper = keeper = Keeper(self.root, quota, min_free, statvfs, time_left)
        self.boot, self.quota = keeper.boot, keeper.quota
        self.damaged, self.count = keeper.damaged, keeper.count
        #: Copies used since the last write, and when: they ride along with the next one.
        self.used: dict[tuple[str, str, str, str], tuple[Copy, float]] = {}
        self.flushed_at = self.looked_at = clock()
        #: Files of partials that this process has locked.
        self.held: WeakSet[Descriptor] = WeakSet()
        self.scratches = scratch_directories.Scratches(self.root)
        self._session: Session | None = None
        self._heir: Session | None = None
        _all.add(self)
        reset_in_children(self)

    def read(self, operation: Callable[[Index], T]) -> T:
        """Run statements that change nothing."""
        if not here[0]:
            put_right()
        return self._keeper.use(operation)

    def read_settled(self, operation: Callable[[Index], T]) -> T:
        """The same once nobody is in the middle of a change: files are renamed before their rows
        are there to see. 3 µs more.
        """
        self._refuse_reentry()

        def alone(index: Index) -> T:
            self._keeper.writer = get_ident()
            try:
                with index.transaction():
                    return operation(index)
            finally:
                self._keeper.writer = 0
                index.roll_back()

        return self._keeper.use(alone)

    def last_change(self) -> int:
        """The number of the last change by any process, -1 if that is not known just now."""
        return -1 if self._keeper.changes is None else self._keeper.changes.last()

    def update(self, sql: str, *values: object) -> int:
        """Run one statement that changes rows in place, a transaction of its own; rows changed.

        A third of the time of :meth:`write`, which also writes down uses and watches the size.
        """
        self._refuse_reentry()
        return self._keeper.use(lambda index: index.run(sql, *values))

    def write(self, operation: Callable[[Index], T], *, tidy: bool = True) -> T:
        """Run an operation in a write transaction, alone on this machine.

        All copies are in the tables then, or with `tidy` false once the operation calls
        :meth:`tidy`; else it must not do more than :func:`.staging.stage`.
        """
        self._refuse_reentry()
        with self._keeper.lock:
            result = self._keeper.use(lambda index: self._transact(index, operation, tidy))
            for _ in range(_TRIMS_MOST * self.quota.wants_trim):
                trimmed = self._keeper.use(
                    lambda index: self._transact(index, self.quota.trim, True)
                )
                if not trimmed or not self.quota.wants_trim:
                    break
            self._keeper.use(lambda _: self._keeper.shrink_if_wanted())
        return result

    def tidy(self, index: Index) -> None:
        """In a transaction: bring into the tables what waits for that, copies and their uses."""
        merge(index)
        used, self.used, self.flushed_at = self.used, {}, self.clock()
        if used:
            index.run_many(
                "UPDATE blobs SET used_at = max(used_at, ?) WHERE name = ?",
                [(at, copy.name) for copy, at in used.values()],
            )
            index.run_many(
                "UPDATE objects SET used_at = max(used_at, ?) "
                "WHERE bucket = ? AND key = ? AND version = ? AND origin = ?",
                [(at, *copy.parts) for copy, at in used.values()],
            )

    def _refuse_reentry(self) -> None:
        if not here[0]:
            put_right()
        if self._keeper.writer == get_ident():
            raise TmpCacheError(
                "the cache was called in the middle of a change of itself, by a signal handler or "
                "a finalizer: call it later"
            )

    def _transact(self, index: Index, operation: Callable[[Index], T], tidy: bool) -> T:
        self._keeper.writer = get_ident()
        changes, evicted = self._keeper.changes, self.quota.evicted
        assert changes is not None, "opened with the index"
        try:
            if tidy and is_waiting(index):
                with index.transaction():  # of its own: what one with evictions writes is bounded
                    merge(index)
            with index.transaction():
                if not index.in_place(now=True) or not changes.is_in_place:
                    raise ReplacedError("the index is another one")
                unfinished = changes.begin(index)
                if tidy or unfinished:
                    self.tidy(index)
                if unfinished:  # files went, or came, in a transaction that came to nothing
                    reconciliation.reconcile(index, self.root)
                self._look_after_session(index)
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
            self._keeper.writer = 0
            index.roll_back()

    # ---- the session --------------------------------------------------------------------------

    def take(self, lease: int) -> Lease:
        """Lease a blob by its lease id."""
        session = self._session
        if session is None:  # the first use by this process: a time to tidy up
            session = self.session()
            scratch_directories.sweep(self.root)
        while (held := session.take(lease)) is None:
            session = self.write(self._widen)
        return held

    def is_invisible(self) -> bool:
        """Whether somebody has deleted the session's file: the next transaction makes it anew."""
        return self._session is not None and not self._session.is_in_place

    def session(self) -> Session:
        """The session of this process, begun if need be."""
        return self._session or self.write(self._widen)

    def _widen(self, index: Index) -> Session:
        """Begin the session of this process, or give it another page of leases."""
        if self._session is not None and not self._session.is_full:  # another thread was here
            return self._session
        if self._session is None:
            reconciliation.bury(index, self.root, resumable=False)
        size = PAGE if self._session is None else self._session.size
        self._make_room_for_session(index, size)
        if self._session is None:
            self._session = Session(self.root.sessions)
        else:
            self._session.grow()
        return self._session

    def _look_after_session(self, index: Index) -> None:
        """See that others can see it; somebody may have deleted its file."""
        session = self._session
        if session is None:
            return
        session.forget_evicted()
        session.shrink()
        if not session.is_in_place:
            self._make_room_for_session(index, session.size)
            session.renew()

    def _make_room_for_session(self, index: Index, size: int) -> None:
        while not self.quota.make_room(index, size, "a session", slack=0):
            continue

    def sweep(self) -> None:
        """Remove what the dead left and nobody can use: sessions, scratch directories, partials."""
        self.write(lambda index: reconciliation.bury(index, self.root, resumable=False))
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

    def start_over(self) -> None:
        """Remove all content that is not in use, and every row; what is in use is taken in again.

        Rows that are deleted one by one would all go through the log first.
        """

        def operation(index: Index) -> None:
            eviction.unlink(self.root, names(self.root.blobs, is_name))
            self._keeper.delete()

        self._refuse_reentry()
        with self._keeper.lock:
            self.used.clear()
            self._keeper.use(lambda index: self._transact(index, operation, tidy=True))
            self._keeper.close()
            self._keeper.use(lambda index: None)

    def close(self) -> None:
        """Let go of the index and the session; leases of paths still held go on."""
        with self._keeper.lock:
            self._keeper.close()
            self._session = None
            self.root.close()

    def __del__(self) -> None:
        try:
            if hasattr(self, "_heir"):
                self.close()
        except (AttributeError, TypeError):  # the interpreter ends, and modules are empty already
            return

    # ---- fork ---------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Make the child's session before there is a child: no moment without protection."""
        self._keeper.lock.acquire()
        session, self._heir = self._session, None
        if session is not None and session.holds_any():
            try:
                self._heir = self.write(lambda index: self._twin(index, session))
            except TmpCacheError:
                self.count("lease lost at fork")

    def _twin(self, index: Index, session: Session) -> Session:
        self._make_room_for_session(index, session.size)
        return session.twin()

    def after_fork_in_parent(self) -> None:
        """The child has its session; this process need not keep it alive."""
        if self._heir is not None:
            self._heir.leave()
            self._heir = None
        self._keeper.lock.release()

    def forked(self) -> None:
        """In a child: leave everything that belongs to the parent, go on with a session of one's
        own, which has the same leases.
        """
        self._keeper.forked()
        for file in list(
            self.held
        ):  # or the parent's partials would stay locked as long as we live
            file.close()
        self.held.clear()
        self.root.session_files.forget()
        if self._session is not None:
            self._session.become(self._heir)
            self._heir = None


_all: WeakSet[Access] = WeakSet()


def _each(method: Callable[[Access], None]) -> Callable[[], None]:
    def call() -> None:
        for access in list(_all):
            method(access)

    return call


os.register_at_fork(
    before=_each(Access.before_fork), after_in_parent=_each(Access.after_fork_in_parent)
)
