"""A file that is read while it is still being written."""

from __future__ import annotations

import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class GrowingFile(io.FileIO):
    """A file that will have `size` bytes: whoever needs some calls :meth:`grow_to` first.

    Its own read methods do that. Who reads the descriptor itself may do so from many threads, but
    only one thread may call a method at a time.
    """

    def __init__(self, fd: int, size: int, grow_to: Callable[[int], object]) -> None:
        """`grow_to(end)` writes the bytes before `end` that the file does not have yet.

        Nobody closes the descriptor.
        """
        super().__init__(fd, closefd=False)
        self._size, self._grow_to = size, grow_to

    def grow_to(self, end: int) -> None:
        """Have all bytes before `end` in the file, as far as it will have some."""
        self._grow_to(min(end, self._size))

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes; all that are left without a size."""
        whole = size is None or size < 0
        self.grow_to(self._size if whole else self.tell() + (size or 0))
        return super().read(size) or b""

    def readinto(self, buffer: Any, /) -> int:
        """Read the next bytes into a buffer."""
        self.grow_to(self.tell() + len(memoryview(buffer).cast("B")))
        return super().readinto(buffer) or 0
