"""Islands: bytes of a partial file that arrived out of order, before some that precede them."""

from __future__ import annotations

from threading import Lock

import xxhash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Island:
    """Contiguous bytes that arrived while some before them are missing, with a hash of their own.

    >>> island = Island(4096)
    >>> island.add(memoryview(b"data"))
    >>> str(island), len(Island.parse(str(island)))
    ('4096-4100:e4b7943fd57d5d1e', 4)
    """

    __slots__ = ("_digest", "_hash", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self._hash, self._digest = xxhash.xxh3_64(), ""

    @classmethod
    def parse(cls, text: str) -> Island:
        """Return the island that was recorded as ``str(island)``."""
        span, _, digest = text.partition(":")
        start, _, end = span.partition("-")
        island = cls(int(start))
        island.end, island._digest = int(end), digest
        return island

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


class Islands:
    """All islands of one partial file. Several threads may add to different ones."""

    def __init__(self, islands: Iterable[Island] = ()) -> None:
        self._lock, self._islands = Lock(), [*islands]

    @classmethod
    def parse(cls, text: str) -> Islands:
        """Return the islands that were recorded as ``str(islands)``."""
        return cls(map(Island.parse, text.split()))

    def add(self, data: memoryview, at: int) -> None:
        """Add bytes to the island that ends at byte `at`, or begin one there."""
        with self._lock:
            island = next((island for island in self._islands if island.end == at), None)
            if island is None:
                island = Island(at)
                self._islands.append(island)
            island.add(data)

    def contiguous_end(self, received: int, limit: int) -> int:
        """Return the end of the bytes without a gap from byte 0, at most `limit`.

        The first `received` bytes are there. Forget the islands that end within them.
        """
        if not self._islands:
            return received
        with self._lock:
            self._islands = [island for island in self._islands if island.end > received]
            first = min(self._islands, key=lambda island: island.start, default=None)
            if first is None or first.start > received:
                return received
            return min(first.end, limit)

    def bytes_beyond(self, received: int) -> int:
        """Return how many bytes have arrived beyond the first `received` ones."""
        return sum(max(0, island.end - max(island.start, received)) for island in self._islands)

    def gaps(self, received: int, size: int | None) -> list[tuple[int, int]]:
        """Return what is missing after the first `received` bytes, as pairs of start and end."""
        found, at = [], received
        for island in sorted(self._islands, key=lambda island: island.start):
            if island.start > at:
                found.append((at, island.start))
            at = max(at, island.end)
        return [*found, (at, size)] if size is not None and at < size else found

    @property
    def end(self) -> int:
        """The end of the last island, 0 if there is none."""
        return max((island.end for island in self._islands), default=0)

    def __iter__(self) -> Iterator[Island]:
        return iter(self._islands)

    def __str__(self) -> str:
        with self._lock:
            return " ".join(map(str, self._islands))
