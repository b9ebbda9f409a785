"""How long a call waits for other processes that have the index locked."""

from __future__ import annotations

import time

from ...errors import DeadlineExceededError, TmpCacheError
from ..filesystem.descriptor import DIRECTORY, Descriptor
from ..leases.file_lock import try_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..root import Root

#: Seconds to wait for the index's write lock, if the caller has so many. A transaction takes less
#: than a millisecond; a process that holds the lock for longer is stopped in the middle of one.
BUSY_TIMEOUT = 30.0
#: Seconds of waiting for other threads that do not shorten the wait for processes: to tell SQLite
#: another time-out costs 2 µs.
_SHORT_WAIT = 0.1


class IndexWait:
    """The waits of one process for the others that use a root."""

    def __init__(self, root: Root, time_left: Callable[[], float]) -> None:
        """`time_left` returns the seconds that the call under way still has."""
        self._root, self._time_left = root, time_left

    def shorten(self, seconds: float) -> None:
        """Wait no longer than `seconds` from now on, whatever the call under way."""
        self._time_left = lambda: seconds

    def remaining(self, since: float) -> float:
        """Return the seconds left to a call that began to wait at `since` (monotonic)."""
        waited = time.monotonic() - since
        timeout = BUSY_TIMEOUT - waited if waited > _SHORT_WAIT else BUSY_TIMEOUT
        return max(0.0, min(timeout, self._time_left()))

    def lock_directory(self) -> Descriptor:
        """Lock out other processes that open, create or remove the index."""
        lock, began = Descriptor(self._root.sessions, DIRECTORY), time.monotonic()
        while not try_lock(lock.fd):
            if not self.remaining(since=began):
                raise self.timed_out()
            time.sleep(0.001)
        return lock

    def timed_out(self) -> TmpCacheError:
        """Return the error for a call that has waited in vain."""
        if self._time_left() <= 0:
            return DeadlineExceededError(
                f"{self._root.index} is locked by another process, and the time of this call is up"
            )
        return TmpCacheError(
            f"{self._root.index} has been locked for {BUSY_TIMEOUT:.0f} s: a process that uses it "
            "seems to be stopped in the middle of a change. Continue or kill it."
        )
