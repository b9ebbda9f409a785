"""The leases behind plain path texts, which cannot carry a lease themselves."""

from __future__ import annotations

from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...cached_file import CachedFile

#: Files that stay leased. The files of the last call do in any case, however many they are.
MAX_KEPT = 1000


class KeptLeases:
    """Keeps the leases of the last calls.

    No lock: a deque appends and pops atomically, and a forked child could inherit a lock that is
    held. Threads that race drop at most one call too many, of those that were to be dropped next.
    """

    def __init__(self) -> None:
        self._calls: deque[Sequence[CachedFile]] = deque()

    def keep(self, files: Sequence[CachedFile]) -> None:
        """Keep the leases of one call, and drop those of the oldest calls if there are too many."""
        if not files:
            return
        self._calls.append(files)
        kept = [len(call) for call in list(self._calls)]
        total = sum(kept)
        for count in kept[:-1]:
            if total <= MAX_KEPT:
                return
            self.drop_oldest()
            total -= count

    def release(self) -> int:
        """End all of these leases; return how many they were."""
        count = 0
        while self._calls:
            count += self.drop_oldest()
        return count

    def drop_oldest(self) -> int:
        """End the leases of the oldest call; return how many they were."""
        try:
            files = self._calls.popleft()
        except IndexError:  # another thread was faster
            return 0
        for file in files:
            file.release()
        return len(files)
