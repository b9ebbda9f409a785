"""Downloads under way: one locked file per object, its reservation and its running hash.

``partial/<object id>`` is download, lock and reservation in one. Who holds the lock (``flock``)
downloads; who waits for it finds afterwards that the path leads to another inode or none, because
the file was renamed into ``blobs/``, and looks the object up again. No lock is left behind: the
kernel drops it with its process. The lock only saves work; if it cannot be had in time, a partial
of one's own does as well.

What a large object's partial holds is written down every few MiB, with the ETag it belongs to. So
the next download, in whatever process, goes on where one was killed or ran out of time.
"""

from __future__ import annotations

import os
import sys
from threading import Lock

import xxhash

from ...errors import IntegrityError
from ..content import blobs
from ..content.eviction import remove_siblings
from ..content.quota import FULL
from ..filesystem.files import Descriptor, remove
from .extents import Extent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from ...common.checksum import Checksum
    from ..index.index import Index
    from ..leases.session import Lease

    class Room(Protocol):
        """What a partial needs of the store."""

        def reserve(self, file: str, total: int, /) -> None:
            """Reserve for a file of `total` bytes, or QuotaExceededError."""

        def blocks(self, size: int, /) -> int:
            """Bytes that are reserved for a file of `size` bytes."""

        def shrink_reservation(self, file: str, allocated: int, /) -> None:
            """Reserve what a file occupies that grows no more for now."""

        def free_disk_space(self, needed: int, /) -> None:
            """Evict because the disk is full."""

        def record_progress(self, partial: Partial, /) -> None:
            """Write down how far a partial has come."""


#: Bytes between two notes of progress: what a kill can cost. A note costs 50 µs.
PART = 8 * 1024 * 1024
#: Smaller bodies wait in memory, so that room, bytes and rows are one transaction (100 µs less for
#: 10 KiB). For others blocks are taken from the file system ahead of the bytes (1 GiB is written in
#: 0.17 s then, else in 0.25), unless it has no device: tmpfs writes zeros for that (0.3 s), as NFS.
_SMALL = 256 * 1024
#: Bytes ahead of their turn that one write hashes when their turn has come. The last byte of a part
#: may set free what seven other connections have brought: 100 ms of work, during which nobody reads
#: from the connection that brought it (1 GiB over 8 capped ones took 0.1 s longer).
_CATCH_UP = 2 * 1024 * 1024
_CHUNK = 256 * 1024  # fits into a core's second cache


class PartialLostError(OSError):
    """Somebody who cleans /tmp deleted the file while it was written. Worth one more try."""


