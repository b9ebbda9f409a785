"""File locks (``flock``), which tell whether a process is alive.

The kernel drops a lock when the last descriptor of the open file is closed, at the latest with the
process that holds it. So no lock outlives its process, however that ends.
"""

from __future__ import annotations

import fcntl
import os

from ...errors import UnsafeRootError
from ..filesystem.descriptor import Descriptor
from ..filesystem.files import ForeignFileError, open_file, remove


def try_lock(fd: int, mode: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file without waiting; return whether that succeeded.

    Not filelock's call: importing that would cost the first fetch of a process 29 ms. Who waits for
    a lock (:mod:`..downloads.download_lock`) uses it.
    """
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def create_locked(directory: str) -> tuple[str, Descriptor]:
    """Create a file of a random name in a directory and lock it; return its path and the file.

    A process that only reports who is alive, or what is leased, does not hold the index's write
    lock. It tries the lock of each file that it finds, and may have the lock of the new one for a
    moment. Then another file is created.
    """
    while True:
        path = os.path.join(directory, os.urandom(8).hex())
        file = open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            if try_lock(file.fd):
                return path, file
        except BaseException:
            remove(path)
            raise
        remove(path)
        file.close()


def refuse_file_system_without_locks(path: str) -> None:
    """Raise :class:`UnsafeRootError` if a lock that is held on the file at `path` excludes nobody.

    On some network file systems ``flock`` succeeds and does nothing.
    """
    try:
        second = open_file(path)
    except ForeignFileError:  # something else has the name by now
        return
    excludes_nobody = try_lock(second.fd)
    second.close()
    if excludes_nobody:
        raise UnsafeRootError(
            f"the file system of {path} does not keep locks (flock), so nothing on it can be "
            "protected from eviction: choose a root on a local disk"
        )
