"""From a finished partial to a blob: one rename, one transaction, and the bytes decide."""

from __future__ import annotations

import os

from ...common.objects import Copy
from ..content import blobs
from ..filesystem.files import inode
from ..index.staging import merge, stage
from ..leases.sessions import lease_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...common.objects import ObjectName
    from ..database import Database
    from ..index.index import Index
    from ..leases.sessions import Lease
    from .partial_file import Partial

    #: A copy and its lease.
    Published = tuple[Copy, Lease]


class Arrival:
    """A download that has ended well: of what, which version, when it was asked for and by whom."""

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
        """Nothing more comes; the hash of the content."""
        digest = self.partial.digest()
        if not self.partial.is_in_memory:
            self.partial.finish()
        return digest

    def as_copy(self, database: Database, name: str, status: os.stat_result) -> Copy:
        """The copy that has come of it: a blob of this name and status."""
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
    """What the index is to know of a new copy, in the columns of ``staged``."""
    what = *copy.identity, copy.etag, copy.version_id, copy.validated_at, copy.scope
    file = copy.name, copy.size, status.st_blocks * 512, copy.inode, copy.mtime_ns
    return *what, *file, now, copy.boot


def publish(database: Database, arrival: Arrival) -> Published:
    """Make a finished partial the copy of an object, confirmed to who asked for it.

    The copy comes leased, so it cannot be evicted before its path is handed out. The blob that
    has the same name already is shared if it has the same bytes.
    """
    digest, suffix = arrival.finish(), blobs.suffix(arrival.name.key)
    lease = database.lease(lease_id(digest))
    choice: tuple[str, int, bool] = (digest + suffix, 0, False)  # in most cases nobody's
    try:
        while True:
            copy = database.stage(_Commit(database, arrival, *choice))
            if copy is not None:
                arrival.partial.published = True
                return copy, lease
            choice = _choose(database, arrival.partial, digest, suffix)
    except BaseException:  # whoever keeps the error shall not keep the lease
        lease.release()
        raise


def _choose(
    database: Database, partial: Partial, digest: str, suffix: str
) -> tuple[str, int, bool]:
    """A name for the content, the inode found under it (or 0), and whether to share that."""
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
                return name, found[0], False  # nobody's, or damaged: to be replaced
            if partial.has_bytes_of(path):
                return name, found[0], True
            if blobs.digest_of(path) != digest:
                return name, found[0], False
        except FileNotFoundError:
            return name, 0, False
        number += 1  # other bytes with the same hash: made by somebody who wants to be served


def _fingerprints(database: Database, name: str) -> list[tuple[int, ...]]:
    sql = "SELECT inode, size, mtime_ns FROM blobs WHERE name = ?"
    return database.write(lambda index: index.rows(sql, name))


class _Commit:
    """The transaction that makes a partial, or the blob with the same bytes, an object's copy."""

    def __init__(
        self,
        database: Database,
        arrival: Arrival,
        name: str,
        seen: int,
        share: bool,
    ) -> None:
        self.database, self.arrival = database, arrival
        self.name, self.seen, self.share = name, seen, share

    def __call__(self, index: Index) -> Copy | None:
        """None if it is to be tried again: the file under the name is not the one that was seen,
        or more is to be evicted than goes into one transaction.
        """
        partial, database = self.arrival.partial, self.database
        path = f"{database.root.blobs}/{self.name}"
        found = inode(path)
        if found not in (self.seen, partial.inode):
            return None
        quota, is_to_come = database.quota, partial.is_in_memory and found != partial.inode
        needed = quota.blocks(partial.received) if is_to_come and not self.share else 0
        is_plain = not found and quota.is_far_below_quota(index, needed)
        if not is_plain:
            database.merge_staged(index)
        if self.share:
            partial.remove()
            status = os.lstat(path)
        else:
            if is_to_come:
                if not is_plain and not quota.make_room(index, needed, self.arrival.name):
                    return None
                partial.pour()
            status = partial.move(path)
        copy = self.arrival.as_copy(database, self.name, status)
        row = row_of(copy, status, database.clock())
        if not (is_plain and stage(index, row)):
            merge(index, [row])
        if partial.has_reserved:
            index.run("DELETE FROM partials WHERE name = ?", partial.file_name)
        return copy
