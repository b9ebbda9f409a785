"""What is on disk under a root besides content, measured by ``stat`` as seldom as is safe.

This *overhead* is: the directories, the session files, the index with its log, the files of other
formats, and files that others have put under the root. All sizes are allocated blocks, as ``du``
counts them.
"""

from __future__ import annotations

import time

from ..filesystem.files import allocated_in
from ..leases.live_sessions import is_session
from ..root import Root, is_excluded
from . import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from ..index import Index

#: Steps of this process (room made, a transaction ended) for which a measurement is good enough
#: while there is ample room. A step adds a few hundred bytes, at most some 100 kB (a page of a
#: listing), so these steps add 6.4 MB at most. Room is ample if an eighth of the quota is free, and
#: the quota is 64 MiB or more (:data:`.quota._SMALL_QUOTA`): so at least 8 MiB are free.
_STEPS_TRUSTED = 64
#: Foreign files are looked for again after this many times as long as that took: so it costs one
#: hundredth of the time at most.
_FOREIGN_TRUSTED = 100


class DiskUsage:
    """The bytes that a root occupies besides content, and those that its file system has left."""

    def __init__(self, root: Root, statvfs: Callable[[str], os.statvfs_result]) -> None:
        self._root, self._statvfs = root, statvfs
        self._block = statvfs(root.path).f_frsize
        #: Foreign bytes, and until when (monotonic seconds) that is trusted.
        self._foreign, self._foreign_until = 0, 0.0
        self.forget()

    def forget(self) -> None:
        """Have the overhead measured before it is used again."""
        #: What the overhead may have grown to since it was measured.
        self.max_overhead = 0
        self._steps_left = 0

    def may_skip_measuring(self) -> bool:
        """Count a step of this process; return whether :attr:`max_overhead` is still a bound."""
        self._steps_left -= 1
        return self._steps_left >= 0

    def disk_free(self) -> int:
        """Return the bytes that the file system has left."""
        status = self._statvfs(self._root.path)
        return status.f_bavail * status.f_frsize

    def blocks(self, size: int) -> int:
        """Return the bytes that a file of `size` bytes may occupy: blocks, and a map of extents.

        ext4 takes one block of map for each 340 extents; one for each 16 MiB is ample.
        """
        extents = size // (16 * 1024 * 1024)
        return (-(-size // self._block) + extents + (size > 65536)) * self._block

    def overhead(self, index: Index) -> tuple[int, int]:
        """Measure the overhead; return its bytes now, and what it may grow to until the next time.

        That takes 15 system calls: 40 µs with the cold CPU caches of a real fetch.
        """
        self._steps_left = _STEPS_TRUSTED
        fixed = self._root.measured() + self._root.live_sessions.allocated() + self._foreign_bytes()
        now, limit = index.size.measure()
        self.max_overhead = fixed + limit
        return fixed + now, fixed + limit

    def _foreign_bytes(self) -> int:
        """Return the bytes of files that others have put under the root, and of other formats."""
        began = time.monotonic()
        if began >= self._foreign_until:
            root = self._root
            found = allocated_in(root.blobs, blobs.is_name) + allocated_in(root.path, root.is_ours)
            found += allocated_in(root.partial, blobs.is_partial)
            found += allocated_in(root.sessions, is_session)
            for other in root.other_formats():
                found += allocated_in(other.path, is_excluded)
            ended = time.monotonic()
            self._foreign = found
            self._foreign_until = ended + _FOREIGN_TRUSTED * (ended - began)
        return self._foreign