class Partial:
    """A file that an origin's body is streamed into: reserved, written, hashed, published.

    Threads may write different parts at the same time. The hash of the whole follows the bytes
    from the start on: what arrives in its turn is hashed from memory, what was ahead of its turn
    is read again, from the page cache, when all before it is there.
    """

    def __init__(self, file: Descriptor, path: str, waited: bool, room: Room) -> None:
        self.file, self.fd, self.path = file, file.fd, path
        #: Whether another download of the same object ended while this one waited for its turn.
        self.waited = waited
        #: Whether the content has become a blob.
        self.published = False
        #: Of the blob that it is to become, when it was moved there in vain.
        self.lease: Lease | None = None
        self.inode = file.status.st_ino
        self._has_blocks = os.major(file.status.st_dev) > 0
        #: Bytes that were here when the index was last told; 0: nobody could go on with the file.
        self.noted = 0
        #: Bytes received by this download, also before a :meth:`rewind`.
        self.transferred = 0
        self._room, self._reserved, self._target = room, -1, ""
        self._lock, self._front = Lock(), Lock()
        self._forget()

    def _forget(self) -> None:
        #: Of the object; "" and None as long as they are not known.
        self.etag = ""
        self.size: int | None = None
        #: Bytes from the start that are here and hashed.
        self.received = 0
        self._hash = xxhash.xxh3_128()
        self._checksum: Checksum | None = None
        self._extents: list[Extent] = []
        #: A small body, until it is poured into the file.
        self._pending: bytearray | None = None

    @property
    def file_name(self) -> str:
        """Its name in the index."""
        return os.path.basename(self.path)

    def resume(
        self, etag: str, size: int, checksum: str, received: int, digest: str, extents: str
    ) -> None:
        """Go on with what an earlier download noted, unless somebody has changed it since.

        All of it is hashed again: the state of xxh3 cannot be written down.
        """
        self._describe(etag, size, checksum)
        self.noted = 1  # whatever the note says, a rewind has to take it back
        for data in self._stretch(0, received):
            self._absorb(data)
        found = [Extent.noted(text) for text in extents.split()]
        if self._hash.hexdigest() != digest or not all(
            extent.fits(self._stretch(extent.start, extent.end)) for extent in found
        ):
            return self.rewind()
        self._extents = found
        self._follow()
        self.noted = self._here()
        return None

    def digest(self) -> str:
        """The hash of what has been received so far."""
        self._follow()
        digest: str = self._hash.hexdigest()
        return digest

    def begin(self, etag: str, size: int | None, checksum: str = "") -> None:
        """Make room for an object before the first of its bytes is written."""
        self._describe(etag, size, checksum)
        if size is None or size >= _SMALL:
            self.reserve(size or 0)
        else:
            self._pending = bytearray()

    def _describe(self, etag: str, size: int | None, checksum: str) -> None:
        self.etag, self.size = etag, size
        if checksum:
            from ...common.checksum import Checksum

            self._checksum = Checksum(checksum)

    def write(self, data: memoryview, at: int) -> None:
        """Put `data` at byte `at`, hash it on the way."""
        with self._lock:
            self.transferred += len(data)
        if self._pending is not None:
            self._pending += data
            self._absorb(data)
            return
        if at + len(data) > self._reserved:  # resumed, unannounced, or longer than announced
            self.reserve(max(at + len(data), self.size or 0))
        self._put(data, at)
        leads = self._front.acquire(blocking=False)
        try:
            if leads and at == self.received:
                self._absorb(data)
            else:
                self._strand(data, at)
            if leads:
                self._follow(_CATCH_UP)
                if self._here() - self.noted >= PART:
                    self.record_progress()
        finally:
            if leads:
                self._front.release()

    def _put(self, data: memoryview, at: int) -> None:
        while data:
            try:
                written = os.pwrite(self.fd, data, at)
            except OSError as error:
                self._make_room(error, len(data))
                written = os.pwrite(self.fd, data, at)
            at += written
            data = data[written:]

    def _absorb(self, data: memoryview) -> None:
        """Hash the next bytes from the start."""
        self._hash.update(data)
        if self._checksum is not None:
            self._checksum.update(data)
        self.received += len(data)

    def _strand(self, data: memoryview, at: int) -> None:
        """Remember bytes that are ahead of their turn."""
        with self._lock:
            extent = next((extent for extent in self._extents if extent.end == at), None)
            if extent is None:
                extent = Extent(at)
                self._extents.append(extent)
            extent.add(data)

    def _follow(self, most: int = sys.maxsize) -> None:
        """Hash what is here without a gap, but was ahead of its turn: all, or some `most` bytes."""
        most += self.received
        while self._extents and self.received < most:
            with self._lock:
                self._extents = [one for one in self._extents if one.end > self.received]
                next_one = min(self._extents, key=lambda one: one.start, default=None)
                if next_one is None or next_one.start > self.received:
                    return
                end = min(next_one.end, most)
            for data in self._stretch(self.received, end):
                self._absorb(data)
            if self.received < end:
                raise PartialLostError(f"{self.path} was cut by somebody else")

    def _stretch(self, start: int, end: int) -> Iterator[memoryview]:
        """The bytes of the file from `start` to `end`, piece by piece; fewer if it is shorter."""
        buffer = memoryview(bytearray(min(_CHUNK, end - start)))
        while start < end:
            count = os.preadv(self.fd, [buffer[: end - start]], start)
            if not count:
                return
            yield buffer[:count]
            start += count

    def _here(self) -> int:
        return self.received + sum(
            max(0, extent.end - max(extent.start, self.received)) for extent in self._extents
        )

    def gaps(self) -> list[tuple[int, int]]:
        """What is missing of an object of known size, as pairs of start and end."""
        found, at = [], self.received
        for extent in sorted(self._extents, key=lambda extent: extent.start):
            if extent.start > at:
                found.append((at, extent.start))
            at = max(at, extent.end)
        return [*found, (at, self.size)] if self.size is not None and at < self.size else found

    def check(self, subject: object) -> None:
        """Raise :class:`IntegrityError` unless this is what the announced checksum is of."""
        self._follow()
        if self._checksum is not None and not self._checksum.matches:
            raise IntegrityError(
                f"{subject}: the bytes that arrived do not fit the origin's checksum "
                f"({self._checksum.announced} was announced, {self._checksum.computed} came). "
                "Nothing was kept; try again."
            )

    def record_progress(self) -> None:
        """Write down how far this has come, if another download could go on from here."""
        here = self._here()
        if self.etag and self.size and "." not in self.file_name and here >= PART:
            self._room.record_progress(self)
            self.noted = here

    def noted_values(self) -> tuple[object, ...]:
        """What :meth:`resume` wants to know; nothing received after a :meth:`rewind`."""
        with self._lock:
            extents = " ".join(map(str, self._extents))
        checksum = self._checksum.announced if self._checksum is not None else ""
        size, digest = self.size or 0, self._hash.hexdigest()
        return self.etag, size, checksum, self.received, digest, extents

    def rewind(self) -> None:
        """Forget all that was received."""
        self._forget()
        if self.noted:  # before the bytes go that the note speaks of
            self._room.record_progress(self)
            self.noted = 0
        # Not always: what was once truncated, ext4 writes out when it is closed (80 µs).
        if os.fstat(self.fd).st_size:
            os.ftruncate(self.fd, 0)

    @property
    def is_in_memory(self) -> bool:
        """Whether there is no room yet for what has been received: see :meth:`pour`."""
        return self._pending is not None

    def pour(self) -> None:
        """Write a small body into the file, once there is room for it."""
        rest, at = memoryview(self._pending or b""), 0
        while rest[at:]:
            at += os.pwrite(self.fd, rest[at:], at)

    def finish(self) -> None:
        """Make the file just as long as what was received."""
        self._follow()
        if os.fstat(self.fd).st_size != self.received:  # preallocated for more than there came
            os.ftruncate(self.fd, self.received)

    def has_bytes_of(self, path: str) -> bool:
        """Whether what was received is the content of a file."""
        if self._pending is None:
            return blobs.same_bytes(path, self.path)
        with open(path, "rb") as file:
            return file.read(_SMALL) == self._pending

    def move(self, path: str) -> os.stat_result:
        """Rename the file into its place among the blobs, but once; its status there.

        It becomes read-only there and not before: others open partials for writing, to lock them.
        """
        lost = f"{self.path} was deleted by somebody else"
        try:
            if not self._target:
                self._target = path
                if self._begins_with(blobs.DATABASE):
                    remove_siblings(path)
                os.rename(self.path, path)
            os.fchmod(self.fd, blobs.MODE)
            status = os.lstat(path)
        except FileNotFoundError as error:
            raise PartialLostError(lost) from error
        if status.st_ino != self.inode:  # that was the next download of the object
            remove(path)
            raise PartialLostError(lost)
        return status

    def _begins_with(self, start: bytes) -> bool:
        if self._pending is not None:
            return self._pending.startswith(start)
        return os.pread(self.fd, len(start), 0) == start

    def keep(self) -> None:
        """Leave the file to the next download of the object, no larger than it need be."""
        os.ftruncate(self.fd, max([self.received, *(extent.end for extent in self._extents)]))
        self.record_progress()
        self._room.shrink_reservation(self.file_name, os.fstat(self.fd).st_blocks * 512)

    def remove(self, index: Index | None = None) -> None:
        """Remove the file, wherever it is, unless the `index` knows it as a blob."""
        if self.file.is_still(self.path):
            os.ftruncate(self.fd, 0)  # the blocks go now, not when the last descriptor is closed
            remove(self.path)
        if index is not None:
            index.run("DELETE FROM partials WHERE name = ?", self.file_name)
            if self._target and self.file.is_still(self._target):
                name = os.path.basename(self._target)
                if not index.rows("SELECT 1 FROM blobs WHERE name = ?", name):
                    remove(self._target)

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
        if total < _SMALL:
            return
        if not self._has_blocks or not hasattr(os, "posix_fallocate"):
            os.ftruncate(self.fd, total)  # so that who builds the index anew sees how much it is
            return
        try:
            os.posix_fallocate(self.fd, 0, total)
        except OSError as error:
            self._make_room(error, total)
            os.posix_fallocate(self.fd, 0, total)
        taken = os.fstat(self.fd).st_blocks * 512
        if taken > self._room.blocks(total):  # the file system is fragmented
            self._room.reserve(self.file_name, taken)

    def _make_room(self, error: OSError, needed: int) -> None:
        """Evict after a write met a full disk, so that it can be tried once more."""
        if error.errno not in FULL:
            raise error
        self._room.free_disk_space(needed)
