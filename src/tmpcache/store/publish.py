"""From a finished partial to a blob: one rename, one transaction, and the bytes decide."""

from __future__ import annotations

import os

from ..objects import Copy
from . import blobs
from .sessions import lease_id
from .staging import merge, stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..objects import ObjectName
    from .access import Access
    from .index import Index
    from .partials import Partial
    from .sessions import Session

    #: A copy and its lease.
    Answer = tuple[Copy, Session, int]


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

    def as_copy(self, access: Access) -> tuple[Copy, str]:
        """The copy that comes of it, but for its name, and the hash of its content."""
        partial, digest = self.partial, self.partial.digest()
        if not partial.is_in_memory:
            partial.finish()
        copy = Copy()
        copy.bucket, copy.key = self.name.bucket, self.name.key
        copy.etag, copy.version_id = self.etag, self.version_id
        copy.size, copy.boot, copy.validated_at = partial.received, access.boot, self.at
        copy.scope = self.scope
        copy.written_at = self.at if self.scope is not None else None
        copy.lease_id = lease_id(digest)
        return copy, digest

    def row(self, copy: Copy, status: os.stat_result, now: float) -> tuple[object, ...]:
        """What the index is to know, and the copy what file it is: see :mod:`.staging`."""
        copy.inode, copy.mtime_ns = status.st_ino, status.st_mtime_ns
        what = *self.name.parts(), copy.etag, copy.version_id, copy.validated_at, copy.scope
        file = copy.name, copy.size, status.st_blocks * 512, copy.inode, copy.mtime_ns
        return *what, *file, now, copy.boot


def publish(access: Access, arrival: Arrival) -> Answer:
    """Make a finished partial the copy of an object, confirmed to who asked for it.

    The copy comes leased, so it cannot be evicted before its path is handed out. The blob that
    has the same name already is shared if it has the same bytes.
    """
    partial = arrival.partial
    copy, digest = arrival.as_copy(access)
    session, slot = access.take(copy.lease_id)
    try:
        suffix = blobs.suffix(copy.key)
        choice: tuple[str, int, bool] = (digest + suffix, 0, False)  # in most cases nobody's
        while True:
            copy.name = choice[0]
            copy.path = f"{access.root.blobs}/{copy.name}"
            if access.write(_Commit(access, arrival, copy, *choice[1:]), tidy=False):
                break
            choice = _choose(access, partial, digest, suffix)
    except BaseException:
        session.give_back(slot)
        raise
    partial.published = True
    return copy, session, slot


def _choose(access: Access, partial: Partial, digest: str, suffix: str) -> tuple[str, int, bool]:
    """A name for the content, the inode found under it (or 0), and whether to share that."""
    number = 0
    while True:
        name = f"{digest}{f'-{number}' if number else ''}{suffix}"
        path = os.path.join(access.root.blobs, name)
        try:
            found = blobs.fingerprint(path)
            rows = _fingerprints(access, name)
            if not rows or found != rows[0]:
                return name, found[0], False  # nobody's, or damaged: to be replaced
            if partial.has_bytes_of(path):
                return name, found[0], True
            if blobs.digest_of(path) != digest:
                return name, found[0], False
        except FileNotFoundError:
            return name, 0, False
        number += 1  # other bytes with the same hash: made by somebody who wants to be served


def _fingerprints(access: Access, name: str) -> list[tuple[int, ...]]:
    sql = "SELECT inode, size, mtime_ns FROM blobs WHERE name = ?"
    return access.write(lambda index: index.rows(sql, name))


class _Commit:
    """The transaction that makes a partial, or the blob with the same bytes, an object's copy."""

    def __init__(
        self,
        access: Access,
        arrival: Arrival,
        copy: Copy,
        seen: int,
        share: bool,
    ) -> None:
        self.access, self.arrival, self.copy = access, arrival, copy
        self.seen, self.share = seen, share

    def __call__(self, index: Index) -> bool:
        """False if it is to be tried again: the file under the name is not the one that was seen,
        or more is to be evicted than goes into one transaction.
        """
        copy, partial, access = self.copy, self.arrival.partial, self.access
        found = blobs.inode(copy.path)
        if found not in (self.seen, partial.inode):
            return False
        quota, is_to_come = access.quota, partial.is_in_memory and found != partial.inode
        needed = quota.blocks(partial.received) if is_to_come and not self.share else 0
        is_plain = not found and quota.is_ample(index, needed)
        if not is_plain:
            access.tidy(index)
        if self.share:
            partial.remove()
            blobs.set_mode(copy.path, blobs.PUBLISHED)  # a killed evictor may have condemned it
            status = os.lstat(copy.path)
        else:
            if is_to_come:
                if not is_plain and not quota.make_room(index, needed, self.arrival.name):
                    return False
                partial.pour()
            status = partial.move(copy.path)
        row = self.arrival.row(copy, status, access.clock())
        if not (is_plain and stage(index, row)):
            merge(index, [row])
        if partial.has_reserved:
            index.run("DELETE FROM partials WHERE name = ?", partial.file_name)
        return True
