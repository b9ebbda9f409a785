"""Whether anything changes under the root: two numbers in a small file that all processes map.

Whoever changes files takes the next number first, and notes it as done once that is committed. So
who finds both numbers equal, and the same as a moment ago, knows that nothing was published in
between, without asking the index again (20 µs between two requests). Nothing else rests on it: if
somebody deletes the file, processes count apart, and two that want the same object in the same
instant may both download it.
"""

from __future__ import annotations

import mmap
import os

_SIZE, _MOST = 16, 2**62


class Changes:
    """The numbers of the last change begun and of the last one done, as one process sees them.

    Made by one process at a time.
    """

    def __init__(self, path: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            if os.fstat(fd).st_size < _SIZE:
                os.pwrite(fd, bytes(_SIZE), 0)  # not a hole: on a full disk that kills
            self._numbers = memoryview(mmap.mmap(fd, _SIZE)).cast("q")
            if not 0 <= self._numbers[1] <= self._numbers[0] < _MOST:  # that was never written here
                self._numbers[0] = self._numbers[1] = 0
        finally:
            os.close(fd)

    def begin(self) -> int:
        """Under the index's write lock: the number of the change that begins."""
        self._numbers[0] += 1
        return self._numbers[0]

    def end(self, number: int) -> None:
        """A change has been committed. One that was killed is done with the next one."""
        if self._numbers[1] < number:
            self._numbers[1] = number

    def last(self) -> int:
        """The number of the last change, -1 while one is under way."""
        begun = self._numbers[0]
        return begun if self._numbers[1] == begun else -1
