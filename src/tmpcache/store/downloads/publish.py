"""Publish a finished download: rename its file into ``blobs/`` and record it, in one transaction.

A blob that has the same name already is shared only if it has the same bytes: a hash can be forged.
"""

from __future__ import annotations

import os

from ...common.objects import Copy
from ..content import blobs
from ..filesystem.descriptor import inode
from ..leases.lease import lease_id
from ..staged_copies import merge, stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.objects import ObjectName
    from ..database.database import Database
    from ..index import Index
    from ..leases.lease import Lease
    from .partial_file import Partial

    #: A copy and its lease.
    Published = tuple[Copy, Lease]


class Arrival:
    """A finished download: its partial file, the object and version, and who asked for it when."""

    __slots__ = ("at", "etag", "name", "partial", "scope", "version_id")

    def __init__(
        self,
        partial: Partial,
        name: ObjectName,
        etag: str,
        version_id: str | None,
        at: float,
        scope: str | None,
    ) -> None:
        self.partial, self.name = partial, name
        self.etag, self.version_id, self.at, self.scope = etag, version_id, at, scope

    def finish(self) -> str:
        """End the partial file at the last byte received; return the hash of the content."""
        digest = self.partial.digest()
        if not self.partial.is_in_memory:
            self.partial.finish()
        return digest

    def as_copy(self, database: Database, name: str, status: os.stat_result) -> Copy:
        """Return the copy that a blob of this name and status is."""
        return Copy(
            identity=self.name.identity(),
            name=name,
            path=f"{database.root.blobs}/{name}",
            size=self.partial.received,
            inode=status.st_ino,
            mtime_ns=status.st_mtime_ns,
            boot=database.boot,
            etag=self.etag,
            version_id=self.version_id,
            validated_at=self.at,
            scope=self.scope,
            written_at=self.at if self.scope is not None else None,
            lease_id=lease_id(name),
        )


def row_of(copy: Copy, status: os.stat_result, now: float) -> tuple[object, ...]:
    """Return the row of a new copy, in the columns of ``staged``."""
    origin = *copy.identity, copy.etag, copy.version_id, copy.validated_at, copy.scope
    file = copy.name, copy.size, status.st_blocks * 512, copy.inode, copy.mtime_ns
    return *origin, *file, now, copy.boot


def publish(database: Database, arrival: Arrival) -> Published:
    """Publish a finished download as the object's copy, validated for the scope that asked.

    The copy comes leased, so it cannot be evicted before its path is handed out.
    """
    digest, suffix = arrival.finish(), blobs.suffix(arrival.name.key)
    lease = database.lease(lease_id(digest))
    choice: tuple[str, int, bool] = (digest + suffix, 0, False)  # mostly no file has that name
    try:
        while True:
            copy = database.write_unmerged(_Publication(database, arrival, *choice))
            if copy is not None:
                arrival.partial.published = True
                return copy, lease
            choice = _choose_name(database, arrival.partial, digest, suffix)
    except BaseException:  # a caller that keeps the error must not keep the lease
        lease.release()
        raise


def _choose_name(
    database: Database, partial: Partial, digest: str, suffix: str
) -> tuple[str, int, bool]:
    """Return a name, the inode found there (or 0), and whether to share the blob of that name."""
    number = 0
    while True:
        name = f"{digest}{f'-{number}' if number else ''}{suffix}"
        path = os.path.join(database.root.blobs, name)
        try:
            found = blobs.fingerprint(path)
            if os.path.isdir(path):
                number += 1
                continue
            rows = _fingerprints(database, name)
            if not rows or found != rows[0]:
                return name, found[0], False  # no row knows it, or it is damaged: replace it
            if partial.has_bytes_of(path):
                return name, found[0], True
            if blobs.digest_of(path) != digest:
                return name, found[0], False
        except FileNotFoundError:
            return name, 0, False
        number += 1  # other bytes with the same hash: somebody has forged one of the two


def _fingerprints(database: Database, name: str) -> list[tuple[int, ...]]:
    sql = "SELECT inode, size, mtime_ns FROM blobs WHERE name = ?"
    return database.write(lambda index: index.rows(sql, name))


class _Publication:
    """The operation that publishes a partial file, or shares the blob with the same bytes.

    It makes room for what is still in memory, places the file, and records the copy. `found` is the
    inode that the name had when it was chosen, 0 for none; `share`, whether to share that blob.
    """

    def __init__(
        self,
        database: Database,
        arrival: Arrival,
        name: str,
        found: int,
        share: bool,
    ) -> None:
        self.database, self.arrival = database, arrival
        self.name, self.found, self.share = name, found, share

    def __call__(self, index: Index) -> Copy | None:
        """Return the copy, or None if the caller has to choose again.

        That is: another file has the name by now, or there is no room yet after all the evictions
        that one transaction may make.
        """
        partial, database = self.arrival.partial, self.database
        path = f"{database.root.blobs}/{self.name}"
        found = inode(path)
        if found not in (self.found, partial.inode):  # its own inode: this operation runs again
            return None
        must_be_written = partial.is_in_memory and not self.share and found != partial.inode
        needed = database.quota.blocks(partial.received) if must_be_written else 0
        may_stage = not found and database.quota.is_far_below_quota(index, needed)
        if not may_stage:
            database.merge_staged(index)
            if must_be_written and not database.quota.make_room(index, needed, self.arrival.name):
                return None
        status = self._place_file(path, must_be_written=must_be_written)
        return self._record(index, status, may_stage=may_stage)

    def _place_file(self, path: str, *, must_be_written: bool) -> os.stat_result:
        """Rename the partial file into ``blobs/``, or remove it to share the file at `path`."""
        partial = self.arrival.partial
        if self.share:
            partial.remove()
            return os.lstat(path)
        if must_be_written:
            partial.pour()
        return partial.move(path)

    def _record(self, index: Index, status: os.stat_result, *, may_stage: bool) -> Copy:
        """Record the copy, and delete the reservation of the download."""
        database, partial = self.database, self.arrival.partial
        copy = self.arrival.as_copy(database, self.name, status)
        row = row_of(copy, status, database.clock())
        if not (may_stage and stage(index, row)):
            merge(index, [row])
        if partial.has_reserved:
            index.run("DELETE FROM partials WHERE name = ?", partial.file_name)
        return copy
