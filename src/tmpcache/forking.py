"""What a forked child has to put right before it can go on: locks and calls of other threads.

Those threads are in the parent; in the child a lock that one of them held would never be free.
"""

from __future__ import annotations

import os
from weakref import WeakSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Forked(Protocol):
        """Something with locks."""

        def forked(self) -> None:
            """Make the locks anew, forget calls under way."""


_alive: WeakSet[Forked] = WeakSet()


def reset_in_children(thing: Forked) -> None:
    """Have ``thing.forked()`` called in every child forked from now on."""
    _alive.add(thing)


def _reset() -> None:
    for thing in list(_alive):
        thing.forked()


os.register_at_fork(after_in_child=_reset)
