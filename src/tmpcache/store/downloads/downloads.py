"""Downloads, from the lock to the blob or the end: begun, given room, noted, published, left.

One object at a time, and waiting for others who bring it; or many at a time, without waiting.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from ...common.interruption import reraise_interrupt
from ...errors import DeadlineExceededError, OriginUnavailableError, TmpCacheError
from ..content.quota import FULL, exceeded, totals
from ..filesystem.files import Descriptor
from . import download_lock
from .partial_file import Partial
from .publish import publish

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...common.deadline import Deadline
    from ...common.objects import ObjectName
    from ..database import Database
    from ..index.index import Index
    from .publish import Arrival, Published

#: What ends a download, but not what it has brought so far.
_WORTH_KEEPING = (OriginUnavailableError, DeadlineExceededError, KeyboardInterrupt, SystemExit)

#: What a download may go on with; after a reboot, nobody knows what a file holds.
_RESUMABLE = (
    "SELECT etag, size, checksum, received, digest, islands FROM partials "
    "WHERE name = ? AND inode = ? AND boot = ? AND etag <> ''"
)


class Downloads:
    """The downloads of one process into one root."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def partial(
        self,
        name: ObjectName,
        patience: float,
        close_response: Callable[[], None] | None = None,
        deadline: Deadline | None = None,
    ) -> Iterator[Partial]:
        """Be the one who downloads an object, or wait for the one who does (`Partial.waited`).

        What is not published at the end leaves nothing behind, unless it is a part of a large
        object that the next download can go on with. `patience`: seconds without progress after
        which another's download is not waited for any more. `close_response` is called before
        waiting.
        """
        try:
            partial = self._begin(name, patience, close_response, deadline)
            try:
                yield partial
            except BaseException as error:
                self.end(partial, error)
                raise
            self.end(partial)
        except OSError as error:
            self._explain(name, error)
            raise

    def _begin(
        self,
        name: ObjectName,
        patience: float,
        close_response: Callable[[], None] | None,
        deadline: Deadline | None,
    ) -> Partial:
        database, file = self._database, name.file_id()

        def hold() -> tuple[Descriptor, str, bool]:
            return download_lock.acquire(
                database.root.partial, file, patience, close_response, deadline
            )

        try:
            held, path, waited = hold()
        except FileNotFoundError:  # somebody deleted the directory
            database.root.prepare()
            held, path, waited = hold()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.free_disk_space(1)
            held, path, waited = hold()
        database.locked_partials.add(held)
        partial = Partial(held, path, waited, _Reservation(self, name))
        if held.status.st_size:
            asked = (partial.file_name, partial.inode, database.boot)
            for row in database.read(lambda index: index.rows(_RESUMABLE, *asked)):
                partial.resume(*row)
            if not partial.etag:
                partial.rewind()
        return partial

    def try_begin(self, name: ObjectName) -> Partial | None:
        """Be the one who downloads an object, if nobody is, and nobody has left a part of it."""
        database = self._database
        path = os.path.join(database.root.partial, name.file_id())
        try:
            held = download_lock.try_acquire(path)
        except OSError as error:  # to be explained to who asks for this object alone
            reraise_interrupt(error)
            return None
        if held is None or held.status.st_size:
            return None
        database.locked_partials.add(held)
        return Partial(held, path, False, _Reservation(self, name))

    def end(self, partial: Partial, error: BaseException | None = None) -> None:
        """Let go of what is published; else keep what can be gone on with, remove the rest."""
        try:
            if not partial.published:
                self._leave(partial, error)
        finally:
            if partial.lease is not None:
                partial.lease.release()
            partial.file.close()

    def _leave(self, partial: Partial, error: BaseException | None) -> None:
        try:
            if isinstance(error, _WORTH_KEEPING):
                partial.record_progress()
            elif error is not None:
                partial.noted = 0
            if partial.noted:
                partial.keep()
                return
            partial.remove()
            if partial.has_reserved:
                self._database.write(partial.remove)
        except TmpCacheError:  # the disk is full; whoever makes room finds a file without a lock
            self._database.count("reservation left")

    @contextmanager
    def explain_full_disk(self, subject: object) -> Iterator[None]:
        """Say of a disk that stays full what it is in the way of, and what to do."""
        try:
            yield
        except OSError as error:
            self._explain(subject, error)
            raise

    def _explain(self, subject: object, error: OSError) -> None:
        ours = isinstance(error, TmpCacheError) and str(subject) in str(error)
        if not ours and error.errno in FULL:
            advice = f"the file system says {os.strerror(error.errno)!r}: free space on it"
            raise exceeded(subject, advice, needed=0, **self._amounts()) from error

    def _amounts(self) -> dict[str, int]:
        """Quota, used and leased bytes, as errors tell them."""

        def operation(index: Index) -> dict[str, int]:
            quota = self._database.quota
            used = sum(totals(index)) + quota.overhead(index)[0]
            return {"quota": quota.quota, "used": used, "leased": quota.leased_bytes(index)}

        return self._database.write(operation)

    def publish(self, arrival: Arrival) -> Published:
        """Make a finished partial the copy of an object; leased."""
        return publish(self._database, arrival)

    def publish_many(self, arrivals: Sequence[Arrival]) -> Sequence[Published | None]:
        """The same in one transaction; None for what is to be published alone."""
        from .publish_many import publish_many

        return publish_many(self._database, arrivals)

    # ---- what partials ask for ----------------------------------------------------------------

    def reserve(self, file: str, total: int, subject: object) -> None:
        """Make room for a partial of `total` bytes, and write that down."""
        quota = self._database.quota
        size, done = quota.blocks(total), False

        def operation(index: Index) -> bool:
            rows = index.rows("SELECT reserved FROM partials WHERE name = ?", file)
            had = rows[0][0] if rows else 0
            if not self._database.quota.make_room(index, size - had, subject):
                return False
            index.run(
                "INSERT INTO partials (name, reserved) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET reserved = excluded.reserved",
                *(file, size),
            )
            return True

        while not done:
            done = self._database.write(operation)

    def blocks(self, size: int) -> int:
        """Bytes that are reserved for a partial of `size` bytes."""
        return self._database.quota.blocks(size)

    def shrink_reservation(self, file: str, allocated: int) -> None:
        """Reserve for a partial just what it occupies."""
        sql = "UPDATE partials SET reserved = ? WHERE name = ?"
        self._database.write(lambda index: index.run(sql, allocated, file))

    def record_progress(self, partial: Partial) -> None:
        """Write down how far a download has come."""
        values = partial.noted_values()
        self._database.write(
            lambda index: index.run(
                "UPDATE partials SET etag = ?, size = ?, checksum = ?, received = ?, digest = ?, "
                "islands = ?, inode = ?, boot = ? WHERE name = ?",
                *(*values, partial.inode, self._database.boot, partial.file_name),
            )
        )

    def free_disk_space(self, needed: int) -> None:
        """Evict after a write met a full disk."""
        self._database.write(lambda index: self._database.quota.free_disk_space(index, needed))


class _Reservation:
    """What one download asks of the store."""

    def __init__(self, downloads: Downloads, subject: object) -> None:
        self.record_progress, self.free_disk_space = (
            downloads.record_progress,
            downloads.free_disk_space,
        )
        self.shrink_reservation, self.blocks = downloads.shrink_reservation, downloads.blocks
        self._downloads, self._subject = downloads, subject

    def reserve(self, file: str, total: int, /) -> None:
        self._downloads.reserve(file, total, self._subject)
