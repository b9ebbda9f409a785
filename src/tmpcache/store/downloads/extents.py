"""Parts of a download that are ahead of their turn."""

from __future__ import annotations

import xxhash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class Extent:
    """Bytes that are here while some before them are still missing, with a hash of their own.

    >>> island = Island(4096)
    >>> island.add(memoryview(b"data"))
    >>> str(island), len(Island.noted(str(island)))
    ('4096-4100:e4b7943fd57d5d1e', 4)
    """

    __slots__ = ("_digest", "_hash", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self._hash, self._digest = xxhash.xxh3_64(), ""

    @classmethod
    def noted(cls, text: str) -> Extent:
        """What was written down as ``str(island)``."""
        span, _, digest = text.partition(":")
        start, _, end = span.partition("-")
        extent = cls(int(start))
        extent.end, extent._digest = int(end), digest
        return extent

    def add(self, data: memoryview) -> None:
        """More bytes, right after the others."""
        self._hash.update(data)
        self.end += len(data)

    def fits(self, stretch: Iterator[memoryview]) -> bool:
        """Whether these are the bytes that were noted; they are the start of what is added."""
        for data in stretch:
            self._hash.update(data)
        return self._hash.hexdigest() == self._digest

    def __len__(self) -> int:
        return self.end - self.start

    def __str__(self) -> str:
        return f"{self.start}-{self.end}:{self._hash.hexdigest()}"
