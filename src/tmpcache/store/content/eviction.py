"""The one place where blobs are deleted: nobody loses a file that he holds.

The order of steps is what protects readers; :mod:`.sessions` says why.
"""

from __future__ import annotations

import os

from ..filesystem.files import remove
from ..leases.session import EVICTED_AT_ONCE, lease_id
from . import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..root import Root


def unlink(root: Root, names: Sequence[str]) -> set[str]:
    """Delete the files of these names under ``blobs/``, but for those in use; the latter.

    Under the index's write lock. Names that are no blob's are left alone, and so are directories.
    """
    kept: set[str] = set()
    sessions = root.session_files
    for start in range(0, len(names), EVICTED_AT_ONCE):
        page = [name for name in names[start : start + EVICTED_AT_ONCE] if _is_ours(name)]
        try:
            in_use = sessions.announce([lease_id(name) for name in page])
            for name in page:
                if lease_id(name) in in_use:
                    kept.add(name)
                else:
                    remove(os.path.join(root.blobs, name))
                    remove_siblings(os.path.join(root.blobs, name))
        finally:
            sessions.withdraw()
    return kept


def remove_siblings(path: str) -> None:
    """Delete what a program has put beside a blob: for the next file there it would be wrong."""
    for ending in blobs.SIBLINGS:
        remove(path + ending)


def _is_ours(name: str) -> bool:
    return blobs.is_name(name) or blobs.is_sibling(name)
