"""Resets what a forked child must not inherit: locks, and calls under way in other threads.

The child has only the thread that forked. A lock that another thread of the parent held would stay
locked in the child for ever.

Python runs fork hooks in a child made by ``os.fork``. A server written in C that forks by itself
(uWSGI's default) runs none. So code that could harm the parent reads ``here[0]`` first: it is 1 in
a process that has reset everything, and 0 in a child that has not yet.
"""

from __future__ import annotations

import mmap
import os

from . import weak_set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
    from weakref import ref

    class Forked(Protocol):
        """An object that has locks or calls under way."""

        def forked(self) -> None:
            """Make the locks anew, forget calls under way. Called in the child."""


#: linux/mman.h: the page is zeroed in a child. Reading it takes 20 ns, ``os.getpid`` 180.
_MADV_WIPEONFORK = 18


class _Pid:
    """Stands for the page where the system has none that are zeroed in children."""

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
_alive: set[ref[Forked]] = set()


def reset_in_children(thing: Forked) -> None:
    """Call ``thing.forked()`` in every child that is forked from now on."""
    weak_set.add(_alive, thing)


def recover_from_fork() -> None:
    """Reset everything in a child. Called by Python's fork hook, or else at the first use."""
    here[0] = 1
    for thing in weak_set.living(_alive):
        thing.forked()


os.register_at_fork(after_in_child=recover_from_fork)
