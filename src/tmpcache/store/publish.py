"""From a finished partial to a blob: one rename, one transaction, and the bytes decide."""

from __future__ import annotations

import os

from ..objects import Copy
from . import blobs
from .sessions import lease_id

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
    """A download that has ended well: of what, which version, and when it was asked for."""

    __slots__ = ("at", "etag", "name", "partial", "version_id")

    def __init__(
        self, partial: Partial, name: ObjectName, etag: str, version_id: str | None, at: float
    ) -> None:
        self.partial, self.name = partial, name
        self.etag, self.version_id, self.at = etag, version_id, at

    def as_copy(self, access: Access, scope: str | None) -> tuple[Copy, str]:
        """The copy that comes of it, but for its name, and the hash of its content."""
        partial, digest = self.partial, self.partial.digest()
        if not partial.is_in_memory:
            partial.finish()
        copy = Copy()
        copy.bucket, copy.key = self.name.bucket, self.name.key
        copy.etag, copy.version_id = self.etag, self.version_id
        copy.size, copy.boot, copy.validated_at = partial.received, access.boot, self.at
        copy.written_at = self.at if scope is not None else None
        copy.lease_id = lease_id(digest)
        return copy, digest


def publish(access: Access, arrival: Arrival, scope: str | None) -> Answer:
    """Make a finished partial the copy of an object, confirmed to `scope`.

    The copy comes leased, so it cannot be evicted before its path is handed out. The blob that
    has the same name already is shared if it has the same bytes.
    """
    partial = arrival.partial
    copy, digest = arrival.as_copy(access, scope)
    session, slot = access.take(copy.lease_id)
    try:
        suffix = blobs.suffix(copy.key)
        choice: tuple[str, int, bool] = (digest + suffix, 0, False)  # in most cases nobody's
        while True:
            copy.name = choice[0]
            copy.path = f"{access.root.blobs}/{copy.name}"
            commit = _Commit(access, partial, arrival.name, copy, scope, *choice[1:])
            if access.write(commit):
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
    return access.read(lambda index: index.rows(sql, name))


class _Commit:
    """The transaction that makes a partial, or the blob with the same bytes, an object's copy."""

    def __init__(
        self,
        access: Access,
        partial: Partial,
        name: ObjectName,
        copy: Copy,
        scope: str | None,
        seen: int,
        share: bool,
    ) -> None:
        self.access, self.partial, self.name, self.copy = access, partial, name, copy
        self.scope, self.seen, self.share = scope, seen, share

    def __call__(self, index: Index) -> bool:
        """False if it is to be tried again: the file under the name is not the one that was seen,
        or more is to be evicted than goes into one transaction.
        """
        copy, partial, path = self.copy, self.partial, self.copy.path
        found = blobs.inode(path)
        if found not in (self.seen, partial.inode):
            return False
        if self.share:
            partial.remove()
            blobs.set_mode(path, blobs.PUBLISHED)  # a killed evictor may have condemned it
            status = os.lstat(path)
        else:
            if found != partial.inode and partial.is_in_memory:
                quota = self.access.quota
                if not quota.make_room(index, quota.blocks(partial.received), self.name):
                    return False
                partial.pour()
            status = partial.move(path)
        copy.inode, copy.mtime_ns = status.st_ino, status.st_mtime_ns
        index.run(
            "INSERT INTO blobs (name, size, allocated, inode, mtime_ns, used_at, boot) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "size = excluded.size, allocated = excluded.allocated, inode = excluded.inode, "
            "mtime_ns = excluded.mtime_ns, used_at = excluded.used_at, boot = excluded.boot",
            *(copy.name, copy.size, status.st_blocks * 512, copy.inode, copy.mtime_ns),
            *(self.access.clock(), self.access.boot),
        )
        if not self._record(index):
            index.run(_SUPERSEDE, copy.name)
        if partial.has_reserved:
            index.run("DELETE FROM partials WHERE name = ?", partial.file_name)
        return True

    def _record(self, index: Index) -> bool:
        """Write down the answer, unless a later one is known: this process may have been frozen."""
        copy, at = self.copy, self.copy.validated_at
        values = (*self.name.parts(), copy.etag, copy.version_id, at, copy.name)
        if not index.run(f"{_RECORD} DO NOTHING", *values):
            if not self._is_latest(index):
                return False
            index.run(f"{_RECORD} {_REPLACE}", *values)
        if self.scope is not None:
            index.run(CONFIRM, self.scope, at, *self.name.parts(), copy.etag)
        return True

    def _is_latest(self, index: Index) -> bool:
        """Whether no later answer is known; what others were told about other bytes is void."""
        assert self.copy.validated_at is not None
        for id, etag, received_at in index.rows(
            "SELECT id, etag, received_at FROM objects "
            "WHERE bucket = ? AND key = ? AND version = ? AND origin = ?",
            *self.name.parts(),
        ):
            if self.copy.validated_at < received_at <= self.access.clock():
                return False
            if etag != self.copy.etag:
                index.run("DELETE FROM validations WHERE object = ?", id)
        return True


_RECORD = (
    "INSERT INTO objects (bucket, key, version, origin, etag, version_id, received_at, blob) "
    "SELECT ?, ?, ?, ?, ?, ?, ?, id FROM blobs WHERE name = ? "
    "ON CONFLICT (bucket, key, version, origin)"
)
_REPLACE = (
    "DO UPDATE SET etag = excluded.etag, version_id = excluded.version_id, "
    "received_at = excluded.received_at, blob = excluded.blob"
)
_SUPERSEDE = (
    "UPDATE blobs SET superseded = 1 WHERE name = ? "
    "AND NOT EXISTS (SELECT 1 FROM objects WHERE blob = blobs.id)"
)
#: Note that the origin confirmed an object with this ETag to a scope.
CONFIRM = (
    "INSERT OR REPLACE INTO validations SELECT id, ?, ? FROM objects "
    "WHERE bucket = ? AND key = ? AND version = ? AND origin = ? AND etag = ?"
)
