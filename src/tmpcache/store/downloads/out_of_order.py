"""Bytes of a partial file that arrived ahead of their turn."""

from __future__ import annotations

from threading import Lock

import xxhash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Extent:
    """A run of bytes that has arrived while some before it are missing, with a hash of its own.

    >>> extent = Extent(4096)
    >>> extent.add(memoryview(b"data"))
    >>> str(extent), len(Extent.parse(str(extent)))
    ('4096-4100:e4b7943fd57d5d1e', 4)
    """

    __slots__ = ("_digest", "_hash", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self._hash, self._digest = xxhash.xxh3_64(), ""

    @classmethod
    def parse(cls, text: str) -> Extent:
        """Return the extent that was recorded as ``str(extent)``."""
        span, _, digest = text.partition(":")
        start, _, end = span.partition("-")
        extent = cls(int(start))
        extent.end, extent._digest = int(end), digest
        return extent

    def add(self, data: memoryview) -> None:
        """Add the bytes that follow its end."""
        self._hash.update(data)
        self.end += len(data)

    def matches(self, content: Iterable[memoryview]) -> bool:
        """Hash the bytes on disk; return whether they are the recorded ones.

        The hash goes on from there when more bytes are added.
        """
        for data in content:
            self._hash.update(data)
        return self._hash.hexdigest() == self._digest

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.start}-{self.end}:{self._hash.hexdigest()}"


class OutOfOrderRuns:
    """All extents of one partial file. Several threads may add to different ones."""

    def __init__(self, extents: Iterable[Extent] = ()) -> None:
        self._lock, self._extents = Lock(), [*extents]

    @classmethod
    def parse(cls, text: str) -> OutOfOrderRuns:
        """Return the extents that were recorded as ``str(extents)``."""
        return cls(map(Extent.parse, text.split()))

    def add(self, data: memoryview, at: int) -> None:
        """Add bytes to the extent that ends at byte `at`, or begin one there."""
        with self._lock:
            extent = next((extent for extent in self._extents if extent.end == at), None)
            if extent is None:
                extent = Extent(at)
                self._extents.append(extent)
            extent.add(data)

    def contiguous_end(self, received: int, limit: int) -> int:
        """Return up to where, but no further than `limit`, the first `received` bytes go on.

        That is `received` itself if the next byte is missing. Runs before it are forgotten.
        """
        if not self._extents:
            return received
        with self._lock:
            self._extents = [extent for extent in self._extents if extent.end > received]
            first = min(self._extents, key=lambda extent: extent.start, default=None)
            if first is None or first.start > received:
                return received
            return min(first.end, limit)

    def bytes_beyond(self, received: int) -> int:
        """Return how many bytes have arrived beyond the first `received` ones."""
        return sum(max(0, extent.end - max(extent.start, received)) for extent in self._extents)

    def gaps(self, received: int, size: int | None) -> list[tuple[int, int]]:
        """Return what is missing after the first `received` bytes, as pairs of start and end."""
        found, at = [], received
        for extent in sorted(self._extents, key=lambda extent: extent.start):
            if extent.start > at:
                found.append((at, extent.start))
            at = max(at, extent.end)
        return [*found, (at, size)] if size is not None and at < size else found

    @property
    def end(self) -> int:
        """The end of the last extent, 0 if there is none."""
        return max((extent.end for extent in self._extents), default=0)

    def __iter__(self) -> Iterator[Extent]:
        return iter(self._extents)

    def __str__(self) -> str:
        with self._lock:
            return " ".join(map(str, self._extents))
