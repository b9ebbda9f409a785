"""The store: copies of objects on disk, as the hall sees them."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

from ..errors import DeadlineExceededError, OriginUnavailableError, TmpCacheError
from ..objects import Copy
from . import blobs, partials, turns
from .access import Access
from .sessions import Census, lease_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..deadline import Deadline
    from ..objects import ObjectName
    from .index import Index
    from .partials import Partial
    from .scratch import Directory
    from .sessions import Session

#: After this many seconds, uses of blobs are written down even if nothing else is: other
#: processes evict by what they can read.
_FLUSH_AFTER = 30.0

#: A validation this many seconds after one that was written down is not: to others the copy looks
#: that much older than it is, which costs a question at worst, and an asking hit is 40 µs cheaper.
_RECENT = 1.0

_LOOK_UP = """
    SELECT blobs.name, size, inode, mtime_ns, boot, etag, version_id, (SELECT validated_at
        FROM validations WHERE object = objects.id AND scope = ?)
    FROM objects JOIN blobs ON blobs.id = objects.blob
    WHERE bucket = ? AND key = ? AND version = ? AND origin = ?"""
#: What a download may go on with; after a reboot, nobody knows what a file holds.
_RESUMABLE = (
    "SELECT etag, size, checksum, received, digest, islands FROM partials "
    "WHERE name = ? AND inode = ? AND boot = ? AND etag <> ''"
)
_CONFIRM_AGAIN = (
    "UPDATE validations SET validated_at = ? WHERE scope = ? AND object = (SELECT id FROM objects "
    "WHERE bucket = ? AND key = ? AND version = ? AND origin = ? AND etag = ?)"
)
_THE_OBJECT = "WHERE bucket = ? AND key = ? AND version = ? AND origin = ?"


class Store:
    """Copies of objects under one root, shared with every process that uses the same root."""

    def __init__(
        self,
        root: str,
        quota: int | str | None = None,
        min_free: int | str = 0,
        clock: Callable[[], float] = time.time,
        statvfs: Callable[[str], os.statvfs_result] = os.statvfs,
    ) -> None:
        self.access = Access(root, quota, min_free, clock, statvfs)
        #: Lease a blob by its lease id: the session and the slot to give back to it.
        self.take: Callable[[int], tuple[Session, int]] = self.access.take

    def scratch_directory(self) -> Directory:
        """A new private directory that belongs to this process."""
        from .scratch import Directory

        return Directory(self.access)

    def look_up(self, name: ObjectName, scope: str | None) -> Copy | None:
        """The copy of an object that the index knows, its file not looked at yet."""
        rows = self.access.read(lambda index: index.rows(_LOOK_UP, scope or "", *name.parts()))
        if not rows:
            return None
        copy = Copy()
        copy.bucket, copy.key = name.bucket, name.key
        (copy.name, copy.size, copy.inode, copy.mtime_ns, copy.boot) = rows[0][:5]
        (copy.etag, copy.version_id, copy.validated_at) = rows[0][5:]
        copy.written_at = copy.validated_at
        copy.lease_id = lease_id(copy.name)
        copy.path = os.path.join(self.access.root.blobs, copy.name)
        return copy

    def claim(self, copy: Copy) -> tuple[Session, int] | None:
        """Lease a copy that is whole; one that is not is thrown away, counted, and None."""
        session, slot = self.take(copy.lease_id)
        try:
            if copy.boot == self.access.boot and is_intact(copy):
                return session, slot
            reason = self.access.write(lambda index: self._settle(index, copy))
        except BaseException:
            session.give_back(slot)
            raise
        if not reason:
            return session, slot
        session.give_back(slot)
        self.discard(copy.name, reason)
        return None

    def touch(self, copy: Copy, now: float) -> None:
        """Remember that a copy was used; written down later, with something else."""
        access = self.access
        access.used[copy.name] = now
        if not 0 <= now - access.flushed_at < _FLUSH_AFTER:
            self.flush()

    def close(self) -> None:
        """Write down what is still to be written, and let go of everything."""
        if self.access.used:
            self.flush()
        self.access.close()

    def flush(self) -> None:
        """Write down which blobs were used when. Not worth an error."""
        try:
            self.access.write(lambda index: None)
        except TmpCacheError:
            self.access.flushed_at = self.access.clock()

    def confirm(self, name: ObjectName, copy: Copy, scope: str | None, at: float) -> None:
        """The origin told `scope` that the copy is still right.

        ``copy.validated_at`` is None afterwards if there was nothing to write that down for.
        """
        from .publish import CONFIRM

        copy.validated_at = at
        if scope is None or (copy.written_at is not None and 0 <= at - copy.written_at < _RECENT):
            return
        copy.written_at = at
        values = (scope, at, *name.parts(), copy.etag)
        if self.access.update(_CONFIRM_AGAIN, at, scope, *name.parts(), copy.etag):
            return
        if not self.access.write(lambda index: index.run(CONFIRM, *values)):
            copy.validated_at = None  # the index is a new one, or knows a later version

    def forget(self, name: ObjectName) -> None:
        """The origin has no such object any more."""
        self.access.write(
            lambda index: index.run(f"DELETE FROM objects {_THE_OBJECT}", *name.parts())
        )

    def revoke(self, name: ObjectName, scope: str | None) -> None:
        """The origin refused the object to `scope`: what it was told before counts no more."""
        self.access.write(
            lambda index: index.run(
                "DELETE FROM validations WHERE scope = ? AND object IN "
                f"(SELECT id FROM objects {_THE_OBJECT})",
                *(scope or "", *name.parts()),
            )
        )

    @contextmanager
    def partial(
        self,
        name: ObjectName,
        patience: float,
        hang_up: Callable[[], None] | None = None,
        deadline: Deadline | None = None,
    ) -> Iterator[Partial]:
        """Be the one who downloads an object, or wait for the one who does (`Partial.waited`).

        What is not published at the end leaves nothing behind, unless it is a part of a large
        object that the next download can go on with. `patience`: seconds without progress after
        which another's download is not waited for any more. `hang_up` is called before waiting.
        """
        with self._explained(name):
            partial = self._begin(name, patience, hang_up, deadline)
            try:
                yield partial
            except (OriginUnavailableError, DeadlineExceededError, KeyboardInterrupt, SystemExit):
                partial.note()
                raise
            except BaseException:
                partial.noted = 0
                raise
            finally:
                try:
                    if not partial.published:
                        self._leave(partial)
                finally:
                    self.access.held.discard(partial.fd)
                    os.close(partial.fd)

    def _begin(
        self,
        name: ObjectName,
        patience: float,
        hang_up: Callable[[], None] | None,
        deadline: Deadline | None,
    ) -> Partial:
        access = self.access

        def hold() -> tuple[int, os.stat_result, str, bool]:
            file = name.file_id()
            return turns.hold(access.root.partial, file, patience, hang_up, deadline)

        try:
            fd, status, path, waited = hold()
        except FileNotFoundError:  # somebody deleted the directory
            access.root.prepare()
            fd, status, path, waited = hold()
        except OSError as error:
            if error.errno not in partials.FULL:
                raise
            self.relieve(1)
            fd, status, path, waited = hold()
        access.held.add(fd)
        partial = partials.Partial(fd, status, path, waited, _Room(self, name))
        try:
            if status.st_size:
                asked = (partial.file_name, partial.inode, access.boot)
                for row in access.read(lambda index: index.rows(_RESUMABLE, *asked)):
                    partial.resume(*row)
                if not partial.etag:
                    partial.rewind()
        except BaseException:
            access.held.discard(fd)
            os.close(fd)
            raise
        return partial

    def _leave(self, partial: Partial) -> None:
        """Keep what can be gone on with, remove the rest."""
        try:
            if partial.noted:
                partial.keep()
                return
            partial.remove()
            if partial.has_reserved:
                self.access.write(partial.remove)
        except TmpCacheError:  # the disk is full; whoever makes room finds a file without a lock
            self.access.count("reservation left")

    @contextmanager
    def _explained(self, subject: object) -> Iterator[None]:
        """Say of a disk that stays full what it is in the way of, and what to do."""
        try:
            yield
        except OSError as error:
            ours = isinstance(error, TmpCacheError) and str(subject) in str(error)
            if ours or error.errno not in partials.FULL:
                raise
            from .quota import exceeded

            advice = f"the file system says {os.strerror(error.errno)!r}: free space on it"
            raise exceeded(subject, advice, needed=0, **self.amounts()) from error

    def publish(
        self,
        partial: Partial,
        name: ObjectName,
        *,
        etag: str,
        version_id: str | None,
        scope: str | None,
        at: float,
    ) -> tuple[Copy, Session, int]:
        """Make a finished partial the copy of an object, confirmed to `scope` at `at`; leased."""
        from .publish import publish

        return publish(
            self.access, partial, name, etag=etag, version_id=version_id, scope=scope, at=at
        )

    def discard(self, name: str, reason: str) -> bool:
        """Throw away a damaged blob, count it; False if it was mended meanwhile.

        A file that somebody still holds stays, but no object refers to it any more.
        """
        path = os.path.join(self.access.root.blobs, name)

        def operation(index: Index) -> bool:
            rows = index.rows("SELECT id, inode, size, mtime_ns FROM blobs WHERE name = ?", name)
            if not rows or (reason != "corrupt" and problem(path, rows[0][1:]) is None):
                return False
            with Census(self.access.root.sessions) as census:
                if lease_id(name) in census.leased():
                    blobs.set_mode(path, blobs.CONDEMNED)  # for whoever remembers it as intact
                    index.run("UPDATE blobs SET inode = 0 WHERE id = ?", rows[0][0])
                    index.run("DELETE FROM objects WHERE blob = ?", rows[0][0])
                else:
                    blobs.remove(path)
                    index.run("DELETE FROM blobs WHERE id = ?", rows[0][0])
            return True

        if self.access.write(operation):
            self.access.count(reason)
            return True
        return False

    def amounts(self) -> dict[str, int]:
        """Quota, used and leased bytes, as errors tell them."""

        def operation(index: Index) -> dict[str, int]:
            from .quota import totals

            quota = self.access.quota
            used = sum(totals(index)) + quota.overhead(index)[0]
            return {"quota": quota.quota, "used": used, "leased": quota.leased_bytes(index)}

        return self.access.write(operation)

    def reserve(self, file: str, total: int, subject: object) -> None:
        """Make room for a partial of `total` bytes, and write that down."""
        size, done = self.access.quota.blocks(total), False

        def operation(index: Index) -> bool:
            rows = index.rows("SELECT reserved FROM partials WHERE name = ?", file)
            had = rows[0][0] if rows else 0
            if not self.access.quota.make_room(index, size - had, subject):
                return False
            index.run(
                "INSERT INTO partials (name, reserved) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET reserved = excluded.reserved",
                *(file, size),
            )
            return True

        while not done:
            done = self.access.write(operation)

    def settle(self, file: str, allocated: int) -> None:
        """Reserve for a partial just what it occupies."""
        sql = "UPDATE partials SET reserved = ? WHERE name = ?"
        self.access.write(lambda index: index.run(sql, allocated, file))

    def note(self, partial: Partial) -> None:
        """Write down how far a download has come."""
        values = partial.noted_values()
        self.access.write(
            lambda index: index.run(
                "UPDATE partials SET etag = ?, size = ?, checksum = ?, received = ?, digest = ?, "
                "islands = ?, inode = ?, boot = ? WHERE name = ?",
                *(*values, partial.inode, self.access.boot, partial.file_name),
            )
        )

    def relieve(self, needed: int) -> None:
        """Evict after a write met a full disk."""
        self.access.write(lambda index: self.access.quota.relieve(index, needed))

    def _settle(self, index: Index, copy: Copy) -> str | None:
        """With nobody evicting: why the copy cannot be used, or None, and then it is mended."""
        rows = index.rows("SELECT inode, size, mtime_ns FROM blobs WHERE name = ?", copy.name)
        if not rows:
            return "missing"
        copy.inode, copy.size, copy.mtime_ns = rows[0]
        if reason := problem(copy.path, rows[0]):
            return reason
        if copy.boot != self.access.boot:
            if blobs.digest_of(copy.path) != copy.digest:
                return "corrupt"
            index.run("UPDATE blobs SET boot = ? WHERE name = ?", self.access.boot, copy.name)
            copy.boot = self.access.boot
        blobs.set_mode(copy.path, blobs.PUBLISHED)  # an evictor was killed, or a user's chmod
        return None


class _Room:
    """What one download asks of the store."""

    def __init__(self, store: Store, subject: object) -> None:
        self.note, self.relieve, self.settle = store.note, store.relieve, store.settle
        self._store, self._subject = store, subject

    def reserve(self, file: str, total: int, /) -> None:
        self._store.reserve(file, total, self._subject)


def is_intact(copy: Copy) -> bool:
    """Whether the file is the one that was published, and nobody is about to evict it."""
    try:
        status = os.stat(copy.path)
    except OSError:
        return False
    return (
        status.st_ino == copy.inode
        and status.st_mtime_ns == copy.mtime_ns
        and status.st_size == copy.size
        and status.st_mode == blobs.PUBLISHED
    )


def problem(path: str, expected: tuple[int, int, int]) -> str | None:
    """What is wrong with a blob's file, in one word, without reading it."""
    try:
        found = blobs.fingerprint(path)
    except FileNotFoundError:
        return "missing"
    if found == expected:
        return None
    return "truncated" if found[1] < expected[1] else "changed"
