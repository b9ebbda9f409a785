"""The invocation under way, if there is one: since when, and until when.

A thread that the handler starts does not inherit its context (before Python 3.14), so where one
invocation runs in the process, as in Lambda, it counts for every thread.
"""

from __future__ import annotations

import math
from contextvars import ContextVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..cached_file import CachedFile
    from ..common.deadline import Deadline

    class Run(Protocol):
        """An invocation under way."""

        #: When the function's time is up, less the margin; None without a limit.
        deadline: Deadline | None
        #: Seconds since the epoch.
        started: float

        def note_file(self, file: CachedFile, /) -> None:
            """Release this path at the end."""

        def note_scratch(self, scratch: Removable, /) -> None:
            """Remove this directory at the end."""

    class Removable(Protocol):
        """A scratch directory."""

        def remove(self) -> None:
            """Remove it with all in it."""


_here: ContextVar[Run | None] = ContextVar("tmpcache invocation", default=None)
_running: list[Run] = []

#: The start of an invocation that is none.
NEVER = math.inf


def current() -> Run | None:
    """The invocation that the caller belongs to."""
    if not _running:
        return None
    run = _here.get()
    if run is not None and run in _running:
        return run
    return _running[0] if len(_running) == 1 else None


def current_deadline() -> Deadline | None:
    """When the caller must have finished."""
    run = current()
    return run.deadline if run is not None else None


def time_left() -> float:
    """Seconds that the caller has; without an invocation, all the time in the world."""
    deadline = current_deadline()
    return math.inf if deadline is None else deadline.remaining()


def current_start() -> float:
    """Seconds since the epoch when the invocation began; never, where there is none.

    Within an invocation an object is validated at most once: what was confirmed since is fresh.
    """
    run = current()
    return NEVER if run is None else run.started
