"""Transactions on the index of one root, and what they guarantee.

The index is an SQLite file that all processes share. An operation is a function that gets the open
index. `read` and `read_after_writers` run one that changes nothing, `write` and `write_unmerged`
one that does; `update` runs a single statement. :mod:`.recovering_index` opens the file, and
recovers when it is damaged or the disk is full.

# Locking

* In this process one thread at a time uses the index (:attr:`.RecoveringIndex.lock`).
* `write` and `write_unmerged` hold SQLite's write lock from their first statement to their commit.
  Only in such a transaction does a process publish, evict, reserve, make a session file, or remove
  that of a dead process. (A session that ends removes its own.) So what an operation finds, in
  files and rows, stays so until it commits. Where the disk is too full to open the index, the lock
  is had in another way: :mod:`.room_for_index`.
* `read` takes no lock: each statement sees the last commit. A blob is renamed into place before its
  row is committed, so `read` may miss it. `read_after_writers` waits until no writer is under way.
* A thread waits for another process 30 s, or as long as its call has time left, and raises then.
* A signal handler or finalizer that calls the cache while its own thread is in a transaction gets a
  :class:`TmpCacheError`: it can neither wait for that transaction nor join it.

# Crash safety

* SQLite makes the rows of a transaction change all together or not at all. It cannot undo what the
  operation did to files.
* So each transaction first writes a number into the file ``changes`` (:mod:`..changes`) and
  the same number into the index. After a kill or an error the two differ. The next transaction,
  in whatever process, sees that and reconciles files and rows before it runs its own operation.
* An operation that ends with :class:`QuotaExceededError` and has evicted nothing has changed no
  file. Its number is taken back, and nobody need reconcile.
* An operation evicts a file before its row, and adds a row before the reservation goes. What is
  interrupted counts too many bytes against the quota, never too few.
* An operation runs again, from its start, after the index was repaired. So it must be idempotent.
* `update` changes rows alone, in one statement. It takes no number.
"""

from __future__ import annotations

from threading import get_ident

from ...common.forking import here, recover_from_fork
from ...errors import QuotaExceededError, TmpCacheError
from ..content import crash_recovery
from ..index import ReplacedError
from ..staged_copies import is_waiting, merge
from ..statistics import Statistics, read, restore
from . import session_within_quota

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from ...common.objects import Copy
    from ..index import Index
    from .recovering_index import RecoveringIndex

    T = TypeVar("T")

#: Transactions that trim rows after one transaction that adds some: together they delete more than
#: it added, and a caller does not wait long where a quota was made smaller.
_MAX_ROW_TRIMS = 8


