"""Whose turn it is to download an object: who has locked its partial, and how others wait."""

from __future__ import annotations

import os
import time

from filelock import lock_descriptor

from ..filesystem.files import Descriptor, StrangeFileError, open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...common.deadline import Deadline

#: Seconds between two looks at a lock that another holds: doubled from the first to the second.
_POLL, _POLL_MOST = 0.001, 0.05


def acquire(
    directory: str,
    name: str,
    patience: float,
    close_response: Callable[[], None] | None,
    deadline: Deadline | None,
) -> tuple[Descriptor, str, bool]:
    """Create or find, and lock, the partial of an object.

    Gives its file and path, and whether another had to be waited for.

    Calls `close_response` before it waits. Waits as long as the other download makes progress, and
    `patience` seconds more (it may be frozen); then takes a partial of its own.
    """
    path, waited = os.path.join(directory, name), False
    while True:
        try:
            held = try_acquire(path)
        except StrangeFileError:  # what has the name stays; the lock only saves work
            if os.path.basename(path) != name:
                raise
            path = _another(directory, name)
            continue
        if held is not None:
            return held, path, waited
        if close_response is not None and not waited:
            close_response()
        waited = True
        if not _wait(path, patience, deadline):
            path = _another(directory, name)


def try_acquire(path: str) -> Descriptor | None:
    """Create or find, and lock, a partial; None if another has it."""
    file = open_file(path, os.O_RDWR | os.O_CREAT)
    if lock_descriptor(file.fd, blocking=False) and file.is_still(path):
        return file
    file.close()
    return None


def _another(directory: str, name: str) -> str:
    return os.path.join(directory, f"{name}.{os.urandom(6).hex()}")


def _wait(path: str, patience: float, deadline: Deadline | None) -> bool:
    """Wait while the file is locked and grows; False after `patience` without progress.

    No descriptor is kept in between: who is frozen here must not keep the blocks of a file that
    others publish and evict meanwhile.
    """
    pause, moved, mtime = _POLL, time.monotonic(), 0
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
            mtime, moved = latest, now
        elif now - moved >= patience:
            return False
        if deadline is not None:
            deadline.check("the download by another process that was waited for")
        time.sleep(pause)
        pause = min(pause * 2, _POLL_MOST)
