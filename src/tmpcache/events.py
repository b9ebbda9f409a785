"""What :func:`tmpcache.subscribe` tells a hook: small frozen dataclasses.

``str(event)`` is one line for a log, without secrets, whatever the key. The logger ``tmpcache``
writes the same line, at the level :attr:`Event.level`. All sizes are in bytes, all times in
seconds. A `version_id` is None where the latest version is meant, or the bucket has no versions.

A hit is no event: ``Cache.stats().hits`` counts them.

>>> print(Damaged("truncated", "size 10 ≠ 1000", "models", "a.npz"))
s3://models/a.npz damaged: size 10 ≠ 1000, fetched anew
"""

from __future__ import annotations

from dataclasses import dataclass

from .common.events import LEVELS
from .common.objects import ObjectName

__all__ = [
    "Damaged",
    "Event",
    "Evicted",
    "Fetched",
    "ListingRead",
    "ListingUnusable",
    "Retried",
    "Revalidated",
    "Stale",
    "Swept",
    "Waited",
]


@dataclass(frozen=True, slots=True)
class Event:
    """What all events have."""

    @property
    def level(self) -> int:
        """The level of ``logging`` at which it is told: DEBUG, INFO or WARNING."""
        return LEVELS[type(self).__name__]


@dataclass(frozen=True, slots=True)
class Fetched(Event):
    """An object was downloaded."""

    bucket: str
    key: str
    version_id: str | None
    #: The size of the object. `Cache.stats` counts the bytes that were received.
    bytes: int
    #: How long the fetch took, with waits and retries. In a call for many objects: the download.
    seconds: float

    def __str__(self) -> str:
        return f"{_named(self)} fetched: {self.bytes} bytes in {self.seconds:.3f} s"


@dataclass(frozen=True, slots=True)
class Revalidated(Event):
    """S3 confirmed that the copy is current (304), or a listing did."""

    bucket: str
    key: str
    version_id: str | None
    #: The size of the copy, which was not downloaded again.
    bytes: int
    #: How long the fetch took; None if a listing confirmed many copies at a time.
    seconds: float | None

    def __str__(self) -> str:
        took = "by a listing" if self.seconds is None else f"in {self.seconds:.3f} s"
        return f"{_named(self)} revalidated {took}"


@dataclass(frozen=True, slots=True)
class Stale(Event):
    """S3 could not be asked, and ``stale_if_error`` allowed the copy.

    Not told with ``offline``, where S3 is never asked.
    """

    bucket: str
    key: str
    version_id: str | None
    #: How long ago S3 confirmed the copy last.
    age: float
    #: The text of the error.
    reason: str

    def __str__(self) -> str:
        return f"{_named(self)} served stale, {self.age:.0f} s old: {_in_one_line(self.reason)}"


@dataclass(frozen=True, slots=True)
class Waited(Event):
    """A fetch waited for another one of the same object."""

    bucket: str
    key: str
    version_id: str | None
    seconds: float
    #: Whose download it waited for: ``"process"`` for another process, or ``"thread"``.
    other: str

    def __str__(self) -> str:
        return f"{_named(self)}: waited {self.seconds:.3f} s for another {self.other}"


@dataclass(frozen=True, slots=True)
class Retried(Event):
    """A request or transfer failed, and is tried again.

    What boto3 retries by itself is not told.
    """

    bucket: str
    key: str
    version_id: str | None
    #: How often it has failed: 1 before the second attempt.
    attempt: int
    #: The pause before the next attempt.
    seconds: float
    reason: str

    def __str__(self) -> str:
        what = f"attempt {self.attempt} failed, the next one {self.seconds:.3f} s later"
        return f"{_named(self)}: {what}: {_in_one_line(self.reason)}"


@dataclass(frozen=True, slots=True)
class Damaged(Event):
    """A copy or the index was not what was written. It was discarded: the fetch is a miss."""

    #: As in ``Cache.stats().damaged``: "missing", "truncated", "changed", "corrupt", "index", …
    reason: str
    #: What was found, and what was expected; "" if `reason` says all.
    detail: str = ""
    #: None if it is about the index, or a file that may belong to several objects.
    bucket: str | None = None
    key: str | None = None
    version_id: str | None = None

    def __str__(self) -> str:
        detail = _in_one_line(self.detail or self.reason)
        if self.bucket is None:
            return f"damaged: {self.reason}" + f" ({detail})" * bool(self.detail)
        return f"{_named(self)} damaged: {detail}, fetched anew"


@dataclass(frozen=True, slots=True)
class Evicted(Event):
    """Files were deleted to make room."""

    #: The hash of each file, as ``CachedFile.digest``.
    digests: tuple[str, ...]
    #: Freed on the disk.
    bytes: int
    #: What the room is for.
    reason: str

    def __str__(self) -> str:
        count = len(self.digests)
        files = f"{count} file{'s' * (count != 1)}"
        return f"evicted {files}, {self.bytes} bytes: {_in_one_line(self.reason)}"


@dataclass(frozen=True, slots=True)
class Swept(Event):
    """What dead processes left was removed."""

    #: Session files, and partial files of downloads.
    sessions: int = 0
    partials: int = 0
    #: Directories with the scratch directories of one process each.
    scratches: int = 0

    def __str__(self) -> str:
        names = "session files", "partial files", "scratch directories"
        counts = zip(names, (self.sessions, self.partials, self.scratches), strict=True)
        found = ", ".join(f"{count} {name}" for name, count in counts if count)
        return f"swept what dead processes left: {found}"


@dataclass(frozen=True, slots=True)
class ListingRead(Event):
    """A new listing was read, and confirms copies."""

    #: The name of the listing itself.
    bucket: str
    key: str
    #: Seconds since its LIST began.
    age: float
    #: How many objects it names.
    objects: int

    def __str__(self) -> str:
        name = ObjectName("", self.bucket, self.key)
        return f"{name} read: {self.objects} objects, {self.age:.0f} s old"


@dataclass(frozen=True, slots=True)
class ListingUnusable(Event):
    """A listing could not be used, so S3 is asked about each object.

    Told once, and again when the reason is another one or a usable listing was read in between.
    """

    #: The name of the listing itself.
    bucket: str
    key: str
    #: As in ``Cache.stats().listings``: "missing", "forbidden", "garbage", "too large", "too old",
    #: "from the future", "not received".
    reason: str
    #: What the error said; "" if there was none.
    detail: str = ""
    #: Seconds since the LIST began of the last one that was read; None if none was.
    age: float | None = None

    def __str__(self) -> str:
        age = "" if self.age is None else f", {self.age:.0f} s old"
        detail = f": {_in_one_line(self.detail)}" * bool(self.detail)
        return f"{ObjectName('', self.bucket, self.key)} is not used, {self.reason}{age}{detail}"


def _named(event: Fetched | Revalidated | Stale | Waited | Retried | Damaged) -> str:
    """Return the URL of the object, safe to print in one line."""
    assert event.bucket is not None
    assert event.key is not None
    return str(ObjectName("", event.bucket, event.key, event.version_id))


def _in_one_line(text: str) -> str:
    """Return a text without line breaks and control characters."""
    text = " ".join(text.split())
    return text if text.isprintable() else ascii(text)[1:-1]
