"""The session of this process: one locked file that says that it lives and which blobs it uses.

Each process that uses a root creates a file under ``sessions/``, keeps it locked (``flock``) and
maps it into memory. The lock says that the process lives: the kernel drops it when the process
ends, however that happens, and keeps it while the process is frozen. So there are no pids, no
heartbeats and no time-outs.

The file is a table of 64-bit words: a header, then the slots of leases. A slot holds the `lease id`
of a blob in use, or 0. So a lease costs one store into shared memory and no system call, and an
evictor in any process reads the tables before it deletes a blob (:mod:`.live_sessions`).

# Leases against eviction

Acquiring a lease races with an evictor in another process. Both write first and look second:

* The user of a blob writes the lease. Then it looks at the header of its own table and at the file.
  A blob that is gone, or is being evicted, is a miss.
* The evictor writes the lease ids of the blobs into the header of every table. Then it reads the
  leases, and spares the blobs that are leased.

The one that looks later sees what the other has written, so no path is returned for a file that is
about to be deleted. Neither touches the file or the links that users made of it.

# How a lease ends

docs/design/leases.md lists what ends a lease. The last of these is the end of the process, or its
``exec``: the kernel drops the lock of the session, so other processes ignore its leases, and one of
them removes its file.

Two events do not end a lease:

* A fork. Before it, the parent makes a session for the child, with the same leases in the same
  slots. From then on each process ends its own. A child that was forked without Python's hooks, or
  for which there was no room, makes its session in its first transaction; until then only the
  parent's session protects what both use.
* The deletion of the session file, by a cleaner of /tmp. Processes that have the file open still
  read its leases; another one does not see them, and may evict the blob. The owner looks for the
  file in every write transaction, and with a hit when it last looked 0.1 s ago, and creates it anew
  with the same leases (:meth:`Session.renew`).

# Locking

One thread at a time creates, grows, shrinks and renews a session, under the index's write lock.
Whoever removes the files of dead processes holds the same lock, so it never meets a file that its
owner has created and not locked yet. The caller has made room for the bytes of the session.
Acquiring and releasing leases needs no lock: each is a single step on a list.
"""

from __future__ import annotations

import mmap
import os
import time

from ...common.forking import here, recover_from_fork
from ...common.handler_exceptions import reraise_from_handler
from ..filesystem.descriptor import Descriptor
from ..filesystem.files import remove
from .file_lock import create_locked, refuse_file_system_without_locks
from .lease import Lease

#: Bytes of a new table: room for 447 leases. It grows by doubling.
PAGE = 4096
#: Bytes of a slot.
WORD = 8
#: How many blobs an evictor can announce at a time.
EVICTED_AT_ONCE = 64
#: Words of the header: how many lease ids follow, 0 if nothing is being evicted; then the ids.
HEADER = 1 + EVICTED_AT_ONCE
#: Seconds after which the file's mtime is renewed, because some cleaners go by age.
_RENEWED_AFTER = 60.0
#: Seconds between two attempts to shrink the table.
_SHRUNK_AFTER = 1.0


