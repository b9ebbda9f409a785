"""Downloads under way: one locked file per object, its reservation and its running hash.

``partial/<object id>`` is download, lock and reservation in one. Who holds the lock (``flock``)
downloads; who waits for it finds afterwards that the path leads to another inode or none, because
the file was renamed into ``blobs/``, and looks the object up again. No lock is left behind: the
kernel drops it with its process. The lock only saves work; if it cannot be had in time, a partial
of one's own does as well.
"""

from __future__ import annotations

import errno
import os
import time

from . import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .index import Index

#: Blocks are taken from the file system ahead of the bytes from this size on. Below it, the call
#: costs more (15 µs of a 10 KiB fetch) than the early "disk full" is worth.
_PREALLOCATE = 256 * 1024
#: Seconds between two looks at a lock that another holds: doubled from the first to the second.
_POLL, _POLL_MOST = 0.001, 0.05
#: What the kernel says when a file cannot grow.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class PartialLostError(OSError):
    """Somebody who cleans /tmp deleted the file while it was written. Worth one more try."""


class Partial:
    """A file that an origin's body is streamed into: reserved, written, hashed, published.

    `reserve` is called with the bytes that the file will have in all, and raises
    :class:`~tmpcache.errors.QuotaExceededError` if there is no room; `relieve` when the disk is
    full all the same.
    """

    def __init__(
        self,
        fd: int,
        path: str,
        waited: bool,
        reserve: Callable[[str, int], None],
        relieve: Callable[[int], None],
    ) -> None:
        self.fd, self.path = fd, path
        #: Whether another download of the same object ended while this one waited for its turn.
        self.waited = waited
        #: Whether the content has become a blob.
        self.published = False
        self.inode = os.fstat(fd).st_ino
        self._target = ""
        self._reserve, self._relieve = reserve, relieve
        self._reserved = -1
        #: Bytes received in all, also before a :meth:`rewind`.
        self.transferred = 0
        self.rewind()

    @property
    def file_name(self) -> str:
        """Its name in the index."""
        return os.path.basename(self.path)

    def reserve(self, total: int) -> None:
        """Make room for `total` bytes before the first of them is written."""
        if total <= self._reserved:
            return
        self._reserve(self.file_name, total)
        self._reserved = total
        if total >= _PREALLOCATE and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self.fd, 0, total)
            except OSError as error:
                self._make_room(error, total)
                os.posix_fallocate(self.fd, 0, total)

    def write(self, data: memoryview) -> None:
        """Append `data`, hash it on the way."""
        self.reserve(self.received + len(data))  # a body longer than announced, or unannounced
        self._hash.update(data)
        while data:
            try:
                written = os.pwrite(self.fd, data, self.received)
            except OSError as error:
                self._make_room(error, len(data))
                written = os.pwrite(self.fd, data, self.received)
            self.received += written
            self.transferred += written
            data = data[written:]

    def rewind(self) -> None:
        """Forget all that was received."""
        import xxhash

        #: Bytes received so far.
        self.received = 0
        self._hash = xxhash.xxh3_128()
        # Not always: what was once truncated, ext4 writes out when it is closed (80 µs).
        if os.fstat(self.fd).st_size:
            os.ftruncate(self.fd, 0)

    def finish(self) -> tuple[str, os.stat_result]:
        """Make the file read-only; its hash and its status. It is whole if the size agrees."""
        if os.fstat(self.fd).st_size != self.received:  # preallocated for more than there came
            os.ftruncate(self.fd, self.received)
        os.fchmod(self.fd, 0o444)
        return self._hash.hexdigest(), os.fstat(self.fd)

    def move(self, path: str) -> None:
        """Rename the file into its place among the blobs."""
        self._target = path
        if blobs.inode(self.path) == self.inode:
            os.rename(self.path, path)
        if blobs.inode(path) != self.inode:
            raise PartialLostError(f"{self.path} was deleted by somebody else")

    def remove(self, index: Index | None = None) -> None:
        """Remove the file, wherever it is, unless the `index` knows it as a blob."""
        if blobs.inode(self.path) == self.inode:
            blobs.remove(self.path)
        if index is not None:
            index.run("DELETE FROM partials WHERE name = ?", self.file_name)
            if self._target and blobs.inode(self._target) == self.inode:
                name = os.path.basename(self._target)
                if not index.rows("SELECT 1 FROM blobs WHERE name = ?", name):
                    blobs.remove(self._target)

    @property
    def has_reserved(self) -> bool:
        """Whether the index has a reservation for this file."""
        return self._reserved >= 0

    def _make_room(self, error: OSError, needed: int) -> None:
        """Evict after a write met a full disk, so that it can be tried once more."""
        if error.errno not in FULL:
            raise error
        self._relieve(needed)


def hold(
    directory: str, name: str, patience: float, hang_up: Callable[[], None] | None
) -> tuple[int, str, bool]:
    """Create and lock the partial of an object: descriptor, path, and whether it had to wait.

    Calls `hang_up` before it waits. Waits as long as the other download makes progress, and
    `patience` seconds more (it may be frozen); then takes a partial of its own.
    """
    from filelock import lock_descriptor

    path, waited = os.path.join(directory, name), False
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if not lock_descriptor(fd, blocking=False):
                if hang_up is not None and not waited:
                    hang_up()
                waited = True
                if not _wait(fd, patience):
                    path = os.path.join(directory, f"{name}.{os.urandom(6).hex()}")
                    os.close(fd)
                    continue
            if blobs.inode(path) == os.fstat(fd).st_ino:
                return fd, path, waited
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _wait(fd: int, patience: float) -> bool:
    """Wait for the lock while the file's mtime moves; False after `patience` without progress."""
    from filelock import lock_descriptor

    pause, moved, mtime = _POLL, time.monotonic(), os.fstat(fd).st_mtime_ns
    while not lock_descriptor(fd, blocking=False):
        now, latest = time.monotonic(), os.fstat(fd).st_mtime_ns
        if latest != mtime:
            mtime, moved = latest, now
        elif now - moved >= patience:
            return False
        time.sleep(pause)
        pause = min(pause * 2, _POLL_MOST)
    return True
