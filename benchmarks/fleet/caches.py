"""Machines that are real caches in this process, over an origin that counts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, BinaryIO

from tmpcache import Cache
from tmpcache.origin import Listed, Reply

from .bucket import BUCKET, URL, Bucket
from .timeline import Scenario

if TYPE_CHECKING:
    from typing import Unpack

    from tmpcache.common.deadline import Deadline
    from tmpcache.origin import GetOptions

SCOPE = "a role"


class CountedOrigin:
    """The bucket as an origin; see :class:`tmpcache.origin.Origin`."""

    name, scope = "counted", SCOPE

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def get(
        self, bucket: str, key: str, version_id: str | None = None, **options: Unpack[GetOptions]
    ) -> Reply | None:
        """Return the object, unless it has the ETag given."""
        etag = self._bucket.get(key, options.get("if_none_match", ""))
        if etag is None:
            return None
        body = self._bucket.bodies[key]
        return Reply(_Body(body), etag, len(body), None)

    def list(
        self, bucket: str, prefix: str, *, deadline: Deadline | None = None
    ) -> Iterator[Listed]:
        """Yield all objects; 1,000 of them cost a request."""
        for number, key in enumerate(sorted(self._bucket.etags)):
            if number % 1000 == 0:
                self._bucket.count("LIST")
            yield Listed(key, self._bucket.etags[key], len(self._bucket.bodies[key]))

    def put(
        self,
        bucket: str,
        key: str,
        body: BinaryIO,
        size: int,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        content_type: str | None = None,
        request_options: Mapping[str, str] | None = None,
        deadline: Deadline | None = None,
    ) -> tuple[str, str | None]:
        """Store an object."""
        self._bucket.count("PUT")
        return self._bucket.put(key, body.read()), None

    def close(self) -> None:
        """Do nothing: nothing is open."""


class _Body:
    """The bytes of an object."""

    def __init__(self, body: bytes) -> None:
        self._rest = memoryview(body)

    def read(self, buffer: memoryview, /) -> memoryview:
        """Fill the start of `buffer` and return what was filled, empty at the end."""
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return buffer[:count]

    def interrupt(self) -> None:
        """Do nothing: no read waits."""

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Writer:
    """A real cache that puts the listing and the pack of the bucket."""

    def __init__(self, scenario: Scenario, bucket: Bucket, directory: str) -> None:
        self._pack = scenario.pack
        root = os.path.join(directory, "writer")
        self.cache = Cache(root, origin=CountedOrigin(bucket), clock=bucket.clock)

    def write(self, which: int) -> None:
        """Put the listing, and the first time the pack before it."""
        if self._pack and which == 0:
            self.cache.put_pack(URL, max_bytes="64 MB").release()
        self.cache.put_listing(URL).release()


class Caches:
    """A :class:`.fleet.Fleet` of caches, each with a root of its own below `directory`."""

    def __init__(self, scenario: Scenario, bucket: Bucket, directory: str) -> None:
        self._scenario, self._bucket, self._open = scenario, bucket, ExitStack()
        writer = Writer(scenario, bucket, directory)
        self._open.enter_context(writer.cache)
        self.write = writer.write
        self._caches = [
            self._open.enter_context(
                Cache(
                    os.path.join(directory, str(number)),
                    origin=CountedOrigin(bucket),
                    clock=bucket.clock,
                    max_age=scenario.max_age,
                    listings=[URL] if scenario.listing else [],
                )
            )
            for number in range(scenario.machines)
        ]

    def start(self, machine: int) -> None:
        """Warm a cache if there is a pack, and use it."""
        if self._scenario.pack:
            self._caches[machine].warm(URL)
        self.use(machine)

    def use(self, machine: int) -> None:
        """Fetch all objects."""
        paths = self._caches[machine].fetch_many(BUCKET, self._bucket.keys)
        self._bucket.note_served((path.etag or "" for path in paths), self._bucket.now)
        for path in paths:
            path.release()

    def settle(self) -> None:
        """Do nothing: nothing is under way."""

    def close(self) -> None:
        """Close all caches."""
        self._open.close()
