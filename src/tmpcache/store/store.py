"""The store: copies of objects on disk, as the hall sees them."""

from __future__ import annotations

import math
import os
import stat
import time

from ..common.interruption import reraise_interrupt
from ..common.objects import Copy
from ..errors import TmpCacheError
from .content import blobs, eviction
from .database import Database
from .index.index import DamagedIndexError
from .leases.sessions import lease_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..common.objects import ObjectName
    from .downloads.downloads import Downloads
    from .index.index import Index
    from .leases.sessions import Lease
    from .scratch_directories import Directory

#: After this many seconds, uses of blobs are written down even if nothing else is: other
#: processes evict by what they can read.
_FLUSH_AFTER = 30.0
#: After this many seconds, a hit looks whether others can still see what this process holds.
_LOOK_AFTER = 0.1

#: A validation this many seconds after one that was written down is not: to others the copy looks
#: that much older than it is, which costs a question at worst, and an asking hit is 40 µs cheaper.
_RECENT = 1.0

#: What a blob's file is, and may be done with it.
_READ_ONLY = stat.S_IFREG | blobs.MODE

_THE_OBJECT = "WHERE bucket = ? AND key = ? AND version = ? AND origin = ?"
_LOOK_UP = f"""
    SELECT name, size, inode, mtime_ns, boot, etag, version_id,
        CASE WHEN scope = ? THEN received_at END
    FROM staged {_THE_OBJECT}
    UNION ALL
    SELECT blobs.name, size, inode, mtime_ns, boot, etag, version_id,
        (SELECT validated_at FROM validations WHERE object = objects.id AND scope = ?)
    FROM objects JOIN blobs ON blobs.id = objects.blob {_THE_OBJECT}"""
_CONFIRM = (
    "INSERT OR REPLACE INTO validations SELECT id, ?, ? FROM objects "
    "WHERE bucket = ? AND key = ? AND version = ? AND origin = ? AND etag = ?"
)
_CONFIRM_AGAIN = (
    "UPDATE validations SET validated_at = ? WHERE scope = ? AND object = (SELECT id FROM objects "
    "WHERE bucket = ? AND key = ? AND version = ? AND origin = ? AND etag = ?)"
)


