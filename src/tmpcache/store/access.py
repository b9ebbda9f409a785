"""How this process gets at the index: transactions, its session and its leases. Survives fork."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from threading import get_ident
from weakref import WeakSet

from ..errors import TmpCacheError
from . import repair
from .keeper import Keeper
from .root import Root
from .sessions import PAGE, Census, Session
from .staging import is_waiting, merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .index import Index

    T = TypeVar("T")


class Access:
    """One root, as one process may use it: transactions on the index, leases, sizes."""

    def __init__(
        self,
        root: str,
        quota: int | str | None,
        min_free: int | str,
        clock: Callable[[], float],
        statvfs: Callable[[str], os.statvfs_result],
    ) -> None:
        self.root = Root(root)
        self.root.prepare()
        self.clock = clock
        self._keeper = keeper = Keeper(self.root, quota, min_free, statvfs)
        self.boot, self.quota = keeper.boot, keeper.quota
        self.damaged, self.count = keeper.damaged, keeper.count
        #: Names of blobs used since the last write, and when: they ride along with the next one.
        self.used: dict[str, float] = {}
        self.flushed_at = clock()
        #: Descriptors of partials that this process has locked.
        self.held: set[int] = set()
        self._writer = 0  # the thread that is in a transaction
        self._at_odds = False
        self._session: Session | None = None
        self._heir: Session | None = None
        # A shared lock on a directory keeps systemd-tmpfiles from ageing what is in it.
        self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with suppress(BlockingIOError):
            fcntl.flock(self._root_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        _all.add(self)

    def read(self, operation: Callable[[Index], T]) -> T:
        """Run statements that change nothing."""
        return self._keeper.use(operation)

    def read_settled(self, operation: Callable[[Index], T]) -> T:
        """The same once nobody is in the middle of a change: files are renamed before their rows
        are there to see. 3 µs more.
        """
        self._refuse_reentry()

        def alone(index: Index) -> T:
            with index.transaction():
                return operation(index)

        return self._keeper.use(alone)

    def last_change(self) -> int:
        """The number of the last change by any process, -1 if that is not known just now."""
        return -1 if self._keeper.changes is None else self._keeper.changes.last()

    def update(self, sql: str, *values: object) -> int:
        """Run one statement that changes rows in place, a transaction of its own; rows changed.

        A third of the time of :meth:`write`, which also writes down uses and watches the size.
        """
        return self._keeper.use(lambda index: index.run(sql, *values))

    def write(self, operation: Callable[[Index], T], *, tidy: bool = True) -> T:
        """Run an operation in a write transaction, alone on this machine.

        All copies are in the tables then, or with `tidy` false once the operation calls
        :meth:`tidy`; else it must not do more than :func:`.staging.stage`.
        """
        self._refuse_reentry()
        return self._keeper.use(lambda index: self._transact(index, operation, tidy))

    def tidy(self, index: Index) -> None:
        """In a transaction: bring into the tables what waits for that, copies and their uses."""
        merge(index)
        used, self.used, self.flushed_at = self.used, {}, self.clock()
        if used:
            touch = "UPDATE blobs SET used_at = max(used_at, ?) WHERE name = ?"
            index.run_many(touch, [(at, name) for name, at in used.items()])

    def _refuse_reentry(self) -> None:
        if self._writer == get_ident():
            raise TmpCacheError(
                "the cache was called in the middle of a change of itself, by a signal handler or "
                "a finalizer: call it later"
            )

    def _transact(self, index: Index, operation: Callable[[Index], T], tidy: bool) -> T:
        session, self._writer = self._session, get_ident()
        changes = self._keeper.changes
        assert changes is not None, "opened with the index"
        evicted, self._at_odds, at_odds = self.quota.evicted, True, self._at_odds
        try:
            if session is not None:
                session.changing = True
            if tidy and is_waiting(index):
                with index.transaction():  # of its own: what one with evictions writes is bounded
                    merge(index)
            with index.transaction():
                number = changes.begin()
                if tidy or at_odds:
                    self.tidy(index)
                if at_odds:  # files went in a transaction that came to nothing
                    with Census(self.root.sessions) as census:
                        repair.reconcile(index, self.root, census.leased())
                result = operation(index)
                self.quota.watch(index)
            changes.end(number)
            if session is not None:
                session.changing = False
            self._at_odds = False
            return result
        finally:
            self._at_odds = self._at_odds and (at_odds or self.quota.evicted != evicted)
            self._writer = 0

    def take(self, lease: int) -> tuple[Session, int]:
        """Lease a blob by its lease id: the session and the slot to give back to it."""
        session = self._session
        if session is None:  # the first use by this process: a time to tidy up
            session = self.session()
            repair.sweep_scratch(self.root)
        while (slot := session.take(lease)) < 0:
            session = self.write(self._widen)
        return session, slot

    def close(self) -> None:
        """Let go of the index and the session; leases of paths still held go on."""
        with self._keeper.lock:
            self._keeper.close()
            self._session = None
            if self._root_fd >= 0:
                self._close_fd(self._root_fd)
                self._root_fd = -1

    #: Modules may be empty already when the interpreter ends and collects what is left.
    _close_fd = staticmethod(os.close)

    def __del__(self) -> None:
        if hasattr(self, "_root_fd"):
            self.close()

    # ---- the session --------------------------------------------------------------------------

    def _widen(self, index: Index) -> Session:
        """Begin the session of this process, or give it another page of leases."""
        if self._session is not None and not self._session.is_full:  # another thread was here
            return self._session
        if self._session is None:
            self._bury(index)
        size = PAGE if self._session is None else self._session.size
        while not self.quota.make_room(index, size, "a session", slack=0):
            continue
        if self._session is None:
            self._session = Session(self.root.sessions)
        else:
            self._session.grow()
        return self._session

    def sweep(self) -> None:
        """Remove what the dead left and nobody can use: sessions, scratch directories, partials."""
        self.write(self._bury)
        repair.sweep_scratch(self.root)

    def sweep_if_needed(self) -> None:
        """Sweep if anything is there that is not this process's own."""
        own = os.path.basename(self._session.path) if self._session is not None else ""
        try:
            found = {*os.listdir(self.root.sessions), *os.listdir(self.root.scratch)}
        except FileNotFoundError:
            found = {""}
        if found - {own}:
            self.sweep()

    def _bury(self, index: Index) -> int:
        with Census(self.root.sessions) as census:
            return repair.bury(index, self.root, census, resumable=False)

    def session(self) -> Session:
        """The session of this process, begun if need be."""
        return self._session or self.write(self._widen)

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
        while not self.quota.make_room(index, session.size, "a session", slack=0):
            continue
        return session.twin()

    def after_fork_in_parent(self) -> None:
        """The child has its session; this process need not keep it alive."""
        if self._heir is not None:
            self._heir.leave()
            self._heir = None
        self._keeper.lock.release()

    def after_fork_in_child(self) -> None:
        """Leave everything that belongs to the parent, go on with a session of one's own."""
        self._writer = 0
        self._keeper.forked()
        for fd in self.held:  # or the parent's partials would stay locked as long as we live
            os.close(fd)
        self.held.clear()
        if self._session is not None:
            self._session.become(self._heir)
            if self._heir is None:
                self._session = None
            self._heir = None


_all: WeakSet[Access] = WeakSet()


def _each(method: Callable[[Access], None]) -> Callable[[], None]:
    def call() -> None:
        for access in list(_all):
            method(access)

    return call


os.register_at_fork(
    before=_each(Access.before_fork),
    after_in_parent=_each(Access.after_fork_in_parent),
    after_in_child=_each(Access.after_fork_in_child),
)
