"""One connection to the index file, its transactions, and the statements run on it.

# Crash safety

Write-ahead log, ``synchronous=OFF``: a cache in /tmp need not survive a power failure. A process
that is killed leaves a consistent index. A machine that loses power may not, so blobs of an earlier
boot are verified before their first use, and a corrupt index is created anew
(:mod:`.database.recovering_index`).

# Performance

A look-up takes 5 µs from 10,000 to 100,000 rows. To read a directory of 100,000 files instead takes
385 ms.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time

from ..common.handler_exceptions import reraise_from_handler
from .filesystem import descriptor, files
from .tables.size import IndexSize, max_rows, preferred_page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

#: The format of the tables and of all files beside the index: see :mod:`.root` for what follows.
FORMAT = 5

#: Seconds for which the check that the file is in place is not repeated: the steps of one fetch.
_TRUSTED = 0.0005
#: Seconds to wait for readers before the log is truncated.
_LOG_TIMEOUT = 0.05


class DamagedIndexError(sqlite3.DatabaseError):
    """The index holds values that were never recorded: it is as good as garbage."""


class ReplacedError(sqlite3.DatabaseError):
    """The index that is open is no longer the file at the path."""


class UnfitIndexError(sqlite3.DatabaseError):
    """The index was made for a much larger quota: it is created anew, and that is no damage."""


class IndexTooLargeError(sqlite3.OperationalError):
    """The index must not grow before its free pages are given back."""


class Index:
    """One connection to the index file, for one thread at a time (:attr:`.RecoveringIndex.lock`).

    Every method may raise :class:`sqlite3.Error`, from which :mod:`.database.recovering_index`
    recovers.
    """

    def __init__(self, path: str, *, quota: int, busy_timeout: float) -> None:
        """Open, or create, the index at `path`; `busy_timeout` in seconds."""
        self._path, self._busy_timeout = path, busy_timeout
        page_size = preferred_page_size(quota)
        #: Rows of objects that one transaction adds or deletes at most.
        self.batch = max_rows(quota)
        # SQLite would leave the mode to the umask. -wal and -shm get the mode of this file.
        file_size = files.create(path)
        self._connection = sqlite3.connect(
            path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            run = self._connection.execute
            run(f"PRAGMA page_size={page_size}")
            run("PRAGMA auto_vacuum=INCREMENTAL")
            run("PRAGMA journal_mode=WAL")
            run("PRAGMA synchronous=OFF")
            # No page is written before the commit, when the size of the transaction is known.
            run("PRAGMA cache_spill=OFF")
            self.size = IndexSize(path, self._connection, quota)
            if self.size.page > page_size or file_size > quota // 2:
                raise UnfitIndexError("the index was made for a larger quota")
            run(f"PRAGMA wal_autocheckpoint={self.size.log // self.size.page}")
            run(f"PRAGMA journal_size_limit={self.size.log}")
            #: Whether the file was made just now.
            self.created = run("PRAGMA user_version").fetchone()[0] != FORMAT
            if self.created:
                self._create()
            self.inode = descriptor.inode(path)
            self._log_inodes = self._inodes_of_log()
            self._checked_at = 0.0
        except BaseException:
            self._connection.close()
            raise

    def _create(self) -> None:
        from .tables.schema import SCHEMA

        with self.transaction():
            found = self.one("PRAGMA user_version")[0]
            if found or self.one("SELECT count(*) FROM sqlite_master")[0]:
                raise sqlite3.DatabaseError(f"the index has format {found}, not {FORMAT}")
            for statement in SCHEMA:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version={FORMAT}")

    def _inodes_of_log(self) -> tuple[int, int]:
        return descriptor.inode(self._path + "-wal"), descriptor.inode(self._path + "-shm")

    def in_place(self, *, now: bool = False) -> bool:
        """Return whether the path still leads to the files that are open.

        Without `now`, the result may be half a millisecond old.
        """
        at = time.monotonic()
        if not now and at < self._checked_at + _TRUSTED:
            return True
        self._checked_at = at
        is_same = descriptor.inode(self._path) == self.inode
        return is_same and self._inodes_of_log() == self._log_inodes

    def wait_at_most(self, seconds: float) -> None:
        """Set how long statements from now on wait for a lock of another process."""
        if seconds != self._busy_timeout:
            self.rows(f"PRAGMA busy_timeout={max(0, int(seconds * 1000))}")
            self._busy_timeout = seconds

    def check(self) -> None:
        """Raise :class:`sqlite3.DatabaseError` if the file's structure is broken."""
        if (problem := self.one("PRAGMA quick_check(1)")[0]) != "ok":
            raise sqlite3.DatabaseError(problem)

    def transaction(self) -> _Transaction:
        """Hold SQLite's write lock in a ``with`` block; commit at its end, roll back on error."""
        return _Transaction(self._connection)

    def roll_back(self) -> None:
        """End a transaction that is still open: a signal handler raised right after its start."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows. A statement that is left half-read would keep the log from shrinking."""
        return self._connection.execute(sql, values).fetchall()

    def scan(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Yield row by row, for a caller that may stop early; close the statement in any case."""
        cursor = self._connection.execute(sql)
        try:
            yield from cursor
        finally:
            cursor.close()

    def one(self, sql: str, *values: object) -> tuple[Any, ...]:
        """Return the row of a statement that always has one."""
        rows = self.rows(sql, *values)
        if not rows:
            raise DamagedIndexError("the ledger is gone")
        return rows[0]

    def run(self, sql: str, *values: object) -> int:
        """Execute a statement; return the number of rows that it changed."""
        return self._connection.execute(sql, values).rowcount

    def run_many(self, sql: str, values: Sequence[tuple[Any, ...]]) -> None:
        """Execute a statement once for each tuple."""
        self._connection.executemany(sql, values)

    def shrink(self) -> None:
        """In no transaction: give free pages and the log back to the file system."""
        while before := self.size.free_pages():
            self.rows(f"PRAGMA incremental_vacuum({4 * self.batch})")
            self.rows("PRAGMA wal_checkpoint(PASSIVE)")
            if self.size.free_pages() >= before:
                break
        # The checkpoint waits for readers, but not for long: one of them may be stopped.
        self.wait_at_most(_LOG_TIMEOUT)
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def leave(self) -> None:
        """In a forked child: leave the connection to the parent, and take two locks on the file.

        SQLite keeps in memory which locks its process has. So it takes the child for a process that
        has the two shared locks of every connection, and does not take them again. Without them,
        others remove the log that this process goes on to write into.
        """
        _left.append(self._connection)
        for end, start, length in _SHARED_LOCKS:
            try:
                # Never closed: that would drop all locks that the process has on the file.
                fd = os.open(self._path + end, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start)
            except OSError as error:  # deleted, or being removed: SQLite, or the checks, will see
                reraise_from_handler(error)

    def give_up(self) -> None:
        """Neither use nor close a connection whose descriptors the program has closed.

        Other files may have their numbers by now, and SQLite would use these for any further
        connection to the same file.
        """
        _left.append(self._connection)
        _unusable.add(self.inode)


class _Transaction:
    """A transaction as a context manager.

    No generator: one that is collected late would roll back a transaction that began since.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            try:
                self._connection.execute("COMMIT")
                return
            except BaseException:
                self._roll_back()
                raise
        self._roll_back()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def is_unusable(path: str) -> bool:
    """Return whether SQLite would take the file for that of a connection that was given up.

    It goes by the inode number. So such a file is kept open from now on: no other gets its number.
    """
    if not _unusable or descriptor.inode(path) not in _unusable:
        return False
    os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    return True


#: Connections that are never closed, and the inode numbers of those that were given up.
_left: list[sqlite3.Connection] = []
_unusable: set[int] = set()
#: Byte ranges that each connection in WAL mode locks (sqlite3: os_unix.c, os.h).
_SHARED_LOCKS = (("", 0x40000000 + 2, 510), ("-shm", 128, 1))
