"""File locks (``flock``), which tell whether a process is alive.

The kernel drops a lock when the last descriptor of the open file is closed, at the latest with the
process that holds it. So no lock outlives its process, however that ends.
"""

from __future__ import annotations

import fcntl

from ...errors import UnsafeRootError
from ..filesystem.files import StrangeFileError, open_file


def try_lock(fd: int, mode: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file without waiting; return whether that succeeded.

    Not filelock's call: importing that would cost the first hit of a process 29 ms.
    """
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def refuse_file_system_without_locks(path: str) -> None:
    """Raise :class:`UnsafeRootError` if a lock that is held on the file at `path` excludes nobody.

    On some network file systems ``flock`` succeeds and does nothing.
    """
    try:
        second = open_file(path)
    except StrangeFileError:  # something else has the name by now
        return
    excludes_nobody = try_lock(second.fd)
    second.close()
    if excludes_nobody:
        raise UnsafeRootError(
            f"the file system of {path} does not keep locks (flock), so nothing on it can be "
            "protected from eviction: choose a root on a local disk"
        )