class Store:
    """Copies of objects under one root, shared with every process that uses the same root."""

    def __init__(
        self,
        root: str,
        quota: int | str | None = None,
        min_free: int | str = 0,
        clock: Callable[[], float] = time.time,
        statvfs: Callable[[str], os.statvfs_result] = os.statvfs,
        time_left: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """`time_left`: seconds that the caller has, for what it waits for other processes."""
        self.database = Database(root, quota, min_free, clock, statvfs, time_left)
        self._transactions = self.database.transactions
        self._session_checked_at = clock()
        self._downloads: Downloads | None = None
        #: What was last looked for in vain (the very name), and the change before that.
        self._missing: tuple[ObjectName | None, int] = None, -1
        #: Lease a blob by its lease id.
        self.lease: Callable[[int], Lease] = self.database.lease

    @property
    def downloads(self) -> Downloads:
        """What brings copies in. No hit needs it, so a new process's first one does not wait."""
        if self._downloads is None:
            from .downloads.downloads import Downloads

            self._downloads = Downloads(self.database)
        return self._downloads

    def scratch_directory(self) -> Directory:
        """A new private directory that belongs to this process."""
        return self.database.scratches.new()

    def look_up(
        self, name: ObjectName, scope: str | None, *, after_writers: bool = False
    ) -> Copy | None:
        """The copy of an object that the index knows, its file not looked at yet.

        With `settled`, that includes one whose file was renamed before this call: the path of its
        partial is free by then, which must not be taken for "nobody has brought it".
        """
        change = self.database.last_change()
        if after_writers and change >= 0 and self._missing == (name, change):
            return None
        read = self.database.read_after_writers if after_writers else self.database.read
        asked = scope or "", *name.identity()
        rows = read(lambda index: [*map(written, index.rows(_LOOK_UP, *asked, *asked))])
        if not rows:
            self._missing = name, change
            return None
        return self.copy_of(scope, name.identity(), *rows[0])

    def copy_of(self, scope: str | None, parts: tuple[str, str, str, str], *row: Any) -> Copy:
        """A row of a look-up for a scope, from the blob's name to `validated_at`, as a copy."""
        name, validated_at = row[0], row[-1]
        path = f"{self.database.root.blobs}/{name}"
        facts = *row[1:], scope, validated_at, lease_id(name)
        return Copy._make((parts, name, path, *facts))

    def lease_copy(self, copy: Copy) -> Lease | None:
        """Lease a copy that is whole; one that is not is thrown away, counted, and None."""
        lease = self.lease(copy.lease_id)
        try:
            if copy.boot == self.database.boot and is_safe(copy, lease):
                return lease
            reason = self.database.write(lambda index: self._recheck(index, copy))
        except BaseException:  # whoever keeps the error shall not keep the lease
            lease.release()
            raise
        if not reason:
            return lease
        lease.release()
        self.discard(copy.name, reason)
        return None

    def touch(self, copy: Copy, now: float) -> None:
        """Remember that a copy was used; written down later, with something else."""
        transactions = self._transactions
        transactions.unrecorded_uses[copy.identity] = copy, now
        if not 0 <= now - self._session_checked_at < _LOOK_AFTER:
            self._session_checked_at = now
            is_due = not 0 <= now - transactions.flushed_at < _FLUSH_AFTER
            if is_due or self.database.is_session_hidden():
                self.flush()

    def close(self) -> None:
        """Write down what is still to be written, and let go of everything."""
        if self._transactions.unrecorded_uses:
            self.flush()
        self.database.close()

    def flush(self) -> None:
        """Write down which blobs were used when. Not worth an error."""
        try:
            self.database.write(lambda index: None)
        except TmpCacheError:
            self._transactions.flushed_at = self.database.clock()

    def confirm(self, name: ObjectName, copy: Copy, at: float) -> Copy:
        """The origin told ``copy.scope`` that the copy is still right: the same, confirmed now.

        ``validated_at`` of it is None if there was nothing to write that down for.
        """
        scope = copy.scope
        if scope is None or (copy.written_at is not None and 0 <= at - copy.written_at < _RECENT):
            return copy.confirmed(at, copy.written_at)
        if not self.database.update(_CONFIRM_AGAIN, at, scope, *name.identity(), copy.etag):
            values = (scope, at, *name.identity(), copy.etag)
            if not self.database.write(lambda index: index.run(_CONFIRM, *values)):
                # The index is a new one, or knows a later version.
                return copy.confirmed(None, at)
        return copy.confirmed(at, at)

    def forget(self, name: ObjectName) -> None:
        """The origin has no such object any more."""
        self.database.write(
            lambda index: index.run(f"DELETE FROM objects {_THE_OBJECT}", *name.identity())
        )

    def revoke(self, name: ObjectName, scope: str | None) -> None:
        """The origin refused the object to `scope`: what it was told before counts no more."""
        self.database.write(
            lambda index: index.run(
                "DELETE FROM validations WHERE scope = ? AND object IN "
                f"(SELECT id FROM objects {_THE_OBJECT})",
                *(scope or "", *name.identity()),
            )
        )

    def discard(self, name: str, reason: str) -> bool:
        """Throw away a damaged blob, count it; False if it was mended meanwhile.

        A file that somebody still holds stays, but no object refers to it any more.
        """
        path = os.path.join(self.database.root.blobs, name)

        def operation(index: Index) -> bool:
            rows = index.rows("SELECT id, inode, size, mtime_ns FROM blobs WHERE name = ?", name)
            if not rows or (reason != "corrupt" and problem(path, rows[0][1:]) is None):
                return False
            if eviction.unlink(self.database.root, [name]):
                try:
                    os.utime(path, (0, 0))  # who remembers it as intact shall see that it is not
                except OSError as error:  # somebody else's file by now
                    reraise_interrupt(error)
                    pass
                index.run("UPDATE blobs SET inode = 0 WHERE id = ?", rows[0][0])
                index.run("DELETE FROM objects WHERE blob = ?", rows[0][0])
            else:
                index.run("DELETE FROM blobs WHERE id = ?", rows[0][0])
            return True

        if self.database.write(operation):
            self.database.count(reason)
            return True
        return False

    def _take_in_again(self, index: Index, copy: Copy) -> None:
        """The bytes are those of the copy: after a reboot, or in a file that was restored from an
        image or an archive, and so is another one.
        """
        status = os.lstat(copy.path)
        index.run(
            "UPDATE blobs SET boot = ?, inode = ?, mtime_ns = ?, allocated = ? WHERE name = ?",
            *(self.database.boot, status.st_ino, status.st_mtime_ns, status.st_blocks * 512),
            copy.name,
        )

    def _recheck(self, index: Index, copy: Copy) -> str | None:
        """With nobody evicting: why the copy cannot be used, or None, and then it is mended."""
        rows = index.rows("SELECT inode, size, mtime_ns FROM blobs WHERE name = ?", copy.name)
        if not rows:
            return "missing"
        if rows[0] != (copy.inode, copy.size, copy.mtime_ns):
            return "changed"
        reason = problem(copy.path, rows[0])
        moved = reason == "changed" and blobs.fingerprint(copy.path)[1] == copy.size
        if reason and not moved:
            return reason
        if moved or copy.boot != self.database.boot:
            if blobs.digest_of(copy.path) != copy.digest:
                return reason or "corrupt"
            self._take_in_again(index, copy)
        os.chmod(copy.path, blobs.MODE)  # whatever a user has made of it
        return None


def is_safe(copy: Copy, lease: Lease) -> bool:
    """Whether the file of a copy that has just been leased is what was published, and stays.

    Whether it is being evicted is looked at before and after: between the lease and the second
    look lies a system call, so every other processor has seen the lease by then.
    """
    session, table = lease.session, lease.session.table
    if table[0] and session.is_evicted(copy.lease_id):
        return False
    return is_intact(copy) and not (table[0] and session.is_evicted(copy.lease_id))


def is_intact(copy: Copy) -> bool:
    """Whether the file is the one that was published, and nobody is about to evict it."""
    try:
        status = os.stat(copy.path)
    except OSError as error:
        reraise_interrupt(error)
        return False
    return (
        status.st_ino == copy.inode
        and status.st_mtime_ns == copy.mtime_ns
        and status.st_size == copy.size
        and status.st_mode == _READ_ONLY
    )


def written(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row of a look-up, if it has what this program writes; the index may be somebody's work."""
    name, size, inode, mtime_ns, boot, etag, version_id, validated_at = row
    if (
        type(name) is type(boot) is type(etag) is str
        and type(size) is type(inode) is type(mtime_ns) is int
        and (validated_at is None or type(validated_at) is float)
        and (version_id is None or type(version_id) is str)
        and etag.isprintable()
        and blobs.is_name(name)
    ):
        return row
    raise DamagedIndexError(f"{row!r} was never written")


def problem(path: str, expected: tuple[int, int, int]) -> str | None:
    """What is wrong with a blob's file, in one word, without reading it."""
    try:
        found = blobs.fingerprint(path)
    except FileNotFoundError:
        return "missing"
    if found == expected:
        return None
    return "truncated" if found[1] < expected[1] else "changed"
