"""File locks (``flock``): the kernel drops them with the process that holds them."""

from __future__ import annotations

import fcntl

from ...errors import UnsafeRootError
from ..filesystem.files import StrangeFileError, open_file


def try_lock(fd: int, mode: int = fcntl.LOCK_EX) -> bool:
    """Try to lock; not filelock's call, whose import would cost a first hit 29 ms."""
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def refuse_file_system_without_locks(path: str) -> None:
    """Raise :class:`UnsafeRootError` if the lock that this process has on a file is not kept."""
    try:
        probe = open_file(path)
    except StrangeFileError:
        return
    keeps_none = try_lock(probe.fd)
    probe.close()
    if keeps_none:
        raise UnsafeRootError(
            f"the file system of {path} does not keep locks (flock), so nothing on it can be "
            "protected from eviction: choose a root on a local disk"
        )
