"""What the caller is told when the index cannot be used, and no recovery helps."""

from __future__ import annotations

import os

from ...common.interruption import reraise_interrupt
from ...errors import QuotaExceededError, TmpCacheError
from ..content.quota import exceeded
from ..filesystem import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..root import Root

#: SQLite opens three files. The others are for threads that close some while they are counted.
_DESCRIPTORS = 8


def disk_full(root: Root, quota: int, needed: int) -> QuotaExceededError:
    """Return the error for a disk that stays full although blobs were evicted."""
    return exceeded(
        "the index and sessions",
        "the disk is full of other files, or of paths still held: free space on it",
        needed=needed,
        quota=quota,
        used=root.measured(),
        leased=0,
    )


def not_repaired(root: Root, error: Exception) -> TmpCacheError:
    """Return the error for an index that fails again and again."""
    return TmpCacheError(
        f"{root.index} cannot be used ({error}), nor made anew: delete {root.path}"
    )


def has_descriptors_left() -> bool:
    """Return whether this process may open as many files as an index needs."""
    opened: list[files.Descriptor] = []
    try:
        for _ in range(_DESCRIPTORS):
            opened.append(files.Descriptor(os.devnull, os.O_RDONLY))
        return True
    except OSError as error:
        reraise_interrupt(error)
        return False
