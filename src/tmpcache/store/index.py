"""The index: SQLite tables of objects, blobs, validations and downloads, and the sums over them.

Write-ahead log, ``synchronous=OFF``: /tmp owes nobody durability. A process that is killed leaves
a consistent index; a machine that loses power may not, so blobs of an earlier boot are verified
before their first use and a corrupt index is thrown away (:mod:`tmpcache.store`).

Measured for a look-up: 5 µs from 10,000 to 100,000 rows; reading a directory of 100,000 files
instead takes 385 ms.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

#: An index of another format is thrown away: everything here can be fetched again.
FORMAT = 3
#: Seconds for which the file is taken to be where it was: the few steps of one fetch.
_TRUSTED = 0.0005
#: Pages that the index may grow by between two measurements.
_SPARE_PAGES = 8

# `superseded`: no object refers to the blob any more. `boot`: the boot during which the blob was
# last known to be whole. The triggers keep `ledger` and `superseded` true in the very transaction
# that changes what they are derived from.
_SCHEMA = (
    """CREATE TABLE blobs (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
        allocated INTEGER NOT NULL, inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        used_at REAL NOT NULL, superseded INTEGER NOT NULL DEFAULT 0, boot TEXT NOT NULL)""",
    "CREATE INDEX blobs_by_use ON blobs (superseded DESC, used_at)",
    """CREATE TABLE objects (
        id INTEGER PRIMARY KEY, origin TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
        version TEXT NOT NULL, etag TEXT NOT NULL, version_id TEXT, received_at REAL NOT NULL,
        blob INTEGER NOT NULL, UNIQUE (bucket, key, version, origin))""",
    "CREATE INDEX objects_by_blob ON objects (blob)",
    """CREATE TABLE validations (
        object INTEGER NOT NULL, scope TEXT NOT NULL, validated_at REAL NOT NULL,
        PRIMARY KEY (object, scope)) WITHOUT ROWID""",
    # Filled and emptied by :mod:`.staging`; the columns of one new copy, its confirmation included.
    """CREATE TABLE staged (
        bucket TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL, origin TEXT NOT NULL,
        etag TEXT NOT NULL, version_id TEXT, received_at REAL NOT NULL, scope TEXT,
        name TEXT NOT NULL, size INTEGER NOT NULL, allocated INTEGER NOT NULL,
        inode INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, used_at REAL NOT NULL,
        boot TEXT NOT NULL, PRIMARY KEY (bucket, key, version, origin)) WITHOUT ROWID""",
    """CREATE TABLE partials (
        name TEXT PRIMARY KEY, reserved INTEGER NOT NULL, etag TEXT, size INTEGER, checksum TEXT,
        received INTEGER, digest TEXT, islands TEXT, inode INTEGER, boot TEXT)
        WITHOUT ROWID""",
    "CREATE TABLE ledger (blobs INTEGER NOT NULL, bytes INTEGER NOT NULL, boot TEXT NOT NULL)",
    "INSERT INTO ledger VALUES (0, 0, '')",
    """CREATE TRIGGER blob_added AFTER INSERT ON blobs BEGIN
        UPDATE ledger SET blobs = blobs + 1, bytes = bytes + NEW.allocated;
    END""",
    """CREATE TRIGGER blob_replaced AFTER UPDATE OF allocated ON blobs BEGIN
        UPDATE ledger SET bytes = bytes + NEW.allocated - OLD.allocated;
    END""",
    """CREATE TRIGGER blob_gone AFTER DELETE ON blobs BEGIN
        UPDATE ledger SET blobs = blobs - 1, bytes = bytes - OLD.allocated;
        DELETE FROM objects WHERE blob = OLD.id;
    END""",
    """CREATE TRIGGER object_added AFTER INSERT ON objects BEGIN
        UPDATE blobs SET superseded = 0 WHERE id = NEW.blob AND superseded;
    END""",
    """CREATE TRIGGER object_replaced AFTER UPDATE OF blob ON objects WHEN OLD.blob <> NEW.blob
    BEGIN
        UPDATE blobs SET superseded = 0 WHERE id = NEW.blob AND superseded;
        UPDATE blobs SET superseded = 1 WHERE id = OLD.blob
            AND NOT EXISTS (SELECT 1 FROM objects WHERE blob = OLD.blob);
    END""",
    """CREATE TRIGGER object_changed AFTER UPDATE OF etag ON objects WHEN OLD.etag <> NEW.etag BEGIN
        DELETE FROM validations WHERE object = NEW.id;
    END""",
    """CREATE TRIGGER object_gone AFTER DELETE ON objects BEGIN
        DELETE FROM validations WHERE object = OLD.id;
        UPDATE blobs SET superseded = 1 WHERE id = OLD.blob
            AND NOT EXISTS (SELECT 1 FROM objects WHERE blob = OLD.blob);
    END""",
)


class Index:
    """One connection to the index file; the store's lock lets one thread at a time use it.

    Every method may raise :class:`sqlite3.Error`; the store knows what to do about it.
    """

    def __init__(self, path: str, *, quota: int, busy_timeout: float) -> None:
        """Open, or create, the index at `path`; `busy_timeout` in seconds."""
        self._path = path
        # A small cache gets small pages, and a log of 1/64 of its quota (at most 1,000 pages,
        # SQLite's own default), so that even 1 MiB holds mostly content.
        page_size = 1024 if quota < 64 * 1024 * 1024 else 4096
        self.log_bytes = min(max(quota // 64, 16 * page_size), 1000 * page_size)
        try:  # before SQLite does, which would let the umask decide; -wal and -shm follow it
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            pass
        self._connection = sqlite3.connect(
            path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
        try:
            run = self._connection.execute
            run(f"PRAGMA page_size={page_size}")
            run("PRAGMA journal_mode=WAL")
            run("PRAGMA synchronous=OFF")
            self.page_size: int = run("PRAGMA page_size").fetchone()[0]
            run(f"PRAGMA wal_autocheckpoint={self.log_bytes // self.page_size}")
            run(f"PRAGMA journal_size_limit={self.log_bytes}")
            #: Whether the file was made just now.
            self.created = run("PRAGMA user_version").fetchone()[0] != FORMAT
            if self.created:
                self._create()
            self._pages = 0
            self.inode = os.stat(path).st_ino
            self._looked_at = 0.0
        except BaseException:
            self._connection.close()
            raise

    def _create(self) -> None:
        with self.transaction():
            found = self.one("PRAGMA user_version")[0]
            if found or self.one("SELECT count(*) FROM sqlite_master")[0]:
                raise sqlite3.DatabaseError(f"the index has format {found}, not {FORMAT}")
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version={FORMAT}")

    def in_place(self) -> bool:
        """Whether the file that is open is still, or was just now, the one at the path."""
        now = time.monotonic()
        if now < self._looked_at + _TRUSTED:
            return True
        try:
            self._looked_at = now
            return os.stat(self._path).st_ino == self.inode
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Raise :class:`sqlite3.DatabaseError` if the file's structure is broken."""
        if (problem := self.one("PRAGMA quick_check(1)")[0]) != "ok":
            raise sqlite3.DatabaseError(problem)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the write lock across processes; commit at the end, roll back on any error."""
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            yield
            run("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                run("ROLLBACK")
            raise

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
        return self.rows(sql, *values)[0]

    def run(self, sql: str, *values: object) -> int:
        """Execute a statement; the number of rows that it changed."""
        return self._connection.execute(sql, values).rowcount

    def run_many(self, sql: str, values: Sequence[tuple[Any, ...]]) -> None:
        """Execute a statement once for each tuple."""
        self._connection.executemany(sql, values)

    def has_grown(self) -> bool:
        """Whether the file has used up what :meth:`measured` last left room for."""
        pages: int = self.one("PRAGMA page_count")[0]
        return pages > self._pages + _SPARE_PAGES

    def measured(self) -> tuple[int, int]:
        """Bytes allocated for the index now, and what it may grow to before it is measured again.

        The second counts pages that are in the log only (a checkpoint will add them to the file),
        the log at its full length, and one more transaction, which can touch no more pages than
        there are, and touches at most some 400 when it evicts a batch.
        """
        file, log, shared = (_allocated(self._path + end) for end in ("", "-wal", "-shm"))
        self._pages = pages = self.one("PRAGMA page_count")[0]
        transaction = (min(pages, 400) + _SPARE_PAGES) * self.page_size
        shared_least = 32 * 1024
        most = (
            max(file, (pages + _SPARE_PAGES) * self.page_size)
            + max(log, self.log_bytes)
            + transaction
        )
        return file + log + shared, most + max(shared, shared_least)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def abandon(self) -> None:
        """In a forked child: neither use nor close what is the parent's."""
        _inherited.append(self._connection)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way."""
        return self._connection.in_transaction


_inherited: list[sqlite3.Connection] = []


def _allocated(path: str) -> int:
    try:
        return os.stat(path).st_blocks * 512
    except FileNotFoundError:
        return 0
