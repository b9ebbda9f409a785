"""How this process gets at the index: open, lock, mend; and its session. Survives fork.

Damage ends here. An index that is garbage, of another format, or was deleted while open is thrown
away and built anew; a full disk is relieved; then the operation runs once more. Operations must
therefore be such that running them twice does no harm.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from threading import RLock, get_ident
from weakref import WeakSet

from ..config import checked_quota, parse_size
from ..errors import QuotaExceededError, TmpCacheError
from . import repair
from .blobs import inode, remove
from .index import Index
from .quota import FULL, Quota, exceeded, totals
from .root import Root, boot_id
from .sessions import PAGE, Census, Session
from .staging import MOST, merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")

#: Seconds to wait for the index's write lock. Transactions take under a millisecond; whoever holds
#: it longer is stopped in the middle of one.
_BUSY = 30.0
#: Evicted when a write of the index itself meets a full disk.
_RELIEF = 1024 * 1024
_ATTEMPTS = 3
#: SQLite opens three; the others are for threads that close some just when it is looked at.
_DESCRIPTORS = 8


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
        self.boot = boot_id()
        #: What was found damaged, by reason, and how often.
        self.damaged: dict[str, int] = {}
        #: Names of blobs used since the last write, and when: they ride along with the next one.
        self.used: dict[str, float] = {}
        self.flushed_at = clock()
        #: Descriptors of partials that this process has locked.
        self.held: set[int] = set()
        self._sizes, self._statvfs = (quota, min_free), statvfs
        self.quota = self._new_quota(cached=0)
        self._lock = RLock()
        self._writer = 0  # the thread that is in a transaction
        self._index: Index | None = None
        self._suspect = 0
        self._staged = 0  # copies, by this process, since it last merged
        self._at_odds = False
        self._shed = False  # files have gone that the index still knows
        self._session: Session | None = None
        self._heir: Session | None = None
        # A shared lock on a directory keeps systemd-tmpfiles from ageing what is in it.
        self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with suppress(BlockingIOError):
            fcntl.flock(self._root_fd, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def read(self, operation: Callable[[Index], T]) -> T:
        """Run statements that change nothing."""
        return self._mended(operation)

    def read_settled(self, operation: Callable[[Index], T]) -> T:
        """The same once nobody is in the middle of a change: files are renamed before their rows
        are there to see. 3 µs more.
        """
        self._refuse_reentry()

        def alone(index: Index) -> T:
            with index.transaction():
                return operation(index)

        return self._mended(alone)

    def update(self, sql: str, *values: object) -> int:
        """Run one statement that changes rows in place, a transaction of its own; rows changed.

        A third of the time of :meth:`write`, which also writes down uses and watches the size.
        """
        return self._mended(lambda index: index.run(sql, *values))

    def write(self, operation: Callable[[Index], T], *, tidy: bool = True) -> T:
        """Run an operation in a write transaction, alone on this machine.

        All copies are in the tables then, or with `tidy` false once the operation calls
        :meth:`tidy`; else it must not do more than :func:`.staging.stage`.
        """
        self._refuse_reentry()
        return self._mended(lambda index: self._transact(index, operation, tidy))

    def tidy(self, index: Index) -> None:
        """In a transaction: bring into the tables what waits for that, copies and their uses."""
        merge(index)
        self._staged = 0
        used, self.used, self.flushed_at = self.used, {}, self.clock()
        if used:
            touch = "UPDATE blobs SET used_at = max(used_at, ?) WHERE name = ?"
            index.run_many(touch, [(at, name) for name, at in used.items()])

    def may_stage(self, index: Index, needed: int) -> bool:
        """In a transaction: whether one more copy may be staged, `needed` bytes of it to come."""
        self._staged += 1
        return self._staged < MOST and self.quota.is_ample(index, needed)

    def _refuse_reentry(self) -> None:
        if self._writer == get_ident():
            raise TmpCacheError(
                "the cache was called in the middle of a change of itself, by a signal handler or "
                "a finalizer: call it later"
            )

    def _transact(self, index: Index, operation: Callable[[Index], T], tidy: bool) -> T:
        session, self._writer = self._session, get_ident()
        evicted, self._at_odds, at_odds = self.quota.evicted, True, self._at_odds
        try:
            if session is not None:
                session.changing = True
            with index.transaction():
                if tidy or at_odds:
                    self.tidy(index)
                if at_odds:  # files went in a transaction that came to nothing
                    with Census(self.root.sessions) as census:
                        repair.reconcile(index, self.root, census.leased())
                result = operation(index)
                self.quota.watch(index)
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
        with self._lock:
            _all.discard(self)
            self._drop()
            self._session = None
            if self._root_fd >= 0:
                os.close(self._root_fd)
                self._root_fd = -1

    def __del__(self) -> None:
        if hasattr(self, "_root_fd"):
            self.close()

    # ---- opening and mending ------------------------------------------------------------------

    def _mended(self, operation: Callable[[Index], T]) -> T:
        with self._lock:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    return operation(self._opened())
                except sqlite3.Error as error:
                    self._mend(error, last=attempt == _ATTEMPTS)
                except FileNotFoundError:  # somebody deleted a directory
                    if attempt == _ATTEMPTS:
                        raise
                    self.root.prepare()
                except OSError as error:
                    if error.errno not in FULL or isinstance(error, TmpCacheError):
                        raise
                    if attempt == _ATTEMPTS:
                        raise self._full() from error
                    self._relieve_for_index()
        raise AssertionError("the last attempt returns or raises")

    def _mend(self, error: sqlite3.Error, last: bool) -> None:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise TmpCacheError(
                f"{self.root.index} has been locked for {_BUSY:.0f} s: a process that uses it "
                "seems to be stopped in the middle of a change. Continue or kill it."
            ) from error
        full = code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
        if last:
            if full:
                raise self._full() from error
            raise TmpCacheError(
                f"{self.root.index} cannot be used ({error}), nor made anew: delete "
                f"{self.root.path}"
            ) from error
        if full:
            self._relieve_for_index()
            return
        if code == sqlite3.SQLITE_CANTOPEN and not _can_open(_DESCRIPTORS):
            raise TmpCacheError(
                f"{self.root.index} cannot be opened: this process has too many open files. Close "
                "some, or raise their limit (ulimit -n)."
            ) from error
        self.count("index")
        self._drop()
        with self._alone():
            if inode(self.root.index) == self._suspect:  # else another process has mended it
                for end in ("", "-wal", "-shm"):
                    remove(self.root.index + end)

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
            self.count("index")
            self._drop()
        self.root.prepare()
        with self._alone():
            self._suspect = inode(self.root.index)
            index = Index(self.root.index, quota=self.quota.quota, busy_timeout=_BUSY)
            self._suspect = index.inode
            try:
                with index.transaction():
                    self._first_look(index)
            except BaseException:
                index.close()
                raise
            self._index = index
            _all.add(self)
        return index

    def _first_look(self, index: Index) -> None:
        """Account for what lies under the root but not in a new index; check an old one."""
        if index.created or self._shed:
            with Census(self.root.sessions) as census:
                repair.adopt(index, self.root, census)
            self._shed = False
        elif index.one("SELECT boot FROM ledger")[0] != self.boot:
            index.check()
        index.run("UPDATE ledger SET boot = ? WHERE boot <> ?", self.boot, self.boot)
        evicted = self.quota.evicted, self.quota.evicted_bytes
        self.quota = self._new_quota(cached=totals(index)[0])
        self.quota.evicted, self.quota.evicted_bytes = evicted
        self.used.clear()

    def _new_quota(self, cached: int) -> Quota:
        path, (quota, min_free) = self.root.path, self._sizes
        status = self._statvfs(path)
        total = status.f_blocks * status.f_frsize

        def free() -> int:
            status = self._statvfs(path)
            return status.f_bavail * status.f_frsize

        return Quota(
            self.root,
            checked_quota(quota, total=total, free=free(), cached=cached),
            parse_size(min_free, total=total, name="min_free"),
            status.f_frsize,
            free,
        )

    def _drop(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None

    def _relieve_for_index(self) -> None:
        """Evict although the index cannot be written: files go first, their rows when they can."""
        if self._index is None:
            with Census(self.root.sessions) as census:
                repair.shed(self.root, census, _RELIEF)
            self._shed = True
            return
        for _ in range(2):
            try:
                with self._index.transaction():
                    merge(self._index)  # that needs room itself: only once files have gone
                    self.quota.relieve(self._index, _RELIEF)
                return
            except sqlite3.OperationalError:
                continue

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While an index is made or thrown away, nobody else does either."""
        fd = os.open(self.root.sessions, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            patience = time.monotonic() + _BUSY
            while time.monotonic() < patience:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    time.sleep(0.001)
            yield
        finally:
            os.close(fd)

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
        self._lock.acquire()
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
        self._lock.release()

    def after_fork_in_child(self) -> None:
        """Leave everything that belongs to the parent, go on with a session of one's own."""
        self._lock, self._writer = RLock(), 0
        if self._index is not None:
            self._index.abandon()
            self._index = None
        for fd in self.held:  # or the parent's partials would stay locked as long as we live
            os.close(fd)
        self.held.clear()
        if self._session is not None:
            self._session.become(self._heir)
            if self._heir is None:
                self._session = None
            self._heir = None


def _can_open(count: int) -> bool:
    """Whether this process may open so many files more."""
    opened: list[int] = []
    try:
        for _ in range(count):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        return True
    except OSError:
        return False
    finally:
        for fd in opened:
            os.close(fd)


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
