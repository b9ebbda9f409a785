"""Errors for the caller, for an index that cannot be used, where no recovery helps."""

from __future__ import annotations

from ...errors import QuotaExceededError, TmpCacheError
from ..content.quota import exceeded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..root import Root


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
