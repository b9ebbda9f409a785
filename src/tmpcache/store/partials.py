"""Downloads under way: one locked file per object, its reservation and its running hash.

``partial/<object id>`` is download, lock and reservation in one. Who holds the lock (``flock``)
downloads; who waits for it finds afterwards that the path leads to another inode or none, because
the file was renamed into ``blobs/``, and looks the object up again. No lock is left behind: the
kernel drops it with its process. The lock only saves work; if it cannot be had in time, a partial
of one's own does as well.

What a large object's partial holds is written down part by part, with the ETag it belongs to. So
the next download, in whatever process, goes on where one was killed or ran out of time.
"""

from __future__ import annotations

import errno
import os
import time

from . import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from ..deadline import Deadline
    from .index import Index

    class Room(Protocol):
        """What a partial needs of the store."""

        def reserve(self, file: str, total: int, /) -> None:
            """Reserve for a file of `total` bytes, or QuotaExceededError."""

        def settle(self, file: str, allocated: int, /) -> None:
            """Reserve what a file occupies that grows no more for now."""

        def relieve(self, needed: int, /) -> None:
            """Evict because the disk is full."""

        def note(self, partial: Partial, /) -> None:
            """Write down how far a partial has come."""


#: Bytes between two notes of progress: what a kill can cost. A note costs 50 µs.
PART = 8 * 1024 * 1024
#: Smaller bodies wait in memory, so that room, bytes and rows are one transaction (100 µs less for
#: 10 KiB). For others blocks are taken from the file system ahead of the bytes.
_SMALL = 256 * 1024
_CHUNK = 1024 * 1024
#: Seconds between two looks at a lock that another holds: doubled from the first to the second.
_POLL, _POLL_MOST = 0.001, 0.05
#: What the kernel says when a file cannot grow.
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class PartialLostError(OSError):
    """Somebody who cleans /tmp deleted the file while it was written. Worth one more try."""


