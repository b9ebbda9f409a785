"""Reads a body from start to end, in pieces of the lengths that are wanted."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...origin import Body

_BUFFER = 256 * 1024  # fits into a core's second cache


class BrokenPackError(Exception):
    """A pack ends too early, or has no first line."""


class Stream:
    """The bytes of a body that are still to be read."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._buffer = memoryview(bytearray(_BUFFER))
        self._rest = memoryview(b"")
        #: Bytes read so far.
        self.received = 0

    def piece(self, most: int) -> memoryview:
        """Return some bytes, at least one; they are valid until the next call."""
        if not self._rest:
            self._rest = self._body.read(self._buffer)
            self.received += len(self._rest)
            if not self._rest:
                raise BrokenPackError("the pack ends before its last body does")
        found, self._rest = self._rest[:most], self._rest[most:]
        return found

    def line(self, most: int) -> bytes:
        """Return the bytes up to the end of the line, which comes within `most`."""
        line = bytearray()
        while len(line) < most:
            line += self.piece(most)
            if (end := line.find(b"\n")) >= 0:
                self._rest = memoryview(bytes(line[end + 1 :]) + bytes(self._rest))
                return bytes(line[:end])
        raise BrokenPackError("the pack has no first line")

    def skip(self, count: int) -> None:
        """Read `count` bytes for nobody."""
        while count:
            count -= len(self.piece(count))
