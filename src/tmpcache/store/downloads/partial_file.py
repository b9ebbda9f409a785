"""The partial file: what a download of one object writes to until it is published.

See the docstring of :mod:`tmpcache.store.downloads` for how it is locked, reserved for, published,
and resumed after a kill.

Bytes that arrive in order are hashed from memory. Bytes that arrive before some that precede them
form an island (:mod:`.islands`). Once the missing bytes have arrived, the island is read again,
from the page cache, and hashed.
"""

from __future__ import annotations

import os
import sys
from threading import Lock

from ..content import blobs
from ..content.eviction import remove_siblings
from ..filesystem.descriptor import Descriptor
from ..filesystem.files import remove
from .content_hash import ContentHash
from .islands import Islands
from .reservation import SMALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..index import Index
    from ..leases.lease import Lease
    from .reservation import Reservation

#: Bytes that arrive between two records of progress: what a kill can cost. A record costs 50 µs.
PROGRESS_INTERVAL = 8 * 1024 * 1024
#: Bytes of islands that one write hashes at most. The last byte of a range may join what seven
#: other connections have brought to the start: 100 ms of work, during which nobody reads from the
#: connection that brought that byte (1 GiB over 8 capped ones took 0.1 s longer).
_MAX_CATCH_UP = 2 * 1024 * 1024
_CHUNK = 256 * 1024  # fits into a core's second cache


class PartialLostError(OSError):
    """Somebody who cleans /tmp deleted the file while it was written. Worth one more attempt."""