class Session:
    """The session of this process, and its leases."""

    def __init__(self, directory: str) -> None:
        self._directory, self.path = directory, ""
        #: Free slots, and those that become free when the session is renewed.
        self.free: list[int] = []
        self._free_once_renewed: list[int] = []
        #: The lease id last written to each slot. A forked child shares the table with its parent,
        #: which may release leases that the child still has; this list is the child's own.
        self._lease_ids: list[int] = []
        #: The words of the file, and their number.
        self.table, self.length = memoryview(b""), 0
        self._file: Descriptor | None = None
        self._create_file(PAGE)
        self.free.extend(range(HEADER, self.length))

    def _create_file(self, size: int) -> None:
        """Create a file of `size` bytes, lock it, and make it the file of this session."""
        path, file = create_locked(self._directory)
        try:
            refuse_file_system_without_locks(path)
            table = _map_file(file.fd, size)
        except BaseException:
            remove(path)
            raise
        self.path, self._file = path, file
        self._touched = self._shrunk = time.monotonic()
        self.table, self.length = table, len(table)
        self._lease_ids.extend([0] * (self.length - len(self._lease_ids)))

    @property
    def size(self) -> int:
        """Bytes of the file; :meth:`grow` doubles it."""
        return self.length * WORD

    def grow(self) -> None:
        """Double the table. Leases stay in their slots."""
        assert self._file is not None
        slots = self.length
        self.table = _map_file(self._file.fd, 2 * self.size)
        self.length = len(self.table)
        self._lease_ids.extend([0] * slots)
        self.free.extend(range(slots, self.length))

    def shrink(self) -> None:
        """Give back the upper half of a table that is mostly free, if no lease is in that half.

        Other threads take slots from the end of the list and put them back there. They never see
        the list half sorted, as no other thread runs during the sort. Afterwards they take the
        lowest slots first.
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

    def is_visible(self) -> bool:
        """Return whether other processes can find the session: nobody has deleted its file.

        Renew the file's mtime once a minute: on tmpfs, writing through the map does not.
        """
        if self._file is None or not self._file.is_still(self.path):
            return False
        now = time.monotonic()
        if now - self._touched > _RENEWED_AFTER:
            self._touched = now
            try:
                os.utime(self._file.fd)
            except OSError as error:  # the file system is mounted read-only by now
                reraise_from_handler(error)
        return True

    def renew(self) -> None:
        """Create the file anew, with the same leases in the same slots, after it was deleted."""
        old, before = self.table, self.table.tolist()
        length = self.length
        self._give_up_closed()
        self._create_file(self.size)
        self.table[HEADER:length] = old[HEADER:length]
        for slot in range(HEADER, length):  # what other threads wrote to the old table meanwhile
            if old[slot] != before[slot]:
                self.table[slot] = old[slot]
        self.free.extend(self._free_once_renewed)
        self._free_once_renewed = []

    def acquire(self, lease_id: int) -> Lease | None:
        """Lease a blob by its lease id; return None if the table is full (then :meth:`grow`)."""
        if not here[0]:
            recover_from_fork()
        try:
            slot = self.free.pop()
        except IndexError:
            return None
        lease = Lease()
        lease.session, lease.slot = self, slot
        self._lease_ids[slot] = lease_id
        self.table[slot] = lease_id
        return lease

    def is_evicted(self, lease_id: int) -> bool:
        """Return whether an evictor has announced the blob, and has not withdrawn that.

        An evictor that died meanwhile may have announced it.
        """
        return self.table[0] != 0 and lease_id in self.table[1:HEADER].tolist()

    def clear_announcement(self) -> None:
        """Under the index's write lock: remove what an evictor announced before it died.

        A living evictor holds that lock itself, or keeps everybody else from getting it
        (:mod:`..database.room_for_index`). So what is announced now was left by one that died.
        """
        self.table[0] = 0

    @property
    def is_full(self) -> bool:
        """Whether no slot is free."""
        return not self.free

    def holds_any(self) -> bool:
        """Return whether any slot is in use."""
        return len(self.free) + HEADER < self.length

    def create_child_session(self) -> Session:
        """Return a session with the same leases in the same slots, for a child about to fork."""
        child_session = Session(self._directory)
        while child_session.length < self.length:
            child_session.grow()
        child_session.table[HEADER:] = self.table[HEADER:]
        return child_session

    def continue_in(self, child_session: Session | None) -> None:
        """In a forked child: leave the parent's session, and take over `child_session`.

        The leases that the child inherited refer to this object, so they stay as they are. Between
        the making of `child_session` and the fork, other threads of the parent may have acquired
        and released leases. So the lease id of every slot that the child has in use is written once
        more. Without a `child_session` the leases are in private memory, and no slot is free, until
        the session is renewed.
        """
        in_use = {*range(HEADER, self.length)}.difference(self.free)
        self._give_up_closed()
        self._file = None
        if child_session is None:
            self.table = memoryview(bytearray(self.size)).cast("q")
            self.free, self._free_once_renewed = [], self.free
        else:
            self.path, self._file = child_session.path, child_session._file
            self.table, child_session._file = child_session.table, None
        for slot in in_use:
            self.table[slot] = self._lease_ids[slot]

    def leave(self) -> None:
        """In the parent: close the session that now belongs to the child. Its file stays."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """End the session and its leases, and remove its file."""
        if self._file is not None:
            self._give_up_closed()
            if self._file.is_still(self.path):
                remove(self.path)
            self._file.close()
            self._file = None

    def _give_up_closed(self) -> None:
        """Give up file and map if the program has closed all descriptors.

        The file has no lock any more, so it is removed. The map is kept for good: it has a
        descriptor of its own, which Python closes with it, whatever file has that number by then.
        """
        if self._file is not None and not self._file.is_open:
            remove(self.path)
            _kept_maps.append(self.table)

    def __del__(self) -> None:
        try:
            if getattr(self, "_file", None) is not None and here[0]:
                self.close()
        except (AttributeError, TypeError):  # the interpreter ends, and modules are empty already
            return


_kept_maps: list[memoryview] = []


def _map_file(fd: int, size: int) -> memoryview:
    """Map a file, after lengthening it to `size` bytes."""
    # Written, as a hole would be a SIGBUS later if the file system were full then.
    old = os.fstat(fd).st_size
    while old < size:
        old += os.pwrite(fd, bytes(size - old), old)
    return memoryview(mmap.mmap(fd, size)).cast("q")
