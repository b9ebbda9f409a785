"""The plan of a transfer: which byte ranges are missing, and how they are cut for connections."""

from __future__ import annotations

import time
from threading import Lock

_MIB = 1024 * 1024
#: Bytes of a range, at least and at most. Each range begins with a round trip (20 to 100 ms, in
#: which a connection could receive 2 to 9 MB), and each is lost when the process is killed.
_MIN_RANGE, _MAX_RANGE = 8 * _MIB, 32 * _MIB
#: Seconds until helpers are started again after all of them have failed.
_RETRY_HELPERS_AFTER = 10.0


class ByteRange:
    """Bytes that one connection reads: `at` is the next one; `end` None: until the body ends."""

    __slots__ = ("at", "end")

    def __init__(self, at: int, end: int | None) -> None:
        self.at, self.end = at, end


class RangePlan:
    """The missing byte ranges of one object, shared by the connections of a transfer."""

    def __init__(self, *, allows_helpers: bool) -> None:
        #: False once the origin is known not to support ranges of this object.
        self.uses_ranges = True
        self._allows_helpers = allows_helpers
        self._lock = Lock()
        self._gaps: list[tuple[int, int | None]] = []
        self._range_size = 0  # 0: each gap is read as one range
        self._helpers = 0
        self._split_not_before = 0.0  # on the clock of `time.monotonic`

    @property
    def gaps(self) -> list[tuple[int, int | None]]:
        """What no connection reads yet, as pairs of start and end."""
        return self._gaps

    def begin(self, gaps: list[tuple[int, int | None]]) -> None:
        """Note what is missing, at the start of a transfer."""
        self._gaps = gaps

    def stop_using_ranges(self) -> None:
        """Have the object read as one body from now on."""
        self.uses_ranges, self._range_size = False, 0

    def next_range(self) -> ByteRange | None:
        """Return the next range to read, which is the caller's now; None if nothing is left."""
        with self._lock:
            if not self._gaps:
                return None
            start, end = self._gaps.pop(0)
            if self._range_size and end is not None and end - start > self._range_size * 3 // 2:
                self._gaps.insert(0, (start + self._range_size, end))
                end = start + self._range_size
            return ByteRange(start, end)

    def add_helper(self) -> None:
        """Note that a helper is about to start."""
        with self._lock:
            self._helpers += 1

    def remove_helper(self) -> None:
        """Note that a helper could not be started."""
        with self._lock:
            self._helpers -= 1

    def forget_helpers(self) -> None:
        """Note that all helpers have ended."""
        self._helpers = 0

    def give_back(self, byte_range: ByteRange | None, *, disallow_helpers: bool) -> None:
        """Take a range back from a helper that failed, for the first reader to read.

        If that was the last helper, no other is started for a while, or ever (`disallow_helpers`).
        """
        with self._lock:
            if byte_range is not None and byte_range.at != byte_range.end:
                rest = byte_range.at, byte_range.end
                self._gaps = sorted([*self._gaps, rest], key=lambda gap: gap[0])
            self._helpers -= 1
            if not self._helpers:
                self._stop_splitting()
            if disallow_helpers:
                self._allows_helpers = False

    def may_split(self, byte_range: ByteRange) -> bool:
        """Return whether helpers could read the end of a range that comes too slowly."""
        return (
            not self._range_size
            and self.uses_ranges
            and self._allows_helpers
            and byte_range.end is not None
            and byte_range.end - byte_range.at >= 2 * _MIN_RANGE
            and time.monotonic() >= self._split_not_before
        )

    def split(self, byte_range: ByteRange, connections: int) -> tuple[int, int]:
        """Shorten a range to what one connection reads; leave its rest to `connections` others.

        Returns the end that the range had, and how many ranges are missing in all.
        """
        end = byte_range.end
        assert end is not None
        with self._lock:
            missing = end - byte_range.at + sum(stop - start for start, stop in self._gaps if stop)
            range_size = -(-missing // (4 * connections * _MIB)) * _MIB
            self._range_size = max(_MIN_RANGE, min(_MAX_RANGE, range_size))
            byte_range.end = min(byte_range.at + self._range_size, end)
            self._gaps.insert(0, (byte_range.end, end))
        return end, -(-missing // self._range_size)

    def undo_split(self, byte_range: ByteRange, end: int) -> None:
        """Make a range as long as it was before `split`, because no helper could be started."""
        with self._lock:
            assert byte_range.end is not None
            self._gaps.remove((byte_range.end, end))
            byte_range.end = end
            self._stop_splitting()

    def _stop_splitting(self) -> None:
        self._range_size = 0
        self._split_not_before = time.monotonic() + _RETRY_HELPERS_AFTER
