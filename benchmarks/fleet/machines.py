"""Machines without a disk, so that 10,000 of them have room in one process.

What decides is tmpcache's own code: :func:`is_fresh`, whether a listing confirms a copy and when it
is asked for again (:class:`Listings`), how it is read. Stand-ins are the store, which is two
dictionaries here, and what sends requests. What such machines ask for is compared with what real
caches ask for in ``tests/package/test_fleet_benchmark.py``.
"""

from __future__ import annotations

import os
from typing import Any, cast

from tmpcache.cached_file import Outcome
from tmpcache.common.objects import Copy, ObjectName
from tmpcache.config import Settings
from tmpcache.fetching.fetcher import Fetcher
from tmpcache.fetching.freshness import has_listed_etag, is_fresh
from tmpcache.fetching.listings.confirmation import Listings
from tmpcache.fetching.listings.document import LISTING, PACK, text_of
from tmpcache.fetching.listings.reading import fetch_listing
from tmpcache.fetching.packs.document import PackedObject, first_line

from .bucket import BUCKET, PREFIX, URL, Bucket
from .caches import SCOPE
from .timeline import Scenario

_ORIGIN = "counted"


class Simulated:
    """A :class:`.fleet.Fleet` of machines that have copies, but no files."""

    def __init__(self, scenario: Scenario, bucket: Bucket, directory: str) -> None:
        """Listings are written into files in `directory`."""
        self._pack, self._bucket, self._directory = scenario.pack, bucket, directory
        self._shelf = Shelf(bucket)
        settings = Settings(listings=[URL] if scenario.listing else [])
        self._machines = [
            Machine(self._shelf, settings, scenario.max_age) for _ in range(scenario.machines)
        ]

    def write(self, which: int) -> None:
        """Put the listing as a file, and the first time the pack before it."""
        if self._pack and which == 0:
            self._shelf.put_pack()
        self._shelf.put_listing(os.path.join(self._directory, f"listing-{which}"))

    def start(self, machine: int) -> None:
        """Warm a machine if there is a pack, and have it use all objects."""
        if self._pack:
            self._machines[machine].warm()
        self._machines[machine].use()

    def use(self, machine: int) -> None:
        """Have a machine use all objects."""
        self._machines[machine].use()

    def settle(self) -> None:
        """Do nothing: nothing is under way."""


