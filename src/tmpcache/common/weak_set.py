"""Sets of weak references, from which an object goes when it dies without a line of Python.

``weakref.WeakSet`` calls a function written in Python then. A signal handler may run in it, and
Python drops what the handler raises there.
"""

from __future__ import annotations

from weakref import ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")


def add(known: set[ref[T]], thing: T) -> None:
    """Add an object to a set, until it dies."""
    known.add(ref(thing, known.discard))  # a method in C


def living(known: set[ref[T]]) -> list[T]:
    """Return the objects of a set that are alive."""
    things = [one() for one in list(known)]
    return [thing for thing in things if thing is not None]
