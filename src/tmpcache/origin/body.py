"""The protocol of a response body."""

from __future__ import annotations

from typing import Protocol


class Body(Protocol):
    """A response body whose bytes are still to be read."""

    def read(self, buffer: memoryview, /) -> memoryview:
        """Return the next bytes, in `buffer` or in memory of the origin's own; empty at the end.

        They are valid until the next call. Raises
        :class:`~tmpcache.errors.OriginUnavailableError` if the body breaks.
        """

    def interrupt(self) -> None:
        """Make a :meth:`read` under way in another thread stop waiting."""

    def close(self) -> None:
        """Give up the connection, whether the body has been read or not."""
