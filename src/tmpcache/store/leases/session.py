"""Who is alive, and which blobs are in use: one locked file for each process.

A session is a file under ``sessions/`` that its process keeps locked (``flock``) and mapped into
memory. The lock says that the process lives: the kernel drops it with the process, however that
ends, and keeps it while the process is frozen. No pid, no heartbeat, no time-out.

The content is a table of 64-bit words: a header, then the leases, 0 for a free slot, else the
`lease id` of a blob in use. A lease costs one store into shared memory, no system call; every other
process reads the tables before it evicts. Taking a lease races with eviction; both sides write
first and look second:

* the user writes the lease, then looks at the header of its own table and at the file: a blob that
  is gone, or being evicted, is a miss;
* the evictor writes the lease ids of the blobs into the header of every table, then reads the
  leases (:func:`announce`): what is leased is spared.

Whoever comes second sees the first, so no path is handed out for a file that is about to go. The
file itself, and links that users made of it, are not touched for that.

A session whose file was deleted by somebody who cleans /tmp protects nothing: its process looks
for it in every transaction, and makes it anew with the same leases (:meth:`Session.renew`).
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time

from ...common.forking import here, recover_from_fork
from ..filesystem.files import Descriptor, open_file, remove
from .file_lock import refuse_file_system_without_locks

#: A table begins with a page, 447 leases, and doubles.
PAGE = 4096
WORD = 8
#: Blobs that one call of :func:`announce` may name.
EVICTED_AT_ONCE = 64
#: The header: how many lease ids follow, 0 if nothing is being evicted; then the ids.
HEADER = 1 + EVICTED_AT_ONCE
#: Seconds after which the file's mtime is renewed, for cleaners that go by age.
_RENEWED_AFTER = 60.0
#: Seconds after which it is looked at whether the table can be smaller again.
_SHRUNK_AFTER = 1.0


def lease_id(name: str) -> int:
    """The lease id of a blob file: 60 bits of its digest, never 0.

    It depends on the name alone, so leases stay valid when the index is lost and built anew. Two
    blobs with the same id would only protect each other.
    """
    return int(name[:15], 16) or 1


def is_session(name: str) -> bool:
    """Whether a file of this name can be a session.

    >>> is_session("0123456789abcdef"), is_session("notes")
    (True, False)
    """
    return len(name) == 16 and not name.strip("0123456789abcdef")


class Lease:
    """Protects one blob from eviction until it is released, at the latest with this object.

    Neither taking nor releasing has a point at which an exception of a signal handler could lose
    it: CPython runs handlers after calls and jumps, and there are none in between.
    """

    __slots__ = ("session", "slot")

    session: Session
    slot: int

    def release(self) -> None:
        """End the lease. May be called again."""
        if not here[0]:
            recover_from_fork()
        try:
            slot = self.slot
            del self.slot  # of two threads, one gets past here
        except AttributeError:
            return
        session = self.session
        session.table[slot] = 0
        session.free.append(slot)

    def __del__(self) -> None:
        self.release()


class Session:
    """The life and the leases of this process.

    Made, grown and renewed by one thread at a time, under the index's write lock (so that nobody
    sweeps a file that is not locked yet) and after room was made for it. Taking and releasing
    leases needs no lock: each is a single step on a list.
    """

    def __init__(self, directory: str) -> None:
        self._directory, self.path = directory, ""
        #: Free slots; the words of the file, and how many there are.
        self.free: list[int] = []
        self._set_aside: list[int] = []
        #: What was last written to each slot, in memory that a forked child has for itself.
        self._leases: list[int] = []
        self.table, self.length = memoryview(b""), 0
        self._file: Descriptor | None = None
        self._begin(PAGE)
        self.free.extend(range(HEADER, self.length))

    def _begin(self, size: int) -> None:
        """Make a file of `size` bytes, lock it, and live in it."""
        path = os.path.join(self._directory, os.urandom(8).hex())
        file = open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        try:
            fcntl.flock(file.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            refuse_file_system_without_locks(path)
            table = _mapped(file.fd, size)
        except BaseException:
            remove(path)
            raise
        self.path, self._file = path, file
        self._touched = self._shrunk = time.monotonic()
        self.table, self.length = table, len(table)
        self._leases.extend([0] * (self.length - len(self._leases)))

    @property
    def size(self) -> int:
        """Length of the file in bytes: what :meth:`grow` needs more."""
        return self.length * WORD

    def grow(self) -> None:
        """Double the table. Leases in it stay where they are."""
        assert self._file is not None
        slots = self.length
        self.table = _mapped(self._file.fd, 2 * self.size)
        self.length = len(self.table)
        self._leases.extend([0] * slots)
        self.free.extend(range(slots, self.length))

    def shrink(self) -> None:
        """Give back the upper half of a table that is mostly free, if all of that is free.

        Other threads take slots from the end of the list and put them there. They see no list
        that is half sorted (nothing else runs meanwhile), and the lowest slots are their next ones.
        """
        now, slots, half = time.monotonic(), self.length, self.length // 2
        mostly_free = len(self.free) > slots * 3 // 4
        if slots <= PAGE // WORD or not mostly_free or now - self._shrunk < _SHRUNK_AFTER:
            return
        assert self._file is not None
        self._shrunk = now
        self.free.sort(reverse=True)
        if self.free[: slots - half] == [*range(slots - 1, half - 1, -1)]:
            del self.free[: slots - half]
            self.table = memoryview(mmap.mmap(self._file.fd, half * WORD)).cast("q")
            self.length = half
            os.ftruncate(self._file.fd, half * WORD)

    @property
    def is_in_place(self) -> bool:
        """Whether others can see it: its file has not been deleted."""
        if self._file is None or not self._file.is_still(self.path):
            return False
        now = time.monotonic()
        if now - self._touched > _RENEWED_AFTER:
            self._touched = now
            os.utime(self._file.fd)  # writing through the map does not on tmpfs
        return True

    def renew(self) -> None:
        """Make the file anew, with the same leases in the same slots, after somebody deleted it."""
        old, before = self.table, self.table.tolist()
        length = self.length
        self._begin(self.size)
        self.table[HEADER:length] = old[HEADER:length]
        for slot in range(HEADER, length):  # what other threads did to the old one meanwhile
            if old[slot] != before[slot]:
                self.table[slot] = old[slot]
        self.free.extend(self._set_aside)
        self._set_aside = []

    def acquire(self, lease: int) -> Lease | None:
        """Protect a blob; None when the table is full (then :meth:`grow`)."""
        if not here[0]:
            recover_from_fork()
        try:
            slot = self.free.pop()
        except IndexError:
            return None
        held = Lease()
        held.session, held.slot = self, slot
        self._leases[slot] = lease
        self.table[slot] = lease
        return held

    def is_evicted(self, lease: int) -> bool:
        """Whether a blob is just being evicted by anybody, or was when somebody died of that."""
        return self.table[0] != 0 and lease in self.table[1:HEADER].tolist()

    def forget_evicted(self) -> None:
        """Under the index's write lock nobody evicts: what is announced still was by the dead."""
        self.table[0] = 0

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return not self.free

    def holds_any(self) -> bool:
        """Whether any slot is taken."""
        return len(self.free) + HEADER < self.length

    def child_session(self) -> Session:
        """A second session with the same leases in the same slots: for a child about to fork."""
        child_session = Session(self._directory)
        while child_session.length < self.length:
            child_session.grow()
        child_session.table[HEADER:] = self.table[HEADER:]
        return child_session

    def continue_in(self, child_session: Session | None) -> None:
        """In a forked child: leave the parent's session and live on in `twin`.

        The leases that the child inherited point at this object, so they move along untouched.
        Other threads of the parent may have taken some since the twin was made, or released some
        that the child still has. Without a twin there are no free slots until the session has been
        renewed.
        """
        taken = {*range(HEADER, self.length)}.difference(self.free)
        self._file = None
        if child_session is None:
            self.table = memoryview(bytearray(self.size)).cast("q")
            self.free, self._set_aside = [], self.free
        else:
            self.path, self._file, self.table = (
                child_session.path,
                child_session._file,
                child_session.table,
            )
            child_session._file = None
        for slot in taken:
            self.table[slot] = self._leases[slot]

    def leave(self) -> None:
        """In the parent: the session belongs to the child now."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """End the session: its leases end, its file goes."""
        if self._file is not None:
            if self._file.is_still(self.path):
                remove(self.path)
            self._file.close()
            self._file = None

    def __del__(self) -> None:
        try:
            if getattr(self, "_file", None) is not None and here[0]:
                self.close()
        except (AttributeError, TypeError):  # the interpreter ends, and modules are empty already
            return


def _mapped(fd: int, size: int) -> memoryview:
    # Written, not truncated to size: a hole in a full file system would be a SIGBUS later.
    old = os.fstat(fd).st_size
    while old < size:
        old += os.pwrite(fd, bytes(size - old), old)
    return memoryview(mmap.mmap(fd, size)).cast("q")
