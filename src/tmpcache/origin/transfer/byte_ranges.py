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
#: A range is overdue if its connection takes this many times as long as another one, which has
#: nothing left to do, took for as many bytes; but not before this many seconds: a request to S3
#: may take a quarter of one.
_OVERDUE, _PATIENCE = 2.0, 0.5

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.deadline import Waiting


class ByteRange:
    """Bytes that one connection reads: `at` is the next one; `end` None: until the body ends."""

    __slots__ = ("at", "begun_at", "connection", "end", "is_taken_over", "start")

    def __init__(self, at: int, end: int | None, connection: Waiting) -> None:
        self.start, self.at, self.end = at, at, end
        self.connection, self.begun_at = connection, time.monotonic()
        #: Whether the rest was taken from its connection, for another one to read.
        self.is_taken_over = False

    def seconds_per_byte(self, now: float) -> float:
        """Return what a byte has taken on average, the request included."""
        return (now - self.begun_at) / max(1, self.at - self.start)

    def is_overdue(self, now: float, seconds_per_byte: float) -> bool:
        """Return whether a connection that takes so long for a byte would have ended long ago.

        >>> byte_range = ByteRange(0, 8_000_000, None)
        >>> then = byte_range.begun_at
        >>> byte_range.is_overdue(then + 0.9, 1 / 10e6), byte_range.is_overdue(then + 2, 1 / 10e6)
        (False, True)
        """
        if self.end is None:
            return False
        usual = seconds_per_byte * (self.end - self.start)
        return now - self.begun_at > max(_PATIENCE, _OVERDUE * usual)


class RangePlan:
    """The missing byte ranges of one object, shared by the connections of a transfer."""

    def __init__(self, *, allows_helpers: bool) -> None:
        #: False once the origin is known not to support ranges of this object.
        self.uses_ranges = True
        self._allows_helpers = allows_helpers
        self._lock = Lock()
        self._gaps: list[tuple[int, int | None]] = []
        self._reading: list[ByteRange] = []
        #: Bytes that all connections have received.
        self.received = 0
        #: How many helpers end as soon as a request is refused: as many as were added last.
        self.spare = 0
        self._range_size = 0  # 0: each gap is read as one range
        self._helpers = 0
        self._split_not_before = 0.0  # on the clock of `time.monotonic`

    @property
    def gaps(self) -> list[tuple[int, int | None]]:
        """What no connection reads yet, as pairs of start and end."""
        return self._gaps

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self._gaps and not self._reading

    @property
    def connections(self) -> int:
        """How many connections have not failed, the leading one included."""
        return self._helpers + 1

    def begin(self, gaps: list[tuple[int, int | None]]) -> None:
        """Note what is missing, at the start of a transfer."""
        self._gaps, self._reading = gaps, []

    def stop_using_ranges(self) -> None:
        """Have the object read as one body from now on."""
        self.uses_ranges, self._range_size = False, 0

    def next_range(
        self, connection: Waiting, seconds_per_byte: float | None = None
    ) -> ByteRange | None:
        """Return the next range to read, which is the connection's now; None if nothing is left.

        If it only remains to wait for others, a connection that says how long a byte took it gets
        the rest of a range that is overdue.
        """
        with self._lock:
            if not self._gaps and seconds_per_byte is not None:
                self._take_over(seconds_per_byte)
            if not self._gaps:
                return None
            start, end = self._gaps.pop(0)
            if self._range_size and end is not None and end - start > self._range_size * 3 // 2:
                self._gaps.insert(0, (start + self._range_size, end))
                end = start + self._range_size
            byte_range = ByteRange(start, end, connection)
            self._reading.append(byte_range)
            return byte_range

    def _take_over(self, seconds_per_byte: float) -> None:
        """Make a gap of a range that is overdue, and interrupt its connection."""
        now = time.monotonic()
        for byte_range in self._reading:
            if byte_range.is_overdue(now, seconds_per_byte):
                self._release(byte_range)
                byte_range.end, byte_range.is_taken_over = byte_range.at, True
                # With the lock held, so that it reads nothing else yet.
                return byte_range.connection.interrupt()
        return None

    def take(self, byte_range: ByteRange, count: int) -> bool:
        """Note that `count` bytes of a range were read; return False if it was taken over."""
        with self._lock:
            if byte_range.is_taken_over:
                return False
            byte_range.at += count
            self.received += count
            return True

    def finish(self, byte_range: ByteRange) -> None:
        """Note that a range was read, or taken over."""
        with self._lock:
            if byte_range in self._reading:
                self._reading.remove(byte_range)

    def _release(self, byte_range: ByteRange) -> None:
        """Make a gap of what is missing of a range."""
        self._reading.remove(byte_range)
        if byte_range.at != byte_range.end:
            rest = byte_range.at, byte_range.end
            self._gaps = sorted([*self._gaps, rest], key=lambda gap: gap[0])

    def add_helper(self) -> None:
        """Note that a helper is about to start."""
        with self._lock:
            self._helpers += 1

    def remove_helper(self) -> None:
        """Note that a helper could not be started."""
        with self._lock:
            self._helpers -= 1

    def give_back(self, byte_range: ByteRange | None, *, disallow_helpers: bool) -> None:
        """Make a gap of the range of a helper that failed; whoever asks next reads it.

        If that was the last helper, no other is started for a while, or ever (`disallow_helpers`).
        """
        with self._lock:
            if byte_range in self._reading:
                self._release(byte_range)
            self._helpers -= 1
            if not self._helpers:
                self._stop_splitting()
            if disallow_helpers:
                self._allows_helpers = False

    def can_spare_one(self) -> bool:
        """Return whether a helper whose request was refused ends at once, and count it."""
        with self._lock:
            self.spare -= 1
            return self.spare >= 0

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
