"""The bucket that a fleet asks: what is true at each moment, what was asked, what was served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import md5
from typing import Literal

from .timeline import BEGIN, Event, Phase, Scenario

BUCKET, PREFIX = "models", "micr/"
URL = f"s3://{BUCKET}/{PREFIX}"

Who = Literal["machines", "writer"]
Verb = Literal["GET", "LIST", "PUT"]


class Bucket:
    """Objects with versions. Its clock is the one that the events set."""

    def __init__(self, scenario: Scenario) -> None:
        self._size, self.now = scenario.size, BEGIN
        self.keys = [f"{PREFIX}{number:05}.npz" for number in range(scenario.objects)]
        self._versions = dict.fromkeys(self.keys, 0)
        self.bodies: dict[str, bytes] = {}
        self.etags: dict[str, str] = {}
        for key in self.keys:
            self.put(key, self._body(key))
        #: What was asked: by whom, in which phase, and how.
        self.asked: Counter[tuple[Who, Phase, Verb]] = Counter()
        #: Those GETs of machines, while they are watched, that brought something new.
        self.brought = 0
        #: GETs of machines by second of the clock, while they are watched.
        self.by_second: Counter[int] = Counter()
        self._who: Who = "writer"
        self._phase: Phase = "start"
        #: By ETag: when the version was overwritten.
        self.overwritten_at: dict[str, float] = {}
        #: Objects served; those that were served after they had been overwritten; how long after
        #: that, in seconds: the sum, and the most.
        self.served, self.stale, self.stale_sum, self.stale_most = 0, 0, 0.0, 0.0

    def clock(self) -> float:
        """Return the time, in seconds since the epoch."""
        return self.now

    def begin(self, event: Event) -> None:
        """Note that the event happens now: what is asked from now on is asked for it."""
        self.now, self._phase = event.at, event.phase
        self._who = "machines" if event.kind in ("start", "use") else "writer"

    def overwrite(self, number: int) -> None:
        """Put the next version of an object."""
        key = self.keys[number]
        self.overwritten_at[self.etags[key]] = self.now
        self._versions[key] += 1
        self.put(key, self._body(key))

    def put(self, key: str, body: bytes) -> str:
        """Put an object, and count nothing; return its ETag."""
        self.bodies[key] = body
        self.etags[key] = f'"{md5(body, usedforsecurity=False).hexdigest()}"'
        return self.etags[key]

    def count(self, verb: Verb) -> None:
        """Count a request."""
        self.asked[self._who, self._phase, verb] += 1
        if self._is_watched:
            self.by_second[int(self.now)] += 1

    def get(self, key: str, etag: str) -> str | None:
        """Count a conditional GET; return the object's ETag if it is another one."""
        self.count("GET")
        latest = self.etags[key]
        if latest == etag:
            return None
        self.brought += self._is_watched
        return latest

    def note_stale(self, etag: str, at: float) -> None:
        """Note that a version was served at a time, which had been overwritten by then."""
        stale = at - self.overwritten_at[etag]
        self.stale += 1
        self.stale_sum += stale
        self.stale_most = max(self.stale_most, stale)

    def note_served(self, etags: Iterable[str], at: float) -> None:
        """Note what was served at a time."""
        for etag in etags:
            self.served += 1
            if etag in self.overwritten_at:
                self.note_stale(etag, at)

    @property
    def _is_watched(self) -> bool:
        return self._who == "machines" and self._phase == "watched"

    def _body(self, key: str) -> bytes:
        return f"{key} {self._versions[key]} ".encode().ljust(self._size, b".")