class Partial:
    """A partial file and what has been received of its object.

    Several threads may write different byte ranges at the same time.
    """

    def __init__(self, file: Descriptor, path: str, waited: bool, reservation: Reservation) -> None:
        self.file, self.fd, self.path = file, file.fd, path
        #: Whether another download of the object held the lock, and this one waited for it.
        self.waited = waited
        #: Whether the content has become a blob.
        self.published = False
        #: The lease of the blob it becomes, if it was renamed there but not published yet.
        self.lease: Lease | None = None
        self.inode = file.status.st_ino
        #: The byte count in the index's record of this file; 0 if there is none, so nobody could
        #: resume it. While a record is being read and not trusted yet, it is 1.
        self.recorded = 0
        #: Bytes received by this download, also before a :meth:`rewind`.
        self.transferred = 0
        self._reservation, self._target = reservation, ""
        #: The first guards `transferred`; the thread that hashes holds the second.
        self._count_lock, self._hash_lock = Lock(), Lock()
        self._forget()

    def _forget(self) -> None:
        #: Of the object; "" and None as long as they are not known.
        self.etag = ""
        self.size: int | None = None
        #: Bytes from the start that have been received without a gap, and hashed.
        self.received = 0
        self._hash = ContentHash()
        self._islands = Islands()
        #: A small body, until :meth:`pour` writes it into the file.
        self._pending: bytearray | None = None

    @property
    def file_name(self) -> str:
        """Its name in the index."""
        return os.path.basename(self.path)

    # ---- receiving ----------------------------------------------------------------------------

    def begin(self, etag: str, size: int | None, checksum: str = "") -> None:
        """Reserve for an object before its first byte is written, or keep a small one in memory."""
        self._describe(etag, size, checksum)
        if size is None or size >= SMALL:
            self.reserve(size or 0)
        else:
            self._pending = bytearray()

    def _describe(self, etag: str, size: int | None, checksum: str) -> None:
        self.etag, self.size = etag, size
        self._hash.announce(checksum)

    def reserve(self, total: int) -> None:
        """Reserve for a file of `total` bytes."""
        self._reservation.reserve(total)

    @property
    def has_reserved(self) -> bool:
        """Whether the index has a reservation for this file."""
        return self._reservation.size >= 0 or self.recorded > 0

    def write(self, data: memoryview, at: int) -> None:
        """Write `data` at byte `at`, and hash it."""
        with self._count_lock:
            self.transferred += len(data)
        if self._pending is not None:
            self._pending += data
            self._hash_next(data)
            return
        if at + len(data) > self._reservation.size:  # resumed, unannounced, or longer than that
            self.reserve(max(at + len(data), self.size or 0))
        self._write_to_disk(data, at)
        hashes = self._hash_lock.acquire(blocking=False)
        try:
            if hashes and at == self.received:
                self._hash_next(data)
            else:
                self._islands.add(data, at)
            if hashes:
                self._catch_up(_MAX_CATCH_UP)
                if self._byte_count() - self.recorded >= PROGRESS_INTERVAL:
                    self.record_progress()
        finally:
            if hashes:
                self._hash_lock.release()

    def _write_to_disk(self, data: memoryview, at: int) -> None:
        while data:
            try:
                written = os.pwrite(self.fd, data, at)
            except OSError as error:
                self._reservation.evict_if_full(error, len(data))
                written = os.pwrite(self.fd, data, at)
            at += written
            data = data[written:]

    def _hash_next(self, data: memoryview) -> None:
        """Hash the bytes that follow those hashed so far."""
        self._hash.update(data)
        self.received += len(data)

    def _catch_up(self, max_bytes: int = sys.maxsize) -> None:
        """Hash up to `max_bytes` of the islands that now join the start."""
        limit = self.received + max_bytes
        while (end := self._islands.contiguous_end(self.received, limit)) > self.received:
            for data in self._read(self.received, end):
                self._hash_next(data)
            if self.received < end:
                raise PartialLostError(f"{self.path} was cut by somebody else")

    def _read(self, start: int, end: int) -> Iterator[memoryview]:
        """Yield the bytes of the file from `start` to `end`; fewer if it is shorter."""
        buffer = memoryview(bytearray(min(_CHUNK, end - start)))
        while start < end:
            count = os.preadv(self.fd, [buffer[: end - start]], start)
            if not count:
                return
            yield buffer[:count]
            start += count

    def _byte_count(self) -> int:
        """Return how many bytes have been received, wherever in the object."""
        return self.received + self._islands.bytes_beyond(self.received)

    def gaps(self) -> list[tuple[int, int]]:
        """Return what is missing of an object of known size, as pairs of start and end."""
        return self._islands.gaps(self.received, self.size)

    def check(self, subject: object) -> None:
        """Raise :class:`IntegrityError` unless the content has the checksum announced for it."""
        self._catch_up()
        self._hash.check(subject)

    # ---- an interrupted download --------------------------------------------------------------

    def record_progress(self) -> None:
        """Record what has been received, if another download could resume it."""
        byte_count, is_private = self._byte_count(), "." in self.file_name
        if self.etag and self.size and not is_private and byte_count >= PROGRESS_INTERVAL:
            self._reservation.record_progress(*self._progress())
            self.recorded = byte_count

    def _progress(self) -> tuple[str, int, str, int, str, str]:
        """Return what :meth:`resume` will take; after a :meth:`rewind`, those of an empty file."""
        described = self.etag, self.size or 0, self._hash.announced
        return *described, self.received, self._hash.digest(), str(self._islands)

    def resume(
        self, etag: str, size: int, checksum: str, received: int, digest: str, islands: str
    ) -> None:
        """Take over what an earlier download recorded, or rewind if the file has changed since.

        All of it is hashed again, as the state of xxh3 cannot be saved.
        """
        self._describe(etag, size, checksum)
        self.recorded = 1  # there is a record: a rewind has to clear it
        for data in self._read(0, received):
            self._hash_next(data)
        found = Islands.parse(islands)
        if self._hash.digest() != digest or not all(
            island.matches(self._read(island.start, island.end)) for island in found
        ):
            return self.rewind()
        self._islands = found
        self._catch_up()
        self.recorded = self._byte_count()
        return None

    def rewind(self) -> None:
        """Forget all that was received."""
        self._forget()
        if self.recorded:  # first the record, then the bytes that it is about
            self._reservation.record_progress(*self._progress())
            self.recorded = 0
        # Only if need be: ext4 writes a file that was once truncated to disk at its close (80 µs).
        if os.fstat(self.fd).st_size:
            os.ftruncate(self.fd, 0)

    def keep(self) -> None:
        """Leave the file to the next download of the object, no larger than what it holds."""
        os.ftruncate(self.fd, max(self.received, self._islands.end))
        self.record_progress()
        self._reservation.shrink()

    # ---- the end ------------------------------------------------------------------------------

    def digest(self) -> str:
        """Return the hash of what has been received so far."""
        self._catch_up()
        return self._hash.digest()

    @property
    def is_in_memory(self) -> bool:
        """Whether the content is still to be written to the file, by :meth:`pour`."""
        return self._pending is not None

    def pour(self) -> None:
        """Write a small body into the file, once its blocks are reserved."""
        rest, at = memoryview(self._pending or b""), 0
        while rest[at:]:
            at += os.pwrite(self.fd, rest[at:], at)

    def finish(self) -> None:
        """Truncate the file to what was received: more may have been allocated."""
        self._catch_up()
        if os.fstat(self.fd).st_size != self.received:
            os.ftruncate(self.fd, self.received)

    def has_bytes_of(self, path: str) -> bool:
        """Return whether what was received is the content of a file."""
        if self._pending is None:
            return blobs.same_bytes(path, self.path)
        return blobs.has_bytes(path, self._pending)

    def move(self, path: str) -> os.stat_result:
        """Rename the file into ``blobs/``, unless that was done before; return its status there.

        It becomes read-only after that: other processes open partial files for writing, to lock
        them.
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
        if status.st_ino != self.inode:  # the next download of the object was renamed
            remove(path)
            raise PartialLostError(lost)
        return status

    def _begins_with(self, start: bytes) -> bool:
        if self._pending is not None:
            return self._pending.startswith(start)
        return os.pread(self.fd, len(start), 0) == start

    def remove(self, index: Index | None = None) -> None:
        """Remove the file; with an `index`, also its row, and its blob if no row knows that."""
        if self.file.is_still(self.path):
            os.ftruncate(self.fd, 0)  # the blocks go now, not when the last descriptor is closed
            remove(self.path)
        if index is not None:
            index.run("DELETE FROM partials WHERE name = ?", self.file_name)
            if self._target and self.file.is_still(self._target):
                name = os.path.basename(self._target)
                if not index.rows("SELECT 1 FROM blobs WHERE name = ?", name):
                    remove(self._target)
