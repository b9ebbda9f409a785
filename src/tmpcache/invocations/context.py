"""The invocation under way, if there is one: when it began, and its deadline.

A thread that the handler starts does not inherit its context (before Python 3.14). So if just one
invocation runs in the process, as in Lambda, every thread belongs to it.
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


_current: ContextVar[Run | None] = ContextVar("tmpcache invocation", default=None)
_running: list[Run] = []
#: The deadline of one call, which ends when its coroutine is cancelled.
call_deadline: ContextVar[Deadline | None] = ContextVar("tmpcache call", default=None)

#: Later than any confirmation: stands for the start of an invocation where there is none.
NEVER = math.inf


def current() -> Run | None:
    """Return the invocation that the caller belongs to, None without one."""
    if not _running:
        return None
    run = _current.get()
    if run is not None and run in _running:
        return run
    return _running[0] if len(_running) == 1 else None


def current_deadline() -> Deadline | None:
    """Return the deadline of the call or the invocation under way, None without one."""
    deadline = call_deadline.get()
    if deadline is not None:
        return deadline
    run = current()
    return run.deadline if run is not None else None


def time_left() -> float:
    """Return the seconds that the caller has left; infinity without a deadline."""
    deadline = current_deadline()
    return math.inf if deadline is None else deadline.remaining()


def current_start() -> float:
    """Return when the invocation began, in seconds since the epoch; `NEVER` without one.

    Within an invocation an object is validated at most once: copies confirmed since are fresh.
    """
    run = current()
    return NEVER if run is None else run.started
