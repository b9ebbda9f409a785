"""Who is alive, and which blobs are in use: one locked file for each process.

A session is a file under ``sessions/`` that its process keeps locked (``flock``) and mapped into
memory. The lock says that the process lives: the kernel drops it with the process, however that
ends, and keeps it while the process is frozen. No pid, no heartbeat, no time-out.

The content is the table of leases: 64-bit slots, 0 for a free one, else the `lease id` of a blob
in use. The first slot says that the process is changing files and index: who dies so may leave the
two at odds (see :mod:`.repair`). A lease costs one store into shared memory, no system call; every
other process reads the tables before it evicts. Taking a lease races with eviction; both sides
follow the same protocol:

* the user writes the lease, *then* looks at the blob: gone or condemned means miss;
* the evictor condemns the blob (mode 0400), *then* reads the leases again: leased means spare.

Whoever comes second sees the first, so no path is handed out for a file that is about to go.
"""

from __future__ import annotations

import fcntl
import mmap
import os

from ..errors import UnsafeRootError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

#: A table begins with a page, 511 leases, and doubles. One mapping is one file descriptor.
PAGE = 4096
_SLOT = 8


def lease_id(name: str) -> int:
    """The lease id of a blob file: 60 bits of its digest, never 0.

    It depends on the name alone, so leases stay valid when the index is lost and built anew. Two
    blobs with the same id would only protect each other.
    """
    return int(name[:15], 16) or 1


class Session:
    """The life and the leases of this process.

    Made and grown by one thread at a time, under the index's write lock (so that nobody sweeps a
    file that is not locked yet) and after room was made for a page. Taking and giving back slots
    needs no lock: each is a single step on a list.
    """

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, os.urandom(8).hex())
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._refuse_a_file_system_without_locks()
            self._map(PAGE)
            self._free = list(range(1, PAGE // _SLOT))
        except BaseException:
            self.close()
            raise

    @property
    def size(self) -> int:
        """Length of the file in bytes: what :meth:`grow` needs more."""
        return len(self._table) * _SLOT

    def grow(self) -> None:
        """Double the table. Leases in it stay where they are."""
        slots = len(self._table)
        self._map(2 * self.size)
        self._free.extend(range(slots, 2 * slots))

    def _map(self, size: int) -> None:
        # Written, not truncated to size: a hole in a full file system would be a SIGBUS later.
        old = os.fstat(self._fd).st_size
        os.pwrite(self._fd, bytes(size - old), old)
        self._table = memoryview(mmap.mmap(self._fd, size)).cast("q")

    @property
    def changing(self) -> bool:
        """Whether files and index may be at odds right now."""
        return bool(self._table[0])

    @changing.setter
    def changing(self, value: bool) -> None:
        self._table[0] = value

    def take(self, lease: int) -> int:
        """Protect a blob and return the slot, or -1 when the table is full (then :meth:`grow`)."""
        try:
            slot = self._free.pop()
        except IndexError:
            return -1
        self._table[slot] = lease
        return slot

    def give_back(self, slot: int) -> None:
        """End the lease in `slot`. Safe at any point, also from ``__del__``."""
        if slot < len(self._table):
            self._table[slot] = 0
            self._free.append(slot)

    @property
    def is_full(self) -> bool:
        """Whether every slot is taken."""
        return not self._free

    def holds_any(self) -> bool:
        """Whether any slot is taken."""
        return len(self._free) + 1 < len(self._table)

    def twin(self) -> Session:
        """A second session with the same leases in the same slots: for a child about to fork."""
        twin = Session(os.path.dirname(self.path))
        while twin.size < self.size:
            twin.grow()
        twin._table[1:] = self._table[1:]
        twin._free = self._free.copy()
        return twin

    def become(self, twin: Session | None) -> None:
        """In a forked child: leave the parent's session and live on in `twin`, or not at all.

        The paths that the child inherited point at this object, so they move along untouched.
        """
        os.close(self._fd)
        if twin is None:
            self._fd, self._table, self._free = -1, memoryview(b""), []
        else:
            self.path, self._fd = twin.path, twin._fd
            self._table, self._free = twin._table, twin._free
            twin._fd = -1

    def leave(self) -> None:
        """In the parent: the session belongs to the child now."""
        os.close(self._fd)
        self._fd = -1

    def close(self) -> None:
        """End the session: its leases end, its file goes."""
        if self._fd >= 0:
            _remove(self.path)
            os.close(self._fd)
            self._fd = -1

    def __del__(self) -> None:
        if hasattr(self, "_fd"):
            self.close()

    def _refuse_a_file_system_without_locks(self) -> None:
        probe = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if _lock(probe):
                raise UnsafeRootError(
                    f"the file system of {self.path} does not keep locks (flock), so nothing on it "
                    "can be protected from eviction: choose a root on a local disk"
                )
        finally:
            os.close(probe)


class Census:
    """The sessions alive at one moment; their leases may be read again and again.

    Taken under the index's write lock.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._alive: list[int] = []
        #: Names of sessions whose processes are gone.
        self.dead: list[str] = []
        #: Whether one of them died in the middle of a change.
        self.died_changing = False
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            try:
                fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:  # it ended just now
                continue
            if _lock(fd):
                self.dead.append(name)
                self.died_changing |= any(os.pread(fd, _SLOT, 0))
                os.close(fd)
            else:
                self._alive.append(fd)

    def leased(self) -> set[int]:
        """The lease ids of all blobs in use right now."""
        leased: set[int] = set()
        for fd in self._alive:
            table = os.pread(fd, os.fstat(fd).st_size, _SLOT)
            leased.update(memoryview(table[: len(table) & -_SLOT]).cast("q"))
        leased.discard(0)
        return leased

    def bury(self) -> None:
        """Remove the files of the dead."""
        for name in self.dead:
            _remove(os.path.join(self._directory, name))
        self.dead = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self._alive:
            os.close(fd)


def session_bytes(directory: str) -> int:
    """Allocated bytes of all session files."""
    total = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
            except FileNotFoundError:
                continue
    return total


def _lock(fd: int) -> bool:
    """Try to lock; not filelock's call, whose import would cost a first hit 29 ms."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
