"""The name of an object, and a copy of it on disk: what store, origin and fetching share."""

from __future__ import annotations

from collections import namedtuple

from ..errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import BinaryIO

    #: What can be put: a path, bytes, or an open binary file.
    Source = str | os.PathLike[str] | bytes | BinaryIO

# No dataclasses: importing them would cost a fresh process 5 ms of its 25.


class ObjectName:
    """The name of an object: its origin, bucket, key and, if one version is meant, that."""

    __slots__ = ("bucket", "key", "origin", "version")

    def __init__(self, origin: str, bucket: str, key: str, version: str | None = None) -> None:
        version = "" if version is None else version
        self.origin, self.bucket, self.key, self.version = origin, bucket, key, version
        for what, text in (("bucket", bucket), ("key", key), ("version_id", self.version)):
            if not isinstance(text, str) or (not text and what != "version_id"):
                raise ConfigError(f"{what}={text!r} is not a name: give a text that is not empty")
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ConfigError(f"{what}={text!r} is not valid Unicode text") from None

        if "://" in bucket:
            raise ConfigError(
                f"bucket={bucket!r} is a URL: give the name alone, or one URL for all"
            )

    def __str__(self) -> str:
        """Return the URL of the object, safe to print in one line of a log."""
        text = f"s3://{self.bucket}/{self.key}" + (
            f"?versionId={self.version}" * bool(self.version)
        )
        return text if text.isprintable() else ascii(text)[1:-1]

    def identity(self) -> tuple[str, str, str, str]:
        """Return bucket, key, version and origin, which identify the object in the index."""
        return self.bucket, self.key, self.version, self.origin

    def file_id(self) -> str:
        """Return a file name for this object: a hash, so that no key can choose a path."""
        from hashlib import blake2b

        return blake2b(repr(self.identity()).encode(), digest_size=20).hexdigest()


class Copy(
    namedtuple(
        "Copy",
        "identity name path size inode mtime_ns boot etag version_id validated_at scope written_at "
        "lease_id",
    )
):
    """One version of an object on disk, and when the origin last confirmed it to one scope.

    Immutable: a path that was returned keeps its facts, whatever becomes of the index.
    """

    __slots__ = ()

    # Not typing.NamedTuple: importing typing would cost a fresh process 3 ms.
    if TYPE_CHECKING:
        #: Bucket, key, version and origin: :meth:`ObjectName.identity`.
        identity: tuple[str, str, str, str]
        #: File name under blobs/, and the whole path.
        name: str
        path: str
        #: Bytes; the file's fingerprint; the boot during which it was last known to be whole.
        size: int
        inode: int
        mtime_ns: int
        boot: str
        etag: str
        version_id: str | None
        #: When the origin last confirmed it to the scope, in seconds since the epoch; None: never.
        validated_at: float | None
        #: The scope that it was confirmed to; None: not known, and the confirmation is not kept.
        scope: str | None
        #: `validated_at` as the index has it, which may be a moment older.
        written_at: float | None
        #: Stands for the blob in the tables of leases.
        lease_id: int

    def for_scope(self, scope: str | None) -> Copy:
        """Return the same copy for another scope, to which nothing was confirmed yet."""
        return self._replace(scope=scope, validated_at=None, written_at=None)

    def confirmed(self, at: float | None, written_at: float | None) -> Copy:
        """Return the same copy, confirmed to its scope at another time.

        Takes a third of the time of `_replace`.
        """
        return Copy._make((*self[:9], at, self.scope, written_at, self.lease_id))

    @property
    def digest(self) -> str:
        """The xxh3_128 hash of the content."""
        return self.name[:32]
