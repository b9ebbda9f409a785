"""What a forked child puts right before it goes on: locks and calls of threads it does not have.

Those threads are in the parent; in the child a lock that one of them held would never be free.

Python runs its hooks in a child made by ``os.fork``. A server written in C that forks by itself
(uWSGI's default) runs none, so who shares something with a child that would harm the parent looks
at ``here[0]`` first: it is 1 in the process that has put everything right, and 0 in a child of it.
"""

from __future__ import annotations

import mmap
import os
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Forked(Protocol):
        """Something with locks."""

        def forked(self) -> None:
            """Make the locks anew, forget calls under way."""


#: linux/mman.h: a page that is zeros in a child. 20 ns to look at; ``os.getpid`` takes 180.
_MADV_WIPEONFORK = 18


class _Pid:
    """The same where the system has no such pages."""

    def __init__(self) -> None:
        self[0] = 1

    def __getitem__(self, index: int) -> int:
        return self._pid == os.getpid()

    def __setitem__(self, index: int, value: int) -> None:
        self._pid = os.getpid()


def _page() -> memoryview | _Pid:
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_MADV_WIPEONFORK)
    except (AttributeError, OSError, ValueError):
        return _Pid()
    page[0] = 1
    return memoryview(page)


here = _page()
_alive: WeakSet[Forked] = WeakSet()


def reset_in_children(thing: Forked) -> None:
    """Have ``thing.forked()`` called in every child forked from now on."""
    _alive.add(thing)


def recover_from_fork() -> None:
    """In a child: once, by Python's hook or by the first who sees that there was none."""
    here[0] = 1
    for thing in list(_alive):
        thing.forked()


os.register_at_fork(after_in_child=recover_from_fork)
