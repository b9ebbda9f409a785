"""Deadlines: the moment by which a call must return."""

from __future__ import annotations

import math
import time

from ..errors import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Waiting(Protocol):
        """Something that a thread waits for, such as the next bytes of a body."""

        def interrupt(self) -> None:
            """End the wait. Called by another thread."""


#: Seconds kept for serving a stale copy, if there are so many; it takes milliseconds.
_MOMENT = 1.0


class Deadline:
    """The moment by which a call must return, on the monotonic clock.

    >>> Deadline(60).remaining() > 59
    True
    """

    __slots__ = ("_at", "_waiting", "asks_once")

    def __init__(self, seconds: float, *, asks_once: bool = False) -> None:
        #: Whether a request that fails is not sent again.
        self.asks_once = asks_once
        self._at = time.monotonic() + seconds
        self._waiting: set[Waiting] = set()

    def cancel(self) -> None:
        """End the time now, and interrupt everything that is watched."""
        self._at = -math.inf
        for one in self._waiting.copy():
            one.interrupt()

    #: A deadline may watch another one, which it cancels along with itself.
    interrupt = cancel

    @property
    def is_cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._at == -math.inf

    def briefer(self) -> Deadline:
        """Return an earlier deadline, which is cancelled along with this one.

        It leaves a second of the time, or a quarter if that is less. The caller calls
        :meth:`forget` with it in the end.
        """
        left = self.remaining()
        one = Deadline(left - min(_MOMENT, left / 4))
        self.watch(one)
        return one

    def watch(self, one: Waiting) -> None:
        """Interrupt `one` when the deadline is cancelled."""
        self._waiting.add(one)
        if self.is_cancelled:
            one.interrupt()

    def forget(self, one: Waiting) -> None:
        """Stop watching `one`."""
        self._waiting.discard(one)

    def remaining(self) -> float:
        """Return the seconds left, negative after the deadline."""
        return self._at - time.monotonic()

    def check(self, subject: object, needed: float = 0.0) -> None:
        """Raise :class:`DeadlineExceededError` unless more than `needed` seconds are left."""
        if self.remaining() <= needed:
            raise self.exceeded(subject)

    def exceeded(self, subject: object) -> DeadlineExceededError:
        """Return the error for what could not be finished in time."""
        return DeadlineExceededError(
            f"{subject}: not finished in the time that is left to this call. What has arrived of a "
            "large object is kept, and the next fetch goes on from there; give the function more "
            "time if this happens again."
        )


#: Longer than anything lasts, and short enough for the time-outs of locks.
FOREVER = 1e9


def deadline_within(
    outer: Deadline | None, seconds: float = FOREVER, *, asks_once: bool = False
) -> Deadline:
    """Return a new deadline, `seconds` from now but not after the `outer` one."""
    left = FOREVER if outer is None else outer.remaining()
    return Deadline(min(seconds, left, FOREVER), asks_once=asks_once)