class Shelf:
    """What machines are given by the bucket: names of objects, a listing in a file, a pack."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.identities = {key: _name(key).identity() for key in bucket.keys}
        #: The file of the latest listing.
        self.listing = ""
        #: The ETags in the pack.
        self.packed: dict[str, str] = {}

    def put_listing(self, path: str) -> None:
        """Put what :func:`tmpcache.put_listing` puts, and keep it in a file."""
        etags = {key.removeprefix(PREFIX): self.bucket.etags[key] for key in self._list()}
        document = text_of(self.bucket.now, PREFIX, etags)
        with open(path, "wb") as file:
            file.write(document)
        self.bucket.count("PUT")
        self.bucket.put(PREFIX + LISTING, document)
        self.listing = path

    def put_pack(self) -> None:
        """Put what :func:`tmpcache.put_pack` puts, which asks for each object."""
        bucket, packed = self.bucket, []
        for key in self._list():
            bucket.get(key, "")
            self.packed[key] = bucket.etags[key]
            packed.append(PackedObject(key, bucket.etags[key].strip('"'), len(bucket.bodies[key])))
        bodies = b"".join(bucket.bodies[key] for key in self.packed)
        bucket.count("PUT")
        bucket.put(PREFIX + PACK, first_line(BUCKET, bucket.now, packed) + bodies)

    def _list(self) -> list[str]:
        for _ in range(0, len(self.bucket.etags), 1000):
            self.bucket.count("LIST")
        return self.bucket.keys


class Machine:
    """One cold machine: what it remembers, what its index has, and how it decides."""

    def __init__(self, shelf: Shelf, settings: Settings, max_age: float) -> None:
        self._shelf, self._bucket, self._max_age = shelf, shelf.bucket, max_age
        self._remembered: dict[str, Copy] = {}
        self._index: dict[str, Copy] = {}
        self._fetcher = cast(Fetcher, _StandIn(shelf))
        self._confirm = Listings(self._fetcher, settings).confirm

    def use(self) -> None:
        """Serve all objects, as :meth:`tmpcache.Cache.fetch_many` does."""
        bucket, now, remembered = self._bucket, self._bucket.now, self._remembered
        max_age, overwritten_at = self._max_age, bucket.overwritten_at
        for key in bucket.keys:
            copy = remembered.get(key)
            if copy is None or not is_fresh(copy.validated_at, now, max_age):
                remembered[key] = copy = self._serve(key, now)
            if copy.etag in overwritten_at:
                bucket.note_stale(copy.etag, now)
        bucket.served += len(bucket.keys)

    def _serve(self, key: str, now: float) -> Copy:
        """Return the copy in the index if it is fresh or a listing says so; ask S3 otherwise."""
        copy = self._confirm(self._index.get(key), self._max_age)
        if copy is not None and is_fresh(copy.validated_at, now, self._max_age):
            return copy
        etag = self._bucket.get(key, "" if copy is None else copy.etag)
        if copy is None or etag is not None:
            copy = self._shelf_copy(key, etag or "", now)
        self._index[key] = copy = copy.confirmed(now, now)
        return copy

    def warm(self) -> None:
        """Unpack the pack, as :meth:`tmpcache.Cache.warm` does: the listing first, then the pack.

        There is a listing, and it is no older than the pack, so it says what counts.
        """
        listing = fetch_listing(self._fetcher, _name(PREFIX + LISTING), SCOPE)
        self._bucket.get(PREFIX + PACK, "")
        for key, etag in self._shelf.packed.items():
            if has_listed_etag(etag, listing.etag(key.removeprefix(PREFIX))):
                self._index[key] = self._shelf_copy(key, etag, listing.at)

    def _shelf_copy(self, key: str, etag: str, at: float) -> Copy:
        return _copy(self._shelf.identities[key], etag, at)


class _StandIn:
    """What listings need of a fetcher: its store and its downloader are this object, too."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf, self.clock = shelf, shelf.bucket.clock
        self.store = self.downloader = self.requests = self.origin = self
        self.name, self.scope, self.tally = _ORIGIN, SCOPE, None
        self._copy: Copy | None = None

    def look_up(self, name: ObjectName, scope: str | None) -> Copy | None:
        """Return the copy of the listing."""
        return self._copy

    def lease_copy(self, copy: Copy) -> _StandIn:
        """Return a lease, which protects nothing."""
        return self

    def with_origin(self, origin: object, tally: object) -> _StandIn:
        """Return what sends requests."""
        return self

    def revalidate_or_download(
        self, name: ObjectName, copy: Copy | None, deadline: object
    ) -> tuple[Copy, Outcome, _StandIn]:
        """Return the listing, by one conditional GET."""
        bucket = self._shelf.bucket
        etag = bucket.get(name.key, "" if copy is None else copy.etag)
        if copy is None or etag is not None:
            copy = _copy(name.identity(), etag or "", bucket.now, self._shelf.listing)
        self._copy = copy = copy.confirmed(bucket.now, bucket.now)
        return copy, Outcome.REVALIDATED, self

    def nothing(self, *_: Any) -> None:
        """Do nothing: there are no leases, no uses to record, no silence, no connections."""

    release = touch = check_responsive = close = nothing


def _name(key: str) -> ObjectName:
    return ObjectName(_ORIGIN, BUCKET, key)


def _copy(identity: tuple[str, str, str, str], etag: str, at: float, path: str = "") -> Copy:
    """Return a copy that S3 gave at a time, in the file `path`, which only listings have."""
    return Copy(identity, "", path, 0, 0, 0, "", etag, None, at, SCOPE, at, 0)
