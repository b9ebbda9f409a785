"""An origin that answers at once from nothing, so that only tmpcache's own cost is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tmpcache.origin import Reply

if TYPE_CHECKING:
    from typing import Unpack

    from tmpcache.origin import GetOptions


def key(size: int, name: str) -> str:
    """Return the key of an object of `size` bytes; objects of other names have other bytes."""
    return f"{size}/{name}"


class _Body:
    """The key, and zeros up to the size."""

    __slots__ = ("_begin", "_left")

    def __init__(self, begin: bytes, size: int) -> None:
        self._begin, self._left = begin, size

    def read(self, buffer: memoryview, /) -> memoryview:
        """Fill the start of `buffer` and return what was filled, empty at the end."""
        count = min(len(buffer), self._left)
        buffer[:count] = self._begin[:count].ljust(count, b"\0")
        self._begin, self._left = b"", self._left - count
        return buffer[:count]

    def interrupt(self) -> None:
        """Do nothing: no read waits."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Instant:
    """Has every object that :func:`key` can name; see :class:`tmpcache.origin.Origin`."""

    name = scope = "instant"

    def get(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        **options: Unpack[GetOptions],
    ) -> Reply | None:
        """Return the object. Its ETag is its key, so it never changes."""
        if options.get("if_none_match") == key:
            return None
        size = int(key.partition("/")[0])
        return Reply(_Body(key.encode(), size), key, size, None)

    def close(self) -> None:
        """Do nothing: nothing is open."""
