"""What one download reserves: bytes of the quota, and blocks of the file system.

The reservation is a row of ``partials``. It is made before the first byte is written, and lasts
until the partial file is published or removed.
"""

from __future__ import annotations

import os

from ..content.quota import FULL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..database.database import Database
    from ..filesystem.descriptor import Descriptor
    from ..index import Index

#: Bodies below this size wait in memory, so that reservation, bytes and rows are one transaction
#: (100 µs less for 10 KiB). For others blocks are taken from the file system ahead of the bytes
#: (1 GiB is written in 0.17 s then, else in 0.25), unless it has no device: tmpfs writes zeros for
#: that (0.3 s), and so does NFS.
SMALL = 256 * 1024


class Reservation:
    """The reservation of one partial file, and the progress recorded in its row."""

    def __init__(
        self, database: Database, file: Descriptor, file_name: str, subject: object
    ) -> None:
        """`subject` is what is downloaded, to be named in errors."""
        self._database, self._file = database, file
        self._file_name, self._subject = file_name, subject
        self._has_device = os.major(file.status.st_dev) > 0
        #: Length of the file that is reserved for, -1 for none. The row has its blocks.
        self.size = -1

    def reserve(self, total: int) -> None:
        """Reserve for a file of `total` bytes, and allocate its blocks if it is not small.

        Raises :class:`QuotaExceededError` if other files cannot be evicted for it.
        """
        if total <= self.size:
            return
        self.reserve_quota(total)
        self.size = total
        if total < SMALL:
            return
        fd = self._file.fd
        if not self._has_device or not hasattr(os, "posix_fallocate"):
            os.ftruncate(fd, total)  # `crash_recovery.rebuild` reads the reservation off this
            return
        try:
            os.posix_fallocate(fd, 0, total)
        except OSError as error:
            self.evict_if_full(error, total)
            os.posix_fallocate(fd, 0, total)
        allocated = os.fstat(fd).st_blocks * 512
        if allocated > self._database.quota.blocks(total):  # the file system is fragmented
            self.reserve_quota(allocated)

    def reserve_quota(self, total: int) -> None:
        """Evict until a file of `total` bytes fits under the quota, and record its reservation."""
        quota = self._database.quota
        size, done = quota.blocks(total), False

        def operation(index: Index) -> bool:
            rows = index.rows("SELECT reserved FROM partials WHERE name = ?", self._file_name)
            reserved = rows[0][0] if rows else 0
            if not quota.make_room(index, size - reserved, self._subject):
                return False
            index.run(
                "INSERT INTO partials (name, reserved) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET reserved = excluded.reserved",
                *(self._file_name, size),
            )
            return True

        while not done:
            done = self._database.write(operation)

    def shrink(self) -> None:
        """Reserve no more than the file occupies: it does not grow until a download resumes it."""
        allocated = os.fstat(self._file.fd).st_blocks * 512
        sql = "UPDATE partials SET reserved = ? WHERE name = ?"
        self._database.write(lambda index: index.run(sql, allocated, self._file_name))

    def record_progress(
        self, etag: str, size: int, checksum: str, received: int, digest: str, islands: str
    ) -> None:
        """Record what the file holds, for the download that resumes it."""
        values = etag, size, checksum, received, digest, islands
        file = self._file.status.st_ino, self._database.boot, self._file_name
        self._database.write(
            lambda index: index.run(
                "UPDATE partials SET etag = ?, size = ?, checksum = ?, received = ?, digest = ?, "
                "islands = ?, inode = ?, boot = ? WHERE name = ?",
                *(*values, *file),
            )
        )

    def evict_if_full(self, error: OSError, needed: int) -> None:
        """Evict after a write met a full disk, so that it can be repeated; raise other errors."""
        if error.errno not in FULL:
            raise error
        free_disk_space(self._database, needed)


def free_disk_space(database: Database, needed: int) -> None:
    """Evict at least `needed` bytes after a write met a full disk."""
    database.write(lambda index: database.quota.free_disk_space(index, needed))
