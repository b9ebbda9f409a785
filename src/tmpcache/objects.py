"""What the wings and the hall tell each other about: an object's name, and its copy on disk."""

from __future__ import annotations

from .errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import PosixPath

# Plain classes with slots: importing dataclasses would cost a fresh process 5 ms of its 25.


class ObjectName:
    """Which object is meant: where it comes from, bucket, key and, if pinned, the version."""

    __slots__ = ("bucket", "key", "origin", "version")

    def __init__(self, origin: str, bucket: str, key: str, version: str | None = None) -> None:
        self.origin, self.bucket, self.key, self.version = origin, bucket, key, version or ""
        for what, text in (("bucket", bucket), ("key", key), ("version_id", self.version)):
            if not isinstance(text, str) or (not text and what != "version_id"):
                raise ConfigError(f"{what}={text!r} is not a name: give a text that is not empty")
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ConfigError(f"{what}={text!r} is not valid Unicode text") from None

    def __str__(self) -> str:
        """As people write it, safe to print in one line of a log."""
        text = f"s3://{self.bucket}/{self.key}" + (
            f"?versionId={self.version}" * bool(self.version)
        )
        return text if text.isprintable() else ascii(text)[1:-1]

    def parts(self) -> tuple[str, str, str, str]:
        """Bucket, key, version and origin: what identifies the object in the index."""
        return self.bucket, self.key, self.version, self.origin

    def file_id(self) -> str:
        """A file name for this object: a hash that nobody can aim, no part of the key."""
        from hashlib import blake2b

        return blake2b(repr(self.parts()).encode(), digest_size=20).hexdigest()


class Copy:
    """One version of an object as it lies on disk, and when the origin last confirmed it."""

    __slots__ = (
        "boot",
        "bucket",
        "etag",
        "inode",
        "key",
        "lease_id",
        "mtime_ns",
        "name",
        "parsed",
        "path",
        "scope",
        "size",
        "validated_at",
        "version_id",
        "written_at",
    )

    bucket: str
    key: str
    etag: str
    version_id: str | None
    #: File name under blobs/, and the whole path.
    name: str
    path: str
    #: The path as pathlib of 3.11 parses it, once it has (2 µs).
    parsed: PosixPath | None
    lease_id: int
    #: Bytes; the file's fingerprint; the boot during which it was last known to be whole.
    size: int
    inode: int
    mtime_ns: int
    boot: str
    #: Seconds since the epoch, for the scope; None: never confirmed to it.
    validated_at: float | None
    #: Who was told, hashed; None: that is not known, and what they were told is not kept.
    scope: str | None
    #: The same as the index knows it.
    written_at: float | None

    def __init__(self) -> None:
        self.parsed = self.scope = None

    def as_told(self, scope: str | None) -> Copy:
        """The same copy for somebody else, to whom nothing was confirmed yet."""
        copy = Copy()
        for field in self.__slots__:
            setattr(copy, field, getattr(self, field))
        copy.scope, copy.validated_at, copy.written_at = scope, None, None
        return copy

    @property
    def digest(self) -> str:
        """The xxh3_128 hash of the content."""
        return self.name[:32]
