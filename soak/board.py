"""Numbers that all processes of a round share: who is alive, and what was done how often."""

from __future__ import annotations

import mmap
import time

_FIELDS = (
    *("beat", "child"),
    *("operations", "refused", "verified", "reread", "interrupted"),
    *("hit", "revalidated", "fetched", "stale"),
)
_AT = {name: number for number, name in enumerate(_FIELDS)}
_WORD = 8
#: From this field on, numbers are counts.
_COUNTED = _AT["operations"]


class Board:
    """One row of 64-bit integers for each worker, in memory that forked processes share.

    Each row has one writer at a time, so nothing needs a lock.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._words = memoryview(mmap.mmap(-1, (slots * len(_FIELDS) + 1) * _WORD)).cast("q")

    def get(self, slot: int, field: str) -> int:
        """Return one number."""
        return self._words[slot * len(_FIELDS) + _AT[field]]

    def set(self, slot: int, field: str, value: int) -> None:
        """Write one number."""
        self._words[slot * len(_FIELDS) + _AT[field]] = value

    def add(self, slot: int, field: str, count: int = 1) -> None:
        """Count something."""
        self._words[slot * len(_FIELDS) + _AT[field]] += count

    def beat(self, slot: int) -> None:
        """Note that this worker makes progress."""
        self.set(slot, "beat", time.monotonic_ns())

    def totals(self) -> dict[str, int]:
        """Return what was counted, summed over all workers."""
        return {
            field: sum(self.get(slot, field) for slot in range(self.slots))
            for field in _FIELDS[_COUNTED:]
        }

    def clear(self) -> None:
        """Set all numbers to 0, which also lets the server's answers go wrong."""
        for at in range(len(self._words)):
            self._words[at] = 0

    @property
    def honest(self) -> bool:
        """Whether all answers of the server are right."""
        return bool(self._words[-1])

    @honest.setter
    def honest(self, value: bool) -> None:
        self._words[-1] = value
