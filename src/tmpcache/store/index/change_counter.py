"""Whether anything changes under the root: two numbers in a small file, and one in the index.

Whoever changes files takes the next number: it is written to the file first, and into the index
(``ledger.changes``) in the transaction itself. So two things can be told:

* File and index have different numbers at the start of a transaction: the change before it was not
  committed, because of a kill or an error. Files and rows may be at odds, and are compared
  (:mod:`.repair`). This outlives the process.
* The number is the same as a moment ago, and the second one in the file, which is written after the
  commit, is equal: nothing was published in between. That spares asking the index again (20 µs
  between two requests).

If somebody deletes the file, processes count apart until they notice, and two that want the same
object in the same instant may both download it.
"""

from __future__ import annotations

import os
from array import array

from ...common.interruption import reraise_interrupt
from ..filesystem import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .index import Index

_WORD, _SIZE, _MOST = 8, 16, 2**62


class ChangeCounter:
    """The number of the last change begun, and of the last one known to be committed.

    Read and written, not mapped: a mapping kills if somebody truncates the file.
    """

    def __init__(self, path: str) -> None:
        self._path, self._file = path, files.open_or_create(path)
        self._before = self._number = 0

    @property
    def is_in_place(self) -> bool:
        """Whether others see the same file."""
        return self._file.is_still(self._path)

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it: daemons close all that is open."""
        return self._file.is_open

    def is_unfinished(self, index: Index) -> bool:
        """In a transaction: whether the last change was not committed."""
        return self._read()[0] != _committed(index)

    def begin(self, index: Index) -> bool:
        """In a transaction: a change begins. Whether the one before was not committed."""
        committed = _committed(index)
        self._before = self._read()[0]
        self._number = max(self._before, committed) + 1
        os.pwrite(self._file.fd, array("q", (self._number,)), 0)
        index.run("UPDATE ledger SET changes = ?", self._number)
        return self._before != committed

    def undo(self) -> None:
        """Before the transaction is rolled back: no file was changed."""
        os.pwrite(self._file.fd, array("q", (self._before,)), 0)

    def forget(self) -> None:
        """In no transaction: files are changed although the index cannot be told."""
        os.pwrite(self._file.fd, bytes(_SIZE), 0)

    def end(self) -> None:
        """The change has been committed."""
        os.pwrite(self._file.fd, array("q", (self._number,)), _WORD)

    def last(self) -> int:
        """The number of the last change, -1 while one may be under way, or nobody can tell."""
        try:
            begun, ended = self._read()
        except OSError as error:  # a daemon has closed all that was open
            reraise_interrupt(error)
            return -1
        return begun if begun == ended else -1

    def _read(self) -> tuple[int, int]:
        numbers = array("q", os.pread(self._file.fd, _SIZE, 0).ljust(_SIZE, b"\0"))
        return (numbers[0], numbers[1]) if 0 <= numbers[0] < _MOST else (0, 0)


def _committed(index: Index) -> int:
    number = index.one("SELECT changes FROM ledger")[0]
    return number if isinstance(number, int) and 0 <= number < _MOST else -1
