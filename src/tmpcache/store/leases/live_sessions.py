"""The sessions of all processes that use a root: what an evictor reads and announces."""

from __future__ import annotations

import os
from array import array

from ..filesystem.files import Descriptor, allocated, names, open_file, remove
from .file_lock import try_lock
from .session import EVICTED_AT_ONCE, HEADER, PAGE, WORD, is_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: Session files of other processes that this one keeps open.
_KEPT_OPEN = 32
#: A stretch of a table that is looked at as a whole first: most of a large one is free.
_FREE = bytes(PAGE)


class LiveSessions:
    """The session files under a root, looked at one after the other, under the index's write lock.

    Those of a few processes stay open: their leases can be read, and their locks looked at, when
    somebody has deleted the files. Not all: a thousand processes may share a root.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._known: dict[str, Descriptor] = {}
        #: Names of sessions whose processes are gone.
        self.dead: list[str] = []

    def _living(self) -> Iterator[Descriptor]:
        self.dead = []
        for name in {*names(self._directory, is_session), *self._known}:
            try:
                file = self._known.pop(name, None) or open_file(
                    os.path.join(self._directory, name), os.O_RDWR
                )
            except FileNotFoundError:  # it ended just now, or is no session
                continue
            if try_lock(file.fd):
                self.dead.append(name)
                file.close()
                continue
            yield file
            if len(self._known) < _KEPT_OPEN:
                self._known[name] = file
            else:
                file.close()

    def forget(self) -> None:
        """Close what is open."""
        self._known.clear()

    def leased(self) -> set[int]:
        """The lease ids of all blobs in use right now."""
        leased: set[int] = set()
        for file in self._living():
            leased.update(_leases(file.fd))
        leased.discard(0)
        return leased

    def are_any_alive(self) -> bool:
        """Whether any process uses this root just now."""
        return any(True for _ in self._living())

    def announce(self, evicted: list[int]) -> set[int]:
        """Tell all processes which blobs are about to go, then say which of these are in use.

        At most :data:`EVICTED_AT_ONCE` of them. :meth:`withdraw` ends it.
        """
        words = array("q", evicted)
        words.extend([0] * (EVICTED_AT_ONCE - len(evicted)))
        count = array("q", [len(evicted)])
        in_use: set[int] = set()
        for file in self._living():
            if os.fstat(file.fd).st_size < PAGE:
                continue
            os.pwrite(file.fd, words, WORD)
            os.pwrite(file.fd, count, 0)
            in_use.update(_leases(file.fd))
        return in_use.intersection(evicted)

    def withdraw(self) -> None:
        """What was announced is over."""
        for file in self._living():
            if os.fstat(file.fd).st_size >= PAGE:
                os.pwrite(file.fd, bytes(WORD), 0)

    def remove_dead(self) -> None:
        """Remove the files of the dead."""
        for name in self.dead:
            remove(os.path.join(self._directory, name))
        self.dead = []

    def allocated(self) -> int:
        """Allocated bytes of all session files."""
        found = names(self._directory, is_session)
        return sum(allocated(os.path.join(self._directory, name)) for name in found)


def _leases(fd: int) -> Iterator[int]:
    table = os.pread(fd, os.fstat(fd).st_size, HEADER * WORD)
    for start in range(0, len(table) & -WORD, PAGE):
        page = table[start : start + PAGE]
        if page != _FREE:
            yield from memoryview(page[: len(page) & -WORD]).cast("q")
