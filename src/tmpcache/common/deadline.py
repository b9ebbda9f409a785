"""How much time a call has left."""

from __future__ import annotations

import math
import time

from ..errors import DeadlineExceededError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Waiting(Protocol):
        """What may wait for bytes, in whatever thread."""

        def interrupt(self) -> None:
            """Let it not wait any longer."""


#: Seconds to keep for answering without the origin, if there are so many: it takes milliseconds.
_MOMENT = 1.0


class Deadline:
    """A moment that a call must not outlast, on the clock that no one sets.

    >>> Deadline(60).remaining() > 59
    True
    """

    __slots__ = ("_at", "_waiting", "asks_once")

    def __init__(self, seconds: float, *, asks_once: bool = False) -> None:
        #: Whether a request that fails is not worth another one.
        self.asks_once = asks_once
        self._at = time.monotonic() + seconds
        self._waiting: set[Waiting] = set()

    def cancel(self) -> None:
        """Let the time be up now, also for what waits for bytes."""
        self._at = -math.inf
        for one in self._waiting.copy():
            one.interrupt()

    #: A deadline may watch another one, and be cancelled by it.
    interrupt = cancel

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller has given up."""
        return self._at == -math.inf

    def briefer(self) -> Deadline:
        """A deadline that leaves a moment of the time, to be cancelled along with this one.

        It is to be forgotten by this one in the end.
        """
        left = self.remaining()
        one = Deadline(left - min(_MOMENT, left / 4))
        self.watch(one)
        return one

    def watch(self, one: Waiting) -> None:
        """Interrupt this if the deadline is cancelled."""
        self._waiting.add(one)
        if self.is_cancelled:
            one.interrupt()

    def forget(self, one: Waiting) -> None:
        """It does not wait any more."""
        self._waiting.discard(one)

    def remaining(self) -> float:
        """Seconds left; negative when it has passed."""
        return self._at - time.monotonic()

    def check(self, subject: object, needed: float = 0.0) -> None:
        """Raise :class:`DeadlineExceededError` unless more than `needed` seconds are left."""
        if self.remaining() <= needed:
            raise self.exceeded(subject)

    def exceeded(self, subject: object) -> DeadlineExceededError:
        """The error for what could not be finished."""
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
    """A deadline of its own, `seconds` from now but not after the `outer` one."""
    left = FOREVER if outer is None else outer.remaining()
    return Deadline(min(seconds, left, FOREVER), asks_once=asks_once)
