"""How many connections a download uses: further ones as long as the last ones added their share.

What was right for a download is where the next one from the same origin begins.
"""

from __future__ import annotations

import os

#: Connections of the first download from an origin, and of any download at most; S3's own guide
#: says 8 to 16. Fewer than `MIN_COUNT` only if the origin refuses more. From a server of 20 MB/s a
#: connection 300 MB take 0.68 of the time that 8 connections take; at 45 MB/s, 800 MB take 0.7.
FIRST_COUNT = min(8, 4 * (os.cpu_count() or 1))
MIN_COUNT, MAX_COUNT = FIRST_COUNT // 2, 2 * FIRST_COUNT
#: Seconds over which the bytes of all connections are counted. They come in bursts: nginx sends
#: 2 MB, then pauses for as long as its limit says (0.1 s at 20 MB/s).
_WINDOW = 0.2
#: Of what connections have brought on average, further ones must add this part.
_SHARE = 0.5
#: Origins whose number of connections is remembered.
_MAX_REMEMBERED = 64

_remembered: dict[str, int] = {}


class ConnectionCount:
    """Decides how many connections a download has, by the bytes that all of them receive.

    As long as the last ones added at least half of what the others bring on average, there are
    more: a quarter each time, as a single one would not show among the fluctuations of the others.
    If the last ones added nothing at all, because network or cores are busy, then the next download
    begins with one fewer.

    >>> count = ConnectionCount(8, most=16)
    >>> count.change(now=0.0, received=0, receiving=8)
    0
    >>> count.change(now=1.0, received=720, receiving=8)  # 8 connections bring 90 each
    2
    >>> count.change(now=2.0, received=1500, receiving=10)
    0
    >>> count.change(now=3.0, received=2400, receiving=10)  # and so do 10
    2
    >>> count.change(now=4.0, received=3400, receiving=12)
    0
    >>> count.change(now=5.0, received=4350, receiving=12)  # but 12 bring little more: 2 may end
    -2
    >>> count.right
    10
    """

    def __init__(self, opened: int, most: int = MAX_COUNT) -> None:
        #: Connections that there are, or are about to be, the leading one included.
        self.opened = opened
        #: With how many the next download begins; 0: not known yet.
        self.right = 0
        #: Whether there will be no further connections.
        self.is_settled = False
        self._most = most
        #: Connections and bytes per second before the last addition.
        self._before, self._rate_before = 0, 0.0
        self._since: tuple[float, int] | None = None

    def change(self, now: float, received: int, receiving: int) -> int:
        """Return how many connections to open now; below 0: how many of the last ones may end.

        By `now` (seconds), `receiving` connections have brought `received` bytes in all.
        """
        if receiving != self.opened or self._since is None:  # some are only about to begin
            self._since = now, received
            return 0
        begun_at, received_before = self._since
        if now - begun_at < _WINDOW:
            return 0
        self._since = None
        rate = (received - received_before) / (now - begun_at)
        if self._before and rate < self._justifying_rate():
            return self._settle(rate)
        if self._before:
            self.right = self.opened
        return self._add(rate)

    def _justifying_rate(self) -> float:
        """Return the bytes per second that justify the last addition."""
        added = (self.opened - self._before) / self._before
        return self._rate_before * (1 + _SHARE * added)

    def _add(self, rate: float) -> int:
        change = min(max(1, self.opened // 4), self._most - self.opened)
        self.is_settled = not change
        self._before, self._rate_before = self.opened, rate
        self.opened += change
        return change

    def _settle(self, rate: float) -> int:
        change = self._before - self.opened
        adds_nothing = rate <= self._rate_before and self._before > MIN_COUNT
        self.settle(self._before - adds_nothing)
        return change

    def settle(self, right: int) -> None:
        """Open no further ones: `right` connections have shown to be all that is of use."""
        self.opened = self.right = right
        self.is_settled = True


def count_for(origin: str) -> ConnectionCount:
    """Begin with what was right for the last download from an origin.

    >>> remember("http://127.0.0.1:9000", 5)
    >>> count_for("http://127.0.0.1:9000").opened
    5
    """
    right = _remembered.get(origin, FIRST_COUNT)
    # With one, nobody would notice that the origin accepts more by now; with all there may be,
    # that they are too many.
    return ConnectionCount(max(2, min(right, MAX_COUNT - 2)))


def remember(origin: str, right: int) -> None:
    """Note how many connections were right for a download from an origin."""
    _remembered.pop(origin, None)
    _remembered[origin] = right
    for oldest in [*_remembered][:-_MAX_REMEMBERED]:
        _remembered.pop(oldest, None)
