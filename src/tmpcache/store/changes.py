"""The file ``changes``: two numbers that tell whether the last change was committed.

A write transaction takes the next number. It writes that to the file before it changes anything,
into the index (``ledger.changes``) as part of the transaction, and to the file once more, as the
second number, after its commit.

# Crash safety

If file and index have different numbers at the start of a transaction, the change before was not
committed, because of a kill or an error. Files and rows may differ, so the transaction reconciles
them (:mod:`.content.crash_recovery`). The file outlives the process.

# Performance

If both numbers in the file are what they were a moment ago, nothing was published in between. A
look-up that found nothing then need not be repeated. That saves 20 µs with the cold CPU caches of a
real fetch.

# Deleted

If somebody deletes the file, other processes create a new one and count in that. A process that has
the old one open does not see their changes until its own next transaction. Two processes that want
the same object in the same instant may then both download it.
"""

from __future__ import annotations

import os
from sys import byteorder

from ..common.handler_exceptions import reraise_from_handler
from .filesystem import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .index import Index

_WORD, _SIZE, _LIMIT = 8, 16, 2**62


class Changes:
    """The number of the last change begun, and that of the last change committed.

    The file is read and written, not mapped: to read from a mapping is a SIGBUS if somebody has
    truncated the file.
    """

    def __init__(self, path: str) -> None:
        self._path, self._file = path, files.open_or_create(path)
        self._before = self._number = 0

    @property
    def is_in_place(self) -> bool:
        """Whether the path still leads to the open file, so that other processes see it too."""
        return self._file.is_still(self._path)

    @property
    def is_open(self) -> bool:
        """Whether the descriptor is still this file's: a program that daemonizes closes all."""
        return self._file.is_open

    def is_unfinished(self, index: Index) -> bool:
        """In a transaction: return whether the last change was not committed."""
        return self._read()[0] != _committed(index)

    def begin(self, index: Index) -> bool:
        """In a transaction: begin a change; return whether the last one was not committed."""
        committed = _committed(index)
        self._before = self._read()[0]
        self._number = max(self._before, committed) + 1
        os.pwrite(self._file.fd, _to_word(self._number), 0)
        index.run("UPDATE ledger SET changes = ?", self._number)
        return self._before != committed

    def undo(self) -> None:
        """Take the number back before a transaction that changed no file is rolled back."""
        os.pwrite(self._file.fd, _to_word(self._before), 0)

    def mark_unfinished(self) -> None:
        """Outside a transaction: mark a change as uncommitted, so that the next one reconciles."""
        os.pwrite(self._file.fd, bytes(_SIZE), 0)

    def end(self) -> None:
        """Record that the change has been committed."""
        os.pwrite(self._file.fd, _to_word(self._number), _WORD)

    def last(self) -> int:
        """Return the number of the last change, -1 while one may be under way or it is unknown."""
        try:
            begun, ended = self._read()
        except OSError as error:  # the program has closed all descriptors
            reraise_from_handler(error)
            return -1
        return begun if begun == ended else -1

    def _read(self) -> tuple[int, int]:
        data = os.pread(self._file.fd, _SIZE, 0).ljust(_SIZE, b"\0")
        begun, committed = _from_word(data[:_WORD]), _from_word(data[_WORD:])
        return (begun, committed) if 0 <= begun < _LIMIT else (0, 0)


def _to_word(number: int) -> bytes:
    return number.to_bytes(_WORD, byteorder)


def _from_word(word: bytes) -> int:
    return int.from_bytes(word, byteorder, signed=True)


def _committed(index: Index) -> int:
    number = index.one("SELECT changes FROM ledger")[0]
    return number if isinstance(number, int) and 0 <= number < _LIMIT else -1