class Transactions:
    """Runs operations on the index, for all threads of one process."""

    def __init__(self, index: RecoveringIndex, clock: Callable[[], float]) -> None:
        self._index, self.clock = index, clock
        self.root, self.quota = index.root, index.quota
        #: Copies used since the last :meth:`write`, and when; the next one records them.
        self.unrecorded_uses: dict[tuple[str, str, str, str], tuple[Copy, float]] = {}
        self.flushed_at = clock()
        self.statistics = Statistics(self._counted)

    def _counted(self) -> tuple[int, ...]:
        quota = self.quota
        return quota.evicted, quota.evicted_bytes, sum(self._index.damaged.values())

    def read(self, operation: Callable[[Index], T]) -> T:
        """Run an operation that changes nothing. It may miss a blob that is being published.

        The first use by a process opens the index, and creates or rebuilds it if need be.
        """
        if not here[0]:
            recover_from_fork()
        return self._index.use(operation)

    def read_after_writers(self, operation: Callable[[Index], T]) -> T:
        """Run an operation that changes nothing, once no other process is in a transaction.

        It sees the row of each blob that was renamed into place before. 3 µs more than `read`.
        """
        self._refuse_reentry()

        def alone(index: Index) -> T:
            self._index.writer = get_ident()
            try:
                with index.transaction():
                    return operation(index)
            finally:
                self._index.writer = 0
                index.roll_back()

        return self._index.use(alone)

    def last_change(self) -> int:
        """Return the number of the last change by any process, -1 if it is not known just now."""
        return -1 if self._index.changes is None else self._index.changes.last()

    def update(self, sql: str, *values: object) -> int:
        """Run one statement that changes rows in place; return how many it changed.

        It takes a third of the time of :meth:`write`, as it neither records uses nor looks at the
        size of the index.
        """
        self._refuse_reentry()
        return self._index.use(lambda index: index.run(sql, *values))

    def write(self, operation: Callable[[Index], T]) -> T:
        """Run an operation in a write transaction, with every copy and every use in the tables."""
        return self._run(operation, merge_first=True)

    def write_unmerged(self, operation: Callable[[Index], T]) -> T:
        """Run an operation that adds one row to ``staged``, in a write transaction.

        What is staged is not merged before, which saves two thirds of the time. So the operation
        must call :meth:`merge_staged` before it does anything else to the tables, or evicts.
        """
        return self._run(operation, merge_first=False)

    def merge_staged(self, index: Index) -> None:
        """In a transaction: merge staged copies into the tables, and record uses."""
        merge(index)
        uses, self.unrecorded_uses, self.flushed_at = self.unrecorded_uses, {}, self.clock()
        _record_uses(index, uses)

    def _run(self, operation: Callable[[Index], T], *, merge_first: bool) -> T:
        self._refuse_reentry()
        with self._index.lock:
            result = self._index.use(lambda index: self._transact(index, operation, merge_first))
            self._trim_rows()
            if self.quota.wants_shrink:
                self._index.use(self._shrink)
        return result

    def _trim_rows(self) -> None:
        """Trim rows while the index takes up more than its share."""
        for _ in range(_MAX_ROW_TRIMS * self.quota.wants_to_trim_rows):
            trimmed = self._index.use(
                lambda index: self._transact(index, self.quota.trim_rows, merge_first=True)
            )
            if not trimmed or not self.quota.wants_to_trim_rows:
                break

    def _shrink(self, index: Index) -> None:
        """In no transaction: give back the pages that eviction has freed."""
        self.quota.wants_shrink = False
        index.shrink()

    def _refuse_reentry(self) -> None:
        """Raise an error if this thread is in a transaction already."""
        if not here[0]:
            recover_from_fork()
        if self._index.writer == get_ident():
            raise TmpCacheError(
                "the cache was called in the middle of a change of itself, by a signal handler or "
                "a finalizer: call it later"
            )

    def _transact(self, index: Index, operation: Callable[[Index], T], merge_first: bool) -> T:
        """Run an operation in one transaction; its number in ``changes`` brackets it."""
        self._index.writer = get_ident()
        changes, evicted = self._index.changes, self.quota.evicted
        assert changes is not None, "opened with the index"
        try:
            if merge_first and is_waiting(index):
                # In a transaction of its own, as the log has room for the operation's rows alone.
                with index.transaction():
                    merge(index)
            with index.transaction():
                if not index.in_place(now=True) or not changes.is_in_place:
                    raise ReplacedError("the index is another one")
                unfinished = changes.begin(index)
                if merge_first or unfinished:
                    self.merge_staged(index)
                if unfinished:  # a transaction changed files and did not commit
                    crash_recovery.reconcile(index, self.root)
                if self._index.session is not None:
                    session_within_quota.keep_visible(index, self.quota, self._index.session)
                try:
                    result = operation(index)
                    self.quota.make_room_for_index(index)
                    if merge_first:
                        self.statistics.record(index)
                except QuotaExceededError:
                    if self.quota.evicted == evicted and not unfinished:
                        changes.undo()
                    raise
            changes.end()
            if merge_first:
                self.statistics.committed()
            return result
        finally:
            self._index.writer = 0
            index.roll_back()

    def replace_index(self, operation: Callable[[Index], object]) -> None:
        """Run an operation in a transaction that removes the index, then create a new one.

        The new one has the statistics of the old one.
        """
        kept: list[tuple[float, tuple[int, ...]]] = []

        def remove(index: Index) -> None:
            operation(index)
            self.statistics.record(index)
            kept[:] = [read(index)]
            self._index.delete()

        self._refuse_reentry()
        with self._index.lock:
            self.unrecorded_uses.clear()
            self._index.use(lambda index: self._transact(index, remove, merge_first=True))
            self._index.close()
            self._index.use(lambda index: restore(index, *kept[0]))


def _record_uses(
    index: Index, used: Mapping[tuple[str, str, str, str], tuple[Copy, float]]
) -> None:
    """Record when copies were used last, each under its object's identity."""
    if not used:
        return
    index.run_many(
        "UPDATE blobs SET used_at = max(used_at, ?) WHERE name = ?",
        [(at, copy.name) for copy, at in used.values()],
    )
    index.run_many(
        "UPDATE objects SET used_at = max(used_at, ?) "
        "WHERE bucket = ? AND key = ? AND version = ? AND origin = ?",
        [(at, *copy.identity) for copy, at in used.values()],
    )
