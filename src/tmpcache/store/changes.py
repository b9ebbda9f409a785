"""Whether anything changes under the root: two numbers in a small file.

Whoever changes files takes the next number first, and notes it as done once that is committed. So
the numbers tell two things:

* They differ at the start of a change: the one before it was not finished, by a kill or an error.
  Files and index may be at odds, and are compared (:mod:`.repair`). This survives the process.
* They are equal, and the same as a moment ago: nothing was published in between. That spares
  asking the index again (20 µs between two requests).

If somebody deletes the file, processes count apart until they notice, and two that want the same
object in the same instant may both download it.
"""

from __future__ import annotations

import os
from array import array

from . import files

_SIZE, _MOST = 16, 2**62


class Changes:
    """The numbers of the last change begun and of the last one done.

    Read and written, not mapped: a mapping kills if somebody truncates the file.
    """

    def __init__(self, path: str) -> None:
        self._path, self._file = path, files.claim(path)
        self._number = 0
        begun, done = self._read()
        if os.fstat(self._file.fd).st_size != _SIZE or not 0 <= done <= begun < _MOST:
            os.ftruncate(self._file.fd, _SIZE)  # that was never written here
            self._write(1, 0)  # whatever was going on may not be finished

    @property
    def is_in_place(self) -> bool:
        """Whether others see the same file."""
        return self._file.is_still(self._path)

    @property
    def is_unfinished(self) -> bool:
        """Whether the last change has not been finished, or is under way."""
        begun, done = self._read()
        return begun != done

    def begin(self) -> bool:
        """Under the index's write lock: a change begins. Whether the last one was left undone."""
        begun, done = self._read()
        self._number = begun + 1
        self._write(self._number, done)
        return begun != done

    def end(self) -> None:
        """The change has been committed, or has changed nothing."""
        self._write(self._number, self._number)

    def last(self) -> int:
        """The number of the last change, -1 while one is under way."""
        begun, done = self._read()
        return begun if begun == done else -1

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read(self) -> tuple[int, int]:
        numbers = array("q", os.pread(self._file.fd, _SIZE, 0).ljust(_SIZE, b"\0"))
        return numbers[0], numbers[1]

    def _write(self, begun: int, done: int) -> None:
        os.pwrite(self._file.fd, array("q", (begun, done)), 0)
