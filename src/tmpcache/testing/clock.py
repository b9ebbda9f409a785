"""A time that stands still until it is turned."""

from __future__ import annotations

import time


class Clock:
    """Seconds since the epoch, for ``Cache(clock=…)``; they pass when :meth:`advance` is called.

    It begins at the full second that it is made in, so that processes which go by the real time
    find nothing in the cache that was confirmed in their future.

    >>> clock = Clock(1_800_000_000)
    >>> clock.advance(90)
    >>> clock(), clock.now
    (1800000090.0, 1800000090.0)
    """

    def __init__(self, now: float | None = None) -> None:
        #: Seconds since the epoch. May be set, also back.
        self.now = float(int(time.time()) if now is None else now)

    def __call__(self) -> float:
        """The time, as :func:`time.time` tells it."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number turns it back."""
        self.now += seconds
