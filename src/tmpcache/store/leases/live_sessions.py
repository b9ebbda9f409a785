"""The sessions of all live processes: an evictor reads their leases and announces what it evicts.

A session file whose lock can be had belongs to a dead process: its leases do not count. To evict
blobs, to remove such files and to create a session file, a process holds the index's write lock, or
knows that nobody can (:mod:`..database.room_for_index`). So there is one evictor at a time, and it
meets no session file that its process has created and not locked yet.

:mod:`.session` has the layout of the files, and says why announcing and reading protect the users
of a blob.
"""

from __future__ import annotations

import os
from array import array

from ..filesystem.descriptor import Descriptor
from ..filesystem.files import allocated, names, open_file, remove
from .file_lock import try_lock
from .session import EVICTED_AT_ONCE, HEADER, PAGE, WORD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many session files of other processes this one keeps open at most.
_MAX_OPEN = 32
#: A table is read by the page, as most pages of a large one have no lease.
_FREE_PAGE = bytes(PAGE)


def is_session(name: str) -> bool:
    """Return whether a file of this name can be a session.

    >>> is_session("0123456789abcdef"), is_session("notes")
    (True, False)
    """
    return len(name) == 16 and not name.strip("0123456789abcdef")


class LiveSessions:
    """The session files under a root.

    Those of a few processes stay open, so that their leases and locks can be read after somebody
    has deleted the files. Not all: a thousand processes may share a root.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._open_files: dict[str, Descriptor] = {}
        #: Names of the dead sessions that were found when the files were last gone through.
        self._dead: list[str] = []

    def _live_files(self) -> Iterator[Descriptor]:
        """Open the session files of live processes, one after the other."""
        self._dead = []
        for name in {*names(self._directory, is_session), *self._open_files}:
            file = self._open_files.pop(name, None)
            try:
                if file is None or not file.is_open:  # the program may have closed all descriptors
                    file = open_file(os.path.join(self._directory, name), os.O_RDWR)
            except FileNotFoundError:  # the session ended just now, or this is none
                continue
            if try_lock(file.fd):
                self._dead.append(name)
                file.close()
                continue
            yield file
            if len(self._open_files) < _MAX_OPEN:
                self._open_files[name] = file
            else:
                file.close()

    def close(self) -> None:
        """Close the session files that are kept open."""
        while self._open_files:
            self._open_files.popitem()[1].close()

    def leased(self) -> set[int]:
        """Return the lease ids of all blobs in use."""
        leased: set[int] = set()
        for file in self._live_files():
            leased.update(_read_leases(file.fd))
        leased.discard(0)
        return leased

    def are_any_alive(self) -> bool:
        """Return whether any process uses this root."""
        return bool([*self._live_files()])

    def announce(self, evicted: list[int]) -> set[int]:
        """Tell all live sessions which blobs are about to be deleted; return those in use.

        `evicted` are at most :data:`EVICTED_AT_ONCE` lease ids. :meth:`withdraw` must follow.
        """
        words = array("q", evicted)
        words.extend([0] * (EVICTED_AT_ONCE - len(evicted)))
        count = array("q", [len(evicted)])
        in_use: set[int] = set()
        for file in self._live_files():
            if os.fstat(file.fd).st_size < PAGE:
                continue
            os.pwrite(file.fd, words, WORD)
            os.pwrite(file.fd, count, 0)
            in_use.update(_read_leases(file.fd))
        return in_use.intersection(evicted)

    def withdraw(self) -> None:
        """End what :meth:`announce` began: no blob is about to be deleted any more."""
        for file in self._live_files():
            if os.fstat(file.fd).st_size >= PAGE:
                os.pwrite(file.fd, bytes(WORD), 0)

    def remove_dead(self) -> int:
        """Remove the files of sessions that the last look at all found dead; return how many."""
        dead, self._dead = self._dead, []
        for name in dead:
            remove(os.path.join(self._directory, name))
        return len(dead)

    def allocated(self) -> int:
        """Return the allocated bytes of all session files."""
        found = names(self._directory, is_session)
        return sum(allocated(os.path.join(self._directory, name)) for name in found)


def _read_leases(fd: int) -> Iterator[int]:
    """Yield the slots of a session file, of its pages that have any lease."""
    table = os.pread(fd, os.fstat(fd).st_size, HEADER * WORD)
    for start in range(0, len(table) & -WORD, PAGE):
        page = table[start : start + PAGE]
        if page != _FREE_PAGE:
            yield from memoryview(page[: len(page) & -WORD]).cast("q")
