"""Downloads into one root: begun under the download lock, then published, kept or removed.

`Downloads.locked_partial` is for one object: it waits while another process downloads that.
`try_lock_partial`, `publish_many` and `end` serve many objects at a time, and never wait for
another download; the last two may wait for the index.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import contextmanager

from ...common import weak_set
from ...common.events import note
from ...common.handler_exceptions import reraise_from_handler
from ...errors import (
    DeadlineExceededError,
    OriginUnavailableError,
    TmpCacheError,
    is_out_of_files,
    too_many_files,
)
from ..content.checked_values import totals
from ..content.quota import FULL, exceeded
from ..filesystem.descriptor import Descriptor
from ..root import denied
from . import download_lock
from .partial_file import Partial
from .publish import publish
from .reservation import Reservation, free_disk_space

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ...common.deadline import Deadline
    from ...common.objects import ObjectName
    from ..database.database import Database
    from ..index import Index
    from .publish import Arrival, Published

#: Errors after which the next download resumes what this one has received.
_RESUMABLE_AFTER = (OriginUnavailableError, DeadlineExceededError, KeyboardInterrupt, SystemExit)

#: What is recorded of a partial file. After a reboot nobody knows what the file holds.
_RECORDED = (
    "SELECT etag, size, checksum, received, digest, islands FROM partials "
    "WHERE name = ? AND inode = ? AND boot = ? AND etag <> ''"
)


class Downloads:
    """The downloads of one process into one root."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def locked_partial(
        self,
        name: ObjectName,
        lock_timeout: float,
        close_response: Callable[[], None] | None = None,
        deadline: Deadline | None = None,
    ) -> Iterator[Partial]:
        """Hold the download lock of an object; wait while another process holds it.

        ``Partial.waited`` tells whether that was so: the object may have been published meanwhile.
        `close_response` is called before waiting. After `lock_timeout` seconds in which the other
        download made no progress, this one gets a private partial file. At the end, a partial file
        that was not published is removed, or kept if the next download can resume it.

        This is a generator because a signal handler may raise as ``__exit__`` is entered, before
        any of its code runs. Python closes a generator that nobody refers to any more, and so
        `end` runs all the same.
        """
        try:
            partial = self._lock_partial(name, lock_timeout, close_response, deadline)
            try:
                yield partial
            except BaseException as error:
                self.end(partial, error)
                raise
            self.end(partial)
        except OSError as error:
            self._explain(name, error)
            raise

    def _lock_partial(
        self,
        name: ObjectName,
        lock_timeout: float,
        close_response: Callable[[], None] | None,
        deadline: Deadline | None,
    ) -> Partial:
        """Lock the partial file of an object; resume it if the index has a record of its bytes."""
        database, file, began = self._database, name.file_id(), time.monotonic()

        def acquire() -> tuple[Descriptor, str, bool]:
            return download_lock.acquire(
                database.root.partial, file, lock_timeout, close_response, deadline
            )

        try:
            lock, path, waited = acquire()
        except FileNotFoundError:  # somebody deleted the directory
            database.root.restore()
            lock, path, waited = acquire()
        except OSError as error:
            if error.errno not in FULL:
                raise
            self.free_disk_space(1)
            lock, path, waited = acquire()
        partial = self._new_partial(lock, path, name, waited=waited)
        if waited:
            seconds = time.monotonic() - began
            note("Waited", name.identity(), seconds=seconds, other="process")
        if lock.status.st_size:
            identity = partial.file_name, partial.inode, database.boot
            for row in database.read(lambda index: index.rows(_RECORDED, *identity)):
                partial.resume(*row)
            if not partial.etag:
                partial.rewind()
        return partial

    def _new_partial(
        self, lock: Descriptor, path: str, name: ObjectName, *, waited: bool
    ) -> Partial:
        """Return the partial file for a descriptor that holds the download lock."""
        weak_set.add(self._database.locked_partials, lock)
        reservation = Reservation(self._database, lock, os.path.basename(path), name)
        return Partial(lock, path, waited, reservation)

    def try_lock_partial(self, name: ObjectName) -> Partial | None:
        """Return the partial file of an object, locked, or None if that takes more than a moment.

        None if another download holds the lock, has left something to resume, or the disk refuses
        the file: `locked_partial` deals with each of these.
        """
        path = os.path.join(self._database.root.partial, name.file_id())
        try:
            lock = download_lock.try_acquire(path)
        except OSError as error:
            reraise_from_handler(error)
            return None
        if lock is None:
            return None
        if lock.status.st_size:
            lock.close()
            return None
        return self._new_partial(lock, path, name, waited=False)

    def end(self, partial: Partial, error: BaseException | None = None) -> None:
        """End a download; keep or remove the partial file if it was not published."""
        try:
            if not partial.published:
                self._keep_or_remove(partial, error)
        finally:
            if partial.lease is not None:
                partial.lease.release()
            partial.file.close()

    def _keep_or_remove(self, partial: Partial, error: BaseException | None) -> None:
        """Keep the file if the next download can resume it, else remove it and its reservation."""
        try:
            if isinstance(error, _RESUMABLE_AFTER):
                partial.record_progress()
            elif error is not None:
                partial.recorded = 0
            if partial.recorded:
                partial.keep()
                return
            partial.remove()
            if partial.has_reserved:
                self._database.write(partial.remove)
        except TmpCacheError:  # the disk is full: who makes room reclaims the unlocked file
            self._database.count("reservation left")

    @contextmanager
    def explain_full_disk(self, subject: object) -> Iterator[None]:
        """Turn "disk full" and "too many open files" into errors that name the subject."""
        try:
            yield
        except OSError as error:
            self._explain(subject, error)
            raise

    def _explain(self, subject: object, error: OSError) -> None:
        """Raise the error that names the subject, for a full disk or too many open files.

        And the one that names the root, for a file system that is mounted read-only by now.
        """
        is_explained = isinstance(error, TmpCacheError) and str(subject) in str(error)
        if not is_explained and is_out_of_files(error):
            raise too_many_files(subject) from error
        if error.errno == errno.EROFS:
            raise denied(self._database.root.base, error) from error
        if not is_explained and error.errno in FULL:
            advice = f"the file system says {os.strerror(error.errno)!r}: free space on it"
            raise exceeded(subject, advice, needed=0, **self._amounts()) from error

    def _amounts(self) -> dict[str, int]:
        """Return the quota, the used and the leased bytes, for an error."""

        def operation(index: Index) -> dict[str, int]:
            quota = self._database.quota
            used = sum(totals(index)) + quota.overhead(index)[0]
            return {"quota": quota.quota, "used": used, "leased": quota.leased_bytes(index)}

        return self._database.write(operation)

    def publish(self, arrival: Arrival) -> Published:
        """Publish a finished download; return the copy and its lease."""
        return publish(self._database, arrival)

    def publish_many(self, arrivals: Sequence[Arrival]) -> Sequence[Published | None]:
        """Publish several in one transaction; None stands for one to be published alone."""
        from .publish_many import publish_many

        return publish_many(self._database, arrivals)

    def free_disk_space(self, needed: int) -> None:
        """Evict at least `needed` bytes after a write met a full disk."""
        free_disk_space(self._database, needed)
