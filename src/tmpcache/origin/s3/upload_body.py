"""The bodies of upload requests: a whole file, or its parts, which threads read at the same time.

A part of a file is read from it, without a copy in memory, as it is hashed and sent. Bytes of
anything else that can be read are in memory while their part is sent.
"""

from __future__ import annotations

import io
import os
from threading import Lock

from ...common.growing_file import GrowingFile
from .errors import named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO

    from ...common.deadline import Deadline
    from .errors import Subject

_MIB = 1024 * 1024
#: Bytes of a part. Each begins with a round trip or two (20 to 100 ms, in which a connection could
#: send 2 to 9 MB), and one that breaks is sent again. S3 takes 10,000 parts at most, so the parts
#: of a very large file are larger.
_MIN_PART, _MAX_PARTS = 8 * _MIB, 10_000


def part_size(size: int) -> int:
    """Return the bytes of each part but the last one of a file of `size` bytes.

    >>> part_size(100 << 20) >> 20, part_size(1 << 40) >> 20
    (8, 105)
    """
    return max(_MIN_PART, -(-size // (_MAX_PARTS * _MIB)) * _MIB)


class FileRange:
    """Some bytes of a file, as a file to read that does not move the position of the other.

    Each read checks the deadline: a request that is sent too slowly ends in time.
    """

    def __init__(
        self, fd: int, start: int, end: int, subject: Subject, deadline: Deadline | None
    ) -> None:
        self._fd, self._start, self._end, self._at = fd, start, end, start
        self._subject, self._deadline = subject, deadline

    def read(self, size: int | None = None, /) -> bytes:
        """Return the next bytes, no more than `size`, all that are left if that is not given."""
        if self._deadline is not None:
            self._deadline.check(named(self._subject))
        left = self._end - self._at
        data = os.pread(self._fd, left if size is None or size < 0 else min(size, left), self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position, which is counted from the first of these bytes."""
        base = {os.SEEK_SET: self._start, os.SEEK_CUR: self._at, os.SEEK_END: self._end}[whence]
        self._at = base + offset
        return self.tell()

    def tell(self) -> int:
        """Return the position."""
        return self._at - self._start


def whole(body: BinaryIO, size: int, subject: Subject, deadline: Deadline | None) -> Any:
    """Return what a request sends that has all `size` bytes of a body."""
    if not _is_file(body):
        return body
    start = body.tell()
    _grow(body, start + size)
    return FileRange(body.fileno(), start, start + size, subject, deadline)


class Parts:
    """The parts of a body. Several threads may take them at the same time."""

    def __init__(
        self, body: BinaryIO, size: int, subject: Subject, deadline: Deadline | None
    ) -> None:
        self._body, self._subject, self._deadline = body, subject, deadline
        length, start = part_size(size), body.tell() if _is_file(body) else 0
        self._ranges: Iterator[tuple[int, int, int]] = (
            (number, start + at, start + min(at + length, size))
            for number, at in enumerate(range(0, size, length), 1)
        )
        self.count = -(-size // length)
        self._lock = Lock()

    def take(self) -> tuple[int, Any] | None:
        """Return the number and the body of the next part; None if there is none left."""
        with self._lock:
            number, start, end = next(self._ranges, (0, 0, 0))
            if not number:
                return None
            if not _is_file(self._body):
                return number, io.BytesIO(self._body.read(end - start))
            _grow(self._body, end)
        return number, FileRange(self._body.fileno(), start, end, self._subject, self._deadline)


def _is_file(body: BinaryIO) -> bool:
    """Return whether the descriptor of a body has its bytes: that of a GzipFile has others."""
    return isinstance(getattr(body, "raw", body), io.FileIO)


def _grow(body: BinaryIO, end: int) -> None:
    """Have all bytes before `end` in a file that is still being written."""
    if isinstance(body, GrowingFile):
        body.grow_to(end)
