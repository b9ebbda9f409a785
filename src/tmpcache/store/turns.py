"""Whose turn it is to download an object: who has locked its partial, and how others wait."""

from __future__ import annotations

import os
import time

from filelock import lock_descriptor

from . import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..deadline import Deadline

#: Seconds between two looks at a lock that another holds: doubled from the first to the second.
_POLL, _POLL_MOST = 0.001, 0.05


def hold(
    directory: str,
    name: str,
    patience: float,
    hang_up: Callable[[], None] | None,
    deadline: Deadline | None,
) -> tuple[int, os.stat_result, str, bool]:
    """Create or find, and lock, the partial of an object.

    Gives its descriptor, status and path, and whether another had to be waited for.

    Calls `hang_up` before it waits. Waits as long as the other download makes progress, and
    `patience` seconds more (it may be frozen); then takes a partial of its own.
    """
    path, waited = os.path.join(directory, name), False
    while True:
        if (held := take(path)) is not None:
            return *held, path, waited
        if hang_up is not None and not waited:
            hang_up()
        waited = True
        if not _wait(path, patience, deadline):
            path = os.path.join(directory, f"{name}.{os.urandom(6).hex()}")


def take(path: str) -> tuple[int, os.stat_result] | None:
    """Create or find, and lock, a partial: its descriptor and status; None if another has it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if _try_lock(fd) and blobs.inode(path) == (status := os.fstat(fd)).st_ino:
            return fd, status
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _wait(path: str, patience: float, deadline: Deadline | None) -> bool:
    """Wait while the file is locked and grows; False after `patience` without progress.

    No descriptor is kept in between: who is frozen here must not keep the blocks of a file that
    others publish and evict meanwhile.
    """
    pause, moved, mtime = _POLL, time.monotonic(), 0
    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            if _try_lock(fd):
                return True
            latest = os.fstat(fd).st_mtime_ns
        finally:
            os.close(fd)
        now = time.monotonic()
        if latest != mtime:
            mtime, moved = latest, now
        elif now - moved >= patience:
            return False
        if deadline is not None:
            deadline.check("the download by another process that was waited for")
        time.sleep(pause)
        pause = min(pause * 2, _POLL_MOST)


def _try_lock(fd: int) -> bool:
    return lock_descriptor(fd, blocking=False)
