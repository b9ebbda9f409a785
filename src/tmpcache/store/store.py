"""The store: looks up, leases, confirms and discards copies of objects, as a fetch needs it."""

from __future__ import annotations

import math
import os
import stat
import time

from ..common.handler_exceptions import reraise_from_handler
from ..common.objects import Copy
from .content import blobs, eviction
from .database.database import Database
from .index import DamagedIndexError
from .leases.lease import lease_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..common.objects import ObjectName
    from .downloads.downloads import Downloads
    from .index import Index
    from .leases.lease import Lease
    from .scratch_directories import Directory

#: After this many seconds uses of blobs are recorded even if no other transaction is due: other
#: processes choose what to evict by the recorded uses.
_FLUSH_AFTER = 30.0
#: After this many seconds a hit checks that other processes can still see this one's leases.
_CHECK_SESSION_AFTER = 0.1

#: A validation is not recorded if one was recorded less than these seconds before: to other
#: processes the copy looks that much older than it is, which costs a request at worst, and a
#: revalidated hit is 40 µs cheaper.
_RECENT = 1.0

#: Type and mode of a blob's file.
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
        """`time_left` returns the seconds that the call under way may still wait for others."""
        self.database = Database(root, quota, min_free, clock, statvfs, time_left)
        self._session_checked_at = clock()
        self._downloads: Downloads | None = None
        #: The name that was last looked up in vain, and the number of the last change then.
        self._missing: tuple[ObjectName | None, int] = None, -1
        #: Lease a blob by its lease id.
        self.lease: Callable[[int], Lease] = self.database.lease

    @property
    def downloads(self) -> Downloads:
        """The downloads into this root. Imported late: no hit needs them."""
        if self._downloads is None:
            from .downloads.downloads import Downloads

            self._downloads = Downloads(self.database)
        return self._downloads

    def scratch_directory(self) -> Directory:
        """Make a new private directory that belongs to this process."""
        return self.database.scratches.new()

    def look_up(
        self, name: ObjectName, scope: str | None, *, after_writers: bool = False
    ) -> Copy | None:
        """Return the copy of an object that the index knows, its file not checked yet.

        With `after_writers`, wait for the write transactions that are under way. One of them may be
        publishing this object: it has renamed the partial file, so the download lock is free, but
        its row is not committed yet.
        """
        change = self.database.last_change()
        if after_writers and change >= 0 and self._missing == (name, change):
            return None
        read = self.database.read_after_writers if after_writers else self.database.read
        values = scope, *name.identity()  # no validation is that of None, which is SQL's NULL
        rows = read(lambda index: [*map(checked_row, index.rows(_LOOK_UP, *values, *values))])
        if not rows:
            self._missing = name, change
            return None
        return self.copy_of(scope, name.identity(), *rows[0])

    def copy_of(self, scope: str | None, identity: tuple[str, str, str, str], *row: Any) -> Copy:
        """Return the copy that a look-up's row, from blob name to `validated_at`, describes."""
        name, validated_at = row[0], row[-1]
        path = f"{self.database.root.blobs}/{name}"
        facts = *row[1:], scope, validated_at, lease_id(name)
        return Copy._make((identity, name, path, *facts))

    def lease_copy(self, copy: Copy) -> Lease | None:
        """Lease a copy; if its file is damaged, count that, discard it and return None."""
        lease = self.lease(copy.lease_id)
        try:
            if copy.boot == self.database.boot and is_safe(copy, lease):
                return lease
            from .damage import recheck

            reason = self.database.write(lambda index: recheck(index, copy, self.database.boot))
        except BaseException:  # a caller that keeps the error must not keep the lease
            lease.release()
            raise
        if not reason:
            return lease
        lease.release()
        self.discard(copy.name, reason, copy.identity)
        return None

    def touch(self, copy: Copy, now: float) -> None:
        """Remember that a copy was used. The next transaction records it."""
        database = self.database
        database.unrecorded_uses[copy.identity] = copy, now
        if not 0 <= now - self._session_checked_at < _CHECK_SESSION_AFTER:
            self._session_checked_at = now
            is_due = not 0 <= now - database.flushed_at < _FLUSH_AFTER
            if is_due or self.database.is_session_hidden():
                self.flush()

    def close(self) -> None:
        """Record the uses of blobs and what was counted, and close the index."""
        self.database.record()
        self.database.close()

    def flush(self) -> None:
        """See :meth:`.Database.flush`."""
        self.database.flush()

    def confirm(self, name: ObjectName, copy: Copy, at: float) -> Copy:
        """Record that the origin confirmed a copy to ``copy.scope``.

        Return it with `validated_at=at`, or with None if the index has no such copy any more.
        """
        scope = copy.scope
        if scope is None or (copy.written_at is not None and 0 <= at - copy.written_at < _RECENT):
            return copy.confirmed(at, copy.written_at)
        if not self.database.update(_CONFIRM_AGAIN, at, scope, *name.identity(), copy.etag):
            values = (scope, at, *name.identity(), copy.etag)
            if not self.database.write(lambda index: index.run(_CONFIRM, *values)):
                # The index was created anew, or knows a later version.
                return copy.confirmed(None, at)
        return copy.confirmed(at, at)

    def forget(self, name: ObjectName) -> None:
        """Delete the rows of an object that the origin has no more."""
        self.database.write(
            lambda index: index.run(f"DELETE FROM objects {_THE_OBJECT}", *name.identity())
        )

    def revoke(self, name: ObjectName, scope: str | None) -> None:
        """Delete the validations of `scope`, to which the origin refused the object."""
        self.database.write(
            lambda index: index.run(
                "DELETE FROM validations WHERE scope = ? AND object IN "
                f"(SELECT id FROM objects {_THE_OBJECT})",
                *(scope, *name.identity()),
            )
        )

    def discard(self, name: str, reason: str, identity: tuple[str, ...] = ()) -> bool:
        """Delete a damaged blob and count it; return False if it is not damaged any more.

        A file that is leased stays, but no object refers to it any more. `identity` is of the
        object that was asked for, for the event.
        """
        from .damage import difference, problem

        path = os.path.join(self.database.root.blobs, name)

        def operation(index: Index) -> str:
            rows = index.rows("SELECT id, inode, size, mtime_ns FROM blobs WHERE name = ?", name)
            if not rows or (reason != "corrupt" and problem(path, rows[0][1:]) is None):
                return ""
            found = difference(path, rows[0][1:])
            if eviction.unlink(self.database.root, [name]):
                try:
                    os.utime(path, (0, 0))  # processes that remember it see that it has changed
                except OSError as error:  # it belongs to another user by now
                    reraise_from_handler(error)
                index.run("UPDATE blobs SET inode = 0 WHERE id = ?", rows[0][0])
                index.run("DELETE FROM objects WHERE blob = ?", rows[0][0])
            else:
                index.run("DELETE FROM blobs WHERE id = ?", rows[0][0])
            return found

        if detail := self.database.write(operation):
            self.database.count(reason, detail, identity)
        return bool(detail)


def is_safe(copy: Copy, lease: Lease) -> bool:
    """Return whether the file of a copy that was just leased is intact and not being evicted.

    Eviction is checked before and after the file: between the lease and the second check lies a
    system call, so every other processor has seen the lease by then.
    """
    session, table = lease.session, lease.session.table
    if table[0] and session.is_evicted(copy.lease_id):
        return False
    return is_intact(copy) and not (table[0] and session.is_evicted(copy.lease_id))


def is_intact(copy: Copy) -> bool:
    """Return whether the file of a copy is the one that was published, and still read-only."""
    try:
        status = os.stat(copy.path)
    except OSError as error:
        reraise_from_handler(error)
        return False
    return (
        status.st_ino == copy.inode
        and status.st_mtime_ns == copy.mtime_ns
        and status.st_size == copy.size
        and status.st_mode == _READ_ONLY
    )


def checked_row(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a look-up's row if its values have the types that are recorded.

    Anybody may have written to the index; :class:`DamagedIndexError` if they have not.
    """
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