class Partial:
    """A file that an origin's body is streamed into: reserved, written, hashed, published."""

    def __init__(self, fd: int, path: str, waited: bool, room: Room) -> None:
        self.fd, self.path = fd, path
        #: Whether another download of the same object ended while this one waited for its turn.
        self.waited = waited
        #: Whether the content has become a blob.
        self.published = False
        status = os.fstat(fd)
        self.inode = status.st_ino
        #: Whether an earlier download left something in the file.
        self.left_over = status.st_size > 0
        self.etag, self.size = "", 0
        #: Bytes noted in the index; 0 for a file that nobody could go on with.
        self.noted = 0
        #: Bytes received by this download, also before a :meth:`rewind`.
        self.transferred = 0
        #: Bytes of the object that are here.
        self.received = 0
        self._room, self._reserved, self._target = room, -1, ""
        #: A small body, until it is poured into the file.
        self._pending: bytearray | None = None

    @property
    def file_name(self) -> str:
        """Its name in the index."""
        return os.path.basename(self.path)

    def resume(self, etag: str, size: int, received: int, digest: str) -> None:
        """Go on with what an earlier download left: `received` bytes of the object `etag`.

        They are hashed again (the state of xxh3 cannot be written down), and if the hash is not
        the one that was noted, somebody has changed them: begin anew.
        """
        import xxhash

        state, view = xxhash.xxh3_128(), memoryview(bytearray(_CHUNK))
        with open(self.path, "rb", buffering=0) as file:
            while (done := file.tell()) < received:
                count = file.readinto(view[: min(_CHUNK, received - done)])
                if not count:  # shorter than the note says
                    return self.rewind()
                state.update(view[:count])
        if state.hexdigest() != digest:
            return self.rewind()
        self.etag, self.size, self.received, self.noted = etag, size, received, received
        self._hash = state
        return None

    def digest(self) -> str:
        """The hash of what has been received so far."""
        return self._hash.hexdigest()

    def begin(self, etag: str, size: int | None) -> None:
        """Make room for an object before the first of its bytes is written."""
        self.etag, self.size = etag, size or 0
        if size is None or size >= _SMALL:
            self.reserve(self.size)
        elif self._pending is None and not self.received:
            self._pending = bytearray()

    def write(self, data: memoryview) -> None:
        """Append `data`, hash it on the way."""
        self._hash.update(data)
        if self._pending is not None:
            self._pending += data
            self.received += len(data)
            self.transferred += len(data)
            return
        self.reserve(self.received + len(data))  # longer than announced, or unannounced
        while data:
            try:
                written = os.pwrite(self.fd, data, self.received)
            except OSError as error:
                self._make_room(error, len(data))
                written = os.pwrite(self.fd, data, self.received)
            self.received += written
            self.transferred += written
            data = data[written:]
        if self.received - self.noted >= PART:
            self.note()

    def note(self) -> None:
        """Write down how far this has come, if another download could go on from here."""
        if self.etag and self.size and "." not in self.file_name and self.received >= PART:
            self._room.note(self)
            self.noted = self.received

    def rewind(self) -> None:
        """Forget all that was received."""
        import xxhash

        self._hash, self._pending = xxhash.xxh3_128(), None
        self.received = 0
        if self.noted:  # before the bytes go that the note speaks of
            self._room.note(self)
            self.noted = 0
        # Not always: what was once truncated, ext4 writes out when it is closed (80 µs).
        if os.fstat(self.fd).st_size:
            os.ftruncate(self.fd, 0)

    @property
    def is_in_memory(self) -> bool:
        """Whether there is no room yet for what has been received: see :meth:`pour`."""
        return self._pending is not None

    def pour(self) -> None:
        """Write a small body into the file, once there is room for it, and make it read-only."""
        rest, at = memoryview(self._pending or b""), 0
        while rest[at:]:
            at += os.pwrite(self.fd, rest[at:], at)
        os.fchmod(self.fd, 0o444)

    def finish(self) -> None:
        """Make the file read-only, and just as long as what was received."""
        if os.fstat(self.fd).st_size != self.received:  # preallocated for more than there came
            os.ftruncate(self.fd, self.received)
        os.fchmod(self.fd, 0o444)

    def has_bytes_of(self, path: str) -> bool:
        """Whether what was received is the content of a file."""
        if self._pending is None:
            return blobs.same_bytes(path, self.path)
        with open(path, "rb") as file:
            return file.read(_SMALL) == self._pending

    def move(self, path: str) -> None:
        """Rename the file into its place among the blobs."""
        self._target = path
        if blobs.inode(self.path) == self.inode:
            os.rename(self.path, path)
        if blobs.inode(path) != self.inode:
            raise PartialLostError(f"{self.path} was deleted by somebody else")

    def keep(self) -> None:
        """Leave the file to the next download of the object, no larger than it need be."""
        os.ftruncate(self.fd, self.received)
        self.note()
        self._room.settle(self.file_name, os.fstat(self.fd).st_blocks * 512)

    def remove(self, index: Index | None = None) -> None:
        """Remove the file, wherever it is, unless the `index` knows it as a blob."""
        if blobs.inode(self.path) == self.inode:
            os.ftruncate(self.fd, 0)  # the blocks go now, not when the last descriptor is closed
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
        return self._reserved >= 0 or self.noted > 0

    def reserve(self, total: int) -> None:
        """Make room for `total` bytes in the file."""
        if total <= self._reserved:
            return
        self._room.reserve(self.file_name, total)
        self._reserved = total
        if total >= _SMALL and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(self.fd, 0, total)
            except OSError as error:
                self._make_room(error, total)
                os.posix_fallocate(self.fd, 0, total)

    def _make_room(self, error: OSError, needed: int) -> None:
        """Evict after a write met a full disk, so that it can be tried once more."""
        if error.errno not in FULL:
            raise error
        self._room.relieve(needed)


def hold(
    directory: str,
    name: str,
    patience: float,
    hang_up: Callable[[], None] | None,
    deadline: Deadline | None,
) -> tuple[int, str, bool]:
    """Create or find, and lock, the partial of an object: descriptor, path, whether it waited.

    Calls `hang_up` before it waits. Waits as long as the other download makes progress, and
    `patience` seconds more (it may be frozen); then takes a partial of its own.
    """
    path, waited = os.path.join(directory, name), False
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if _try_lock(fd) and blobs.inode(path) == os.fstat(fd).st_ino:
                return fd, path, waited
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        if hang_up is not None and not waited:
            hang_up()
        waited = True
        if not _wait(path, patience, deadline):
            path = os.path.join(directory, f"{name}.{os.urandom(6).hex()}")


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
    from filelock import lock_descriptor

    return lock_descriptor(fd, blocking=False)
