"""The results of the methods that report on a cache. Imported when one of them is called."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from humanize import intcomma, naturalsize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Entry:
    """One object that the cache has a copy of."""

    bucket: str
    key: str
    #: The version that was asked for; None for the latest.
    pinned_version: str | None
    version_id: str | None
    etag: str
    #: Length and allocated blocks, in bytes. Objects with the same content share one file.
    size: int
    allocated: int
    #: The xxh3_128 hash of the content.
    digest: str
    path: Path
    #: Seconds since the epoch: last confirmed by the origin to anyone, last used.
    validated_at: float | None
    used_at: float


@dataclass(frozen=True, slots=True, repr=False)
class Usage:
    """Where the bytes are. All sizes in bytes, as allocated on disk (what ``du`` counts)."""

    quota: int
    #: Everything under the root except scratch directories, plus the reservations of downloads.
    used: int
    objects: int
    blobs: int
    blob_bytes: int
    reserved: int
    #: Of `blob_bytes`, what live processes hold paths to.
    leased: int
    #: Index, sessions and directories.
    overhead: int
    min_free: int
    #: Free bytes of the file system.
    disk_free: int

    @property
    def free(self) -> int:
        """Bytes left under the quota without evicting anything."""
        return max(0, self.quota - self.used)

    def __repr__(self) -> str:
        used, quota, leased = map(naturalsize, (self.used, self.quota, self.leased))
        objects = f"{intcomma(self.objects)} object{'s' * (self.objects != 1)}"
        return (
            f"<Usage {used} of {quota} by {objects}, {leased} leased, "
            f"{naturalsize(self.disk_free)} free on the disk>"
        )


@dataclass(frozen=True, slots=True)
class SeenListing:
    """A listing (:meth:`Cache.put_listing`), as a process saw it when it last asked for it."""

    #: Seconds since its LIST had begun; None if no listing was ever read.
    age: float | None
    is_usable: bool
    #: Why it was not usable: "missing", "forbidden", "garbage", "too large", "too old" (than the
    #: `max_age` of that fetch), "from the future", "not received"; "" if it was.
    reason: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Stats:
    """What this cache object has done in this process so far."""

    hits: int = 0
    revalidated: int = 0
    #: Requests to the origin, whatever the response.
    asked: int = 0
    fetched: int = 0
    stale: int = 0
    #: Bytes received of bodies, also of those that broke off.
    bytes_fetched: int = 0
    evicted: int = 0
    evicted_bytes: int = 0
    #: Damaged blobs and indexes that were discarded, by reason: "missing", "truncated", "changed",
    #: "corrupt", "index".
    damaged: Mapping[str, int] = field(default_factory=dict)
    #: Each of the cache's `listings`, by the URL of its prefix; None if it was never asked for.
    listings: Mapping[str, SeenListing | None] = field(default_factory=dict)

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{intcomma(getattr(self, name))} {name}"
            for name in ("hits", "revalidated", "fetched", "stale", "asked", "evicted")
        )
        damaged = "".join(f", {count} {reason}" for reason, count in self.damaged.items())
        return f"<Stats {counts}, {naturalsize(self.bytes_fetched)} received{damaged}>"


@dataclass(frozen=True, slots=True)
class RootStats:
    """What all processes that used a root have done, since its index was created.

    A process adds to it at most 30 seconds later, when its cache is closed, and when it ends.
    """

    #: Seconds since the epoch.
    since: float
    hits: int
    revalidated: int
    stale: int
    fetched: int
    #: Requests to the origin, whatever the answer.
    asked: int
    #: Bytes received of bodies, and bytes of the copies that were served instead.
    bytes_fetched: int
    bytes_saved: int
    evicted: int
    evicted_bytes: int
    #: Damaged blobs and indexes that were discarded.
    damaged: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What :meth:`Cache.verify` found."""

    blobs: int
    bytes: int
    #: Digest and reason of each blob that was damaged; they have been removed.
    damaged: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Warming:
    """What :meth:`Cache.warm` did about the objects of a manifest."""

    #: Downloaded, and how many of these have another ETag than the manifest names.
    fetched: int
    changed: int
    #: The copy was in the cache already.
    present: int
    #: The origin has no such object, or refuses it to these credentials.
    missing: int
    denied: int
    #: Left out because of `max_bytes`, `max_seconds` or the quota.
    skipped: int
    #: Other errors, one text for each object.
    problems: tuple[str, ...]
    #: Bytes received, and how long it took.
    bytes: int
    seconds: float
