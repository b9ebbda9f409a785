"""The index: SQLite tables of objects, blobs, validations and downloads, and the sums over them.

Write-ahead log, ``synchronous=OFF``: /tmp owes nobody durability. A process that is killed leaves
a consistent index; a machine that loses power may not, so blobs of an earlier boot are verified
before their first use and a corrupt index is thrown away (:mod:`tmpcache.store`).

Measured for a look-up: 5 µs from 10,000 to 100,000 rows; reading a directory of 100,000 files
instead takes 385 ms.
"""

from __future__ import annotations

import sqlite3
import time

from ..filesystem import files
from . import FORMAT
from .size import IndexSize, max_rows, preferred_page_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

#: Seconds for which the file is taken to be where it was: the few steps of one fetch.
_TRUSTED = 0.0005
#: Seconds to wait for readers when the log is to be cut.
_LOG_PATIENCE = 0.05


class DamagedIndexError(sqlite3.DatabaseError):
    """The index holds what was never written to it: it is thrown away, like one that is garbage."""


class ReplacedError(sqlite3.DatabaseError):
    """The index that is open is no longer the file at the path."""


class UnfitIndexError(sqlite3.DatabaseError):
    """The index was made for a much larger quota: it is thrown away, and that is no damage."""


class IndexTooLargeError(sqlite3.OperationalError):
    """The index has no room to grow before its free pages are given back."""


class Index:
    """One connection to the index file; the store's lock lets one thread at a time use it.

    Every method may raise :class:`sqlite3.Error`; the store knows what to do about it.
    """

    def __init__(self, path: str, *, quota: int, busy_timeout: float) -> None:
        """Open, or create, the index at `path`; `busy_timeout` in seconds."""
        self._path, self._patience = path, busy_timeout
        page_size = preferred_page_size(quota)
        #: Rows of objects that one transaction adds or deletes at most.
        self.batch = max_rows(quota)
        # Before SQLite does, which would let the umask decide; -wal and -shm follow it.
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
            run("PRAGMA cache_spill=OFF")  # nothing reaches the disk before it is known how much
            self.size = IndexSize(path, self._connection, quota)
            if self.size.page > page_size or file_size > quota // 2:
                raise UnfitIndexError("the index was made for a larger quota")
            run(f"PRAGMA wal_autocheckpoint={self.size.log // self.size.page}")
            run(f"PRAGMA journal_size_limit={self.size.log}")
            #: Whether the file was made just now.
            self.created = run("PRAGMA user_version").fetchone()[0] != FORMAT
            if self.created:
                self._create()
            self.inode = files.inode(path)
            self._log_inodes = self._inodes_of_log()
            self._looked_at = 0.0
        except BaseException:
            self._connection.close()
            raise

    def _create(self) -> None:
        from .schema import SCHEMA

        with self.transaction():
            found = self.one("PRAGMA user_version")[0]
            if found or self.one("SELECT count(*) FROM sqlite_master")[0]:
                raise sqlite3.DatabaseError(f"the index has format {found}, not {FORMAT}")
            for statement in SCHEMA:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version={FORMAT}")

    def _inodes_of_log(self) -> tuple[int, int]:
        return files.inode(self._path + "-wal"), files.inode(self._path + "-shm")

    def in_place(self, *, now: bool = False) -> bool:
        """Whether the files that are open are still, or were just now, those at the path.

        With `now`, just now is not enough.
        """
        at = time.monotonic()
        if not now and at < self._looked_at + _TRUSTED:
            return True
        self._looked_at = at
        is_there = files.inode(self._path) == self.inode
        return is_there and self._inodes_of_log() == self._log_inodes

    def wait_at_most(self, seconds: float) -> None:
        """Wait so long from now on for what others have locked."""
        if seconds != self._patience:
            self.rows(f"PRAGMA busy_timeout={max(0, int(seconds * 1000))}")
            self._patience = seconds

    def check(self) -> None:
        """Raise :class:`sqlite3.DatabaseError` if the file's structure is broken."""
        if (problem := self.one("PRAGMA quick_check(1)")[0]) != "ok":
            raise sqlite3.DatabaseError(problem)

    def transaction(self) -> _Transaction:
        """Hold the write lock across processes; commit at the end, roll back on any error."""
        return _Transaction(self._connection)

    def roll_back(self) -> None:
        """End a transaction that an exception of a signal handler left open at its very start."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """All rows at once: a statement left half-read would keep the log from being emptied."""
        return self._connection.execute(sql, values).fetchall()

    def scan(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """Row by row, for a caller that may stop early; the statement is closed in any case."""
        cursor = self._connection.execute(sql)
        try:
            yield from cursor
        finally:
            cursor.close()

    def one(self, sql: str, *values: object) -> tuple[Any, ...]:
        """The one row of a statement that always has one."""
        rows = self.rows(sql, *values)
        if not rows:
            raise DamagedIndexError("the ledger is gone")
        return rows[0]

    def run(self, sql: str, *values: object) -> int:
        """Execute a statement; the number of rows that it changed."""
        return self._connection.execute(sql, values).rowcount

    def run_many(self, sql: str, values: Sequence[tuple[Any, ...]]) -> None:
        """Execute a statement once for each tuple."""
        self._connection.executemany(sql, values)

    def shrink(self) -> None:
        """Give free pages, and the log, back to the file system; in no transaction."""
        while before := self.size.free_pages():
            self.rows(f"PRAGMA incremental_vacuum({4 * self.batch})")
            self.rows("PRAGMA wal_checkpoint(PASSIVE)")
            if self.size.free_pages() >= before:
                break
        # Who reads just now is waited for, but not for long: he may be stopped.
        self.wait_at_most(_LOG_PATIENCE)
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def abandon(self) -> None:
        """In a forked child: neither use nor close what is the parent's."""
        _inherited.append(self._connection)


class _Transaction:
    """What ``with`` begins and ends. No generator: one that is collected late would roll back what
    has been begun since.
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


_inherited: list[sqlite3.Connection] = []
