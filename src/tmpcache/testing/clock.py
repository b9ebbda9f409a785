"""A clock that stands still until a test advances it."""

from __future__ import annotations

import time


class Clock:
    """A clock for ``Cache(clock=…)``, in seconds since the epoch; :meth:`advance` moves it.

    By default it starts at the current time, rounded down to a second. So a process that uses the
    real time finds no copy in the cache that was confirmed in its future.

    >>> clock = Clock(1_800_000_000)
    >>> clock.advance(90)
    >>> clock(), clock.now
    (1800000090.0, 1800000090.0)
    """

    def __init__(self, now: float | None = None) -> None:
        #: Seconds since the epoch. May be set, also to an earlier time.
        self.now = float(int(time.time()) if now is None else now)

    def __call__(self) -> float:
        """Return the time, as :func:`time.time` does."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move the clock forward; a negative number moves it back."""
        self.now += seconds
