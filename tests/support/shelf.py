"""An origin in memory. A test sets its objects, counts its requests and delays its answers."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import xxhash

from tmpcache.common.deadline import Deadline
from tmpcache.errors import AccessDeniedError, ObjectNotFoundError, OriginUnavailableError
from tmpcache.origin import Listed, Reply


class Shelf:
    """Objects by key, in every bucket; counts what is asked, and how much of it at a time."""

    name = "shelf"
    scope = "someone"

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self.objects = dict(objects or {})
        self.denied: set[str] = set()
        #: Called with the key and the deadline before an object is answered for.
        self.gate: Callable[[str, Deadline | None], object] = lambda key, deadline: None
        #: Called before each piece of a body: key, byte, and what :meth:`Body.interrupt` sets.
        self.pace: Callable[[str, int, threading.Event], object] = lambda key, at, halted: None
        #: How often each key was asked about, and how often it was sent.
        self.asked: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.listings = 0
        #: Bodies open at the same time: now, and at most.
        self.open = self.most_open = 0
        self.lock = threading.Lock()

    def get(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        *,
        if_none_match: str = "",
        if_match: str = "",
        start: int = 0,
        end: int | None = None,
        deadline: Deadline | None = None,
    ) -> Reply | None:
        """Return the object or a range of it, as S3 would answer."""
        with self.lock:
            self.asked[key] += 1
        self.gate(key, deadline)
        if key in self.denied:
            raise AccessDeniedError(f"{key}: denied", bucket=bucket, key=key)
        if key not in self.objects:
            raise ObjectNotFoundError(f"{key}: not found", bucket=bucket, key=key)
        body = self.objects[key]
        if if_none_match == etag_of(body):
            return None
        with self.lock:
            self.sent[key] += 1
        span = memoryview(body)[start:end]
        return Reply(Body(self, key, span, start), etag_of(body), len(body), None, start, end)

    def list(
        self, bucket: str, prefix: str, *, deadline: Deadline | None = None
    ) -> Iterator[Listed]:
        """Yield the objects, 1,000 in a request."""
        self.listings += 1
        for number, (key, body) in enumerate(sorted(self.objects.items())):
            if number and number % 1000 == 0:
                self.listings += 1
            if key.startswith(prefix):
                yield Listed(key, etag_of(body), len(body))

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Body:
    """A response body that comes in pieces."""

    def __init__(self, shelf: Shelf, key: str, rest: memoryview, at: int) -> None:
        self._shelf, self._key, self._rest, self._at = shelf, key, rest, at
        self._halted, self._open = threading.Event(), True
        with shelf.lock:
            shelf.open += 1
            shelf.most_open = max(shelf.most_open, shelf.open)

    def read(self, buffer: memoryview, /) -> memoryview:
        """Return the next bytes when the test allows it; not more than a network has at once."""
        self._shelf.pace(self._key, self._at, self._halted)
        if self._halted.is_set():
            raise OriginUnavailableError(f"{self._key}: interrupted")
        count = min(len(buffer), len(self._rest), 256 * 1024)
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        self._at += count
        return buffer[:count]

    def interrupt(self) -> None:
        """Let a read that waits fail."""
        self._halted.set()

    def close(self) -> None:
        """Give the connection back."""
        with self._shelf.lock:
            self._shelf.open -= self._open
            self._open = False


def etag_of(body: bytes) -> str:
    """Return an ETag by a hash that takes no time; another content has another one."""
    return f'"{xxhash.xxh3_64_hexdigest(body)}"'
