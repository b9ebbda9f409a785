"""The download lock of an object: the lock on its partial file, and how other downloads wait."""

from __future__ import annotations

import os
import time

from ..filesystem.descriptor import Descriptor
from ..filesystem.files import ForeignFileError, open_file
from ..leases.file_lock import try_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.deadline import Deadline

#: Seconds between two attempts to lock a file: the first pause, doubled up to the longest.
_POLL, _MAX_POLL = 0.001, 0.05


def acquire(
    directory: str,
    name: str,
    lock_timeout: float,
    close_response: Callable[[], None] | None,
    deadline: Deadline | None,
) -> tuple[Descriptor, str, bool]:
    """Create or open the partial file of an object, and lock it.

    Return its descriptor and path, and whether another download held the lock before.

    Call `close_response` before waiting. Wait as long as the other download writes to the file, and
    `lock_timeout` seconds more (its process may be frozen); then lock a private partial file.
    """
    path, waited = os.path.join(directory, name), False
    while True:
        try:
            lock = try_acquire(path)
        except ForeignFileError:  # a foreign file has the name and stays
            if os.path.basename(path) != name:
                raise
            path = _private_path(directory, name)
            continue
        if lock is not None:
            return lock, path, waited
        if close_response is not None and not waited:
            close_response()
        waited = True
        if not _wait(path, lock_timeout, deadline):
            path = _private_path(directory, name)


def try_acquire(path: str) -> Descriptor | None:
    """Create or open a partial file and lock it; return None if another download holds the lock."""
    file = open_file(path, os.O_RDWR | os.O_CREAT)
    if try_lock(file.fd) and file.is_still(path):
        return file
    file.close()
    return None


def _private_path(directory: str, name: str) -> str:
    return os.path.join(directory, f"{name}.{os.urandom(6).hex()}")


def _wait(path: str, lock_timeout: float, deadline: Deadline | None) -> bool:
    """Wait while the file is locked; return False once nobody has written to it for `lock_timeout`.

    Its mtime tells: its length does not change, as blocks are allocated before they are written.
    The file is closed between two looks: a process that is frozen here must not keep the blocks of
    a file that others publish and evict meanwhile.
    """
    from filelock import lock_descriptor  # who waits has the time for it

    pause, progress_at, mtime = _POLL, time.monotonic(), 0
    while True:
        try:
            file = open_file(path)
        except FileNotFoundError:
            return True
        is_free, latest = lock_descriptor(file.fd, blocking=False), file.status.st_mtime_ns
        file.close()
        if is_free:
            return True
        now = time.monotonic()
        if latest != mtime:
            mtime, progress_at = latest, now
        elif now - progress_at >= lock_timeout:
            return False
        if deadline is not None:
            deadline.check("the download by another process that was waited for")
        time.sleep(pause)
        pause = min(pause * 2, _MAX_POLL)
