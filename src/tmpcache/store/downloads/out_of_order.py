"""Bytes of a partial file that arrived out of order: before some that precede them."""

from __future__ import annotations

from threading import Lock

import xxhash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Run:
    """A run of bytes that has arrived while some before it are missing, with a hash of its own.

    >>> run = Run(4096)
    >>> run.add(memoryview(b"data"))
    >>> str(run), len(Run.parse(str(run)))
    ('4096-4100:e4b7943fd57d5d1e', 4)
    """

    __slots__ = ("_digest", "_hash", "end", "start")

    def __init__(self, start: int) -> None:
        self.start = self.end = start
        self._hash, self._digest = xxhash.xxh3_64(), ""

    @classmethod
    def parse(cls, text: str) -> Run:
        """Return the run that was recorded as ``str(run)``."""
        span, _, digest = text.partition(":")
        start, _, end = span.partition("-")
        run = cls(int(start))
        run.end, run._digest = int(end), digest
        return run

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
    """All runs of one partial file. Several threads may add to different ones."""

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._lock, self._runs = Lock(), [*runs]

    @classmethod
    def parse(cls, text: str) -> OutOfOrderRuns:
        """Return the runs that were recorded as ``str(runs)``."""
        return cls(map(Run.parse, text.split()))

    def add(self, data: memoryview, at: int) -> None:
        """Add bytes to the run that ends at byte `at`, or begin one there."""
        with self._lock:
            run = next((run for run in self._runs if run.end == at), None)
            if run is None:
                run = Run(at)
                self._runs.append(run)
            run.add(data)

    def contiguous_end(self, received: int, limit: int) -> int:
        """Return the end of the run without a gap from byte 0, at most `limit`.

        The first `received` bytes are there. Forget the runs that end within them.
        """
        if not self._runs:
            return received
        with self._lock:
            self._runs = [run for run in self._runs if run.end > received]
            first = min(self._runs, key=lambda run: run.start, default=None)
            if first is None or first.start > received:
                return received
            return min(first.end, limit)

    def bytes_beyond(self, received: int) -> int:
        """Return how many bytes have arrived beyond the first `received` ones."""
        return sum(max(0, run.end - max(run.start, received)) for run in self._runs)

    def gaps(self, received: int, size: int | None) -> list[tuple[int, int]]:
        """Return what is missing after the first `received` bytes, as pairs of start and end."""
        found, at = [], received
        for run in sorted(self._runs, key=lambda run: run.start):
            if run.start > at:
                found.append((at, run.start))
            at = max(at, run.end)
        return [*found, (at, size)] if size is not None and at < size else found

    @property
    def end(self) -> int:
        """The end of the last run, 0 if there is none."""
        return max((run.end for run in self._runs), default=0)

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __str__(self) -> str:
        with self._lock:
            return " ".join(map(str, self._runs))
