"""What everybody is asked to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

Verb = Literal["cold", "many", "asking", "fresh", "start", "put"]
#: The server as it is; each connection capped; each request a while on its way; a server that takes
#: uploads and keeps nothing of them.
Condition = Literal["near", "capped", "far", "sink"]

#: Seconds that a request is on its way under the condition "far".
LATENCY = 0.020
#: Of those who have no bulk call of their own, and the workers of s5cmd.
THREADS = 16
_GIB = 1024**3
_SMALL = 10 * 1024
_UPLOAD = 256 * 1024**2


@dataclass(frozen=True, slots=True)
class Work:
    """One column of the tables."""

    name: str
    title: str
    verb: Verb
    condition: Condition
    #: Bytes of each object.
    size: int
    #: Objects or calls in each round.
    count: int
    rounds: int

    @property
    def large(self) -> bool:
        """Whether bytes count here, rather than requests."""
        return self.size > _SMALL


WORKS = (
    Work("large", "1 GiB, cold", "cold", "near", _GIB, 1, 5),
    Work("large-capped", "1 GiB, cold, 90 MB/s a connection", "cold", "capped", _GIB, 1, 3),
    Work("cold", "10 KiB, cold", "cold", "near", _SMALL, 20, 10),
    Work("many", "2,000 x 10 KiB, in parallel", "many", "near", _SMALL, 2000, 3),
    Work("asking", "cached, asking", "asking", "near", _SMALL, 50, 10),
    Work("fresh", "cached, not asking", "fresh", "near", _SMALL, 200, 10),
    Work("cold-far", "10 KiB, cold, 20 ms away", "cold", "far", _SMALL, 20, 5),
    # Of 2,000 there would be five minutes: who asks for one after the other takes 40 s for them.
    Work("many-far", "500 x 10 KiB, in parallel, 20 ms away", "many", "far", _SMALL, 500, 5),
    Work("asking-far", "cached, asking, 20 ms away", "asking", "far", _SMALL, 20, 5),
    Work("start", "process start to first object in hand", "start", "near", _SMALL, 1, 15),
    Work("put", "put 256 MiB", "put", "sink", _UPLOAD, 1, 7),
)


def quickly(works: Iterable[Work]) -> list[Work]:
    """Return the same work in little, to see whether everything works; its numbers mean nothing."""
    return [_little(work) for work in works]


def _little(work: Work) -> Work:
    if work.large:
        title = work.title.replace("1 GiB", "16 MiB").replace("256 MiB", "16 MiB")
        return replace(work, title=title, size=16 * 1024 * 1024, rounds=1)
    if work.verb == "many":
        title = work.title.replace("2,000", "50").replace("500", "50")
        return replace(work, title=title, count=50, rounds=1)
    if work.verb == "start":
        return replace(work, rounds=2)
    return replace(work, count=5, rounds=1)
