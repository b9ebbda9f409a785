"""What fsspec asks about names, answered by the origin of a cache."""

from __future__ import annotations

from ...errors import ConfigError
from ...invocations.context import current_deadline
from ...origin.s3.bucket_requests import delete, head, list_buckets, list_level
from ...origin.s3.origin import S3Origin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from ...cache import Cache
    from ...origin import Listed

#: What fsspec knows of a file or directory. The same keys wherever it comes from: fsspec hashes it.
Info = dict[str, "Any"]


def file_info(bucket: str, key: str, size: int, etag: str) -> Info:
    """Return what fsspec knows of an object."""
    return {"name": f"{bucket}/{key}", "size": size, "type": "file", "ETag": etag}


def directory_info(path: str) -> Info:
    """Return what fsspec knows of a common prefix or a bucket."""
    return {"name": path, "size": 0, "type": "directory"}


class Listing:
    """Asks the origin of a cache about names. Nothing is kept here.

    All methods raise the errors of tmpcache, and a ``ConfigError`` for what an origin that is not
    S3 cannot answer.
    """

    def __init__(self, cache: Cache) -> None:
        # There is no public method that lists: `fetch_prefix` downloads what it lists.
        self._origin: Any = cache._origin

    def level(self, bucket: str, prefix: str) -> list[Info]:
        """Return the objects and directories directly below a prefix ("" or ending in ``/``)."""
        if isinstance(self._origin, S3Origin):
            listed: Iterable[Listed] = list_level(self._origin, bucket, prefix, current_deadline())
        else:
            listed = self._all(bucket, prefix)
        found: dict[str, Info] = {}
        for one in listed:
            name, slash, _ = one.key[len(prefix) :].partition("/")
            if slash:
                found[name + slash] = directory_info(f"{bucket}/{prefix}{name}")
            elif name:  # else the marker of this directory
                found[name] = file_info(bucket, one.key, one.size, one.etag)
        return sorted(found.values(), key=lambda info: str(info["name"]))

    def below(self, bucket: str, prefix: str) -> list[Info]:
        """Return all objects whose keys begin with a prefix; directory markers are left out."""
        return [
            file_info(bucket, one.key, one.size, one.etag)
            for one in self._all(bucket, prefix)
            if not one.key.endswith("/")
        ]

    def keys(self, bucket: str, prefix: str) -> list[str]:
        """Return all keys that begin with a prefix, those of directory markers too."""
        return [one.key for one in self._all(bucket, prefix)]

    def is_directory(self, bucket: str, prefix: str) -> bool:
        """Return whether there is an object below a prefix that is "" or ends in ``/``.

        A bucket is a directory even if it is empty.
        """
        first = next(self._all(bucket, prefix), None)
        return first is not None or not prefix

    def object_info(self, bucket: str, key: str, version_id: str | None) -> Info:
        """Return size and ETag of an object: one HEAD; of an origin that is not S3, a listing."""
        if isinstance(self._origin, S3Origin):
            one = head(self._origin, bucket, key, version_id, current_deadline())
            return file_info(bucket, key, one.size, one.etag)
        for one in self._all(bucket, key):
            if one.key == key:
                return file_info(bucket, key, one.size, one.etag)
        raise FileNotFoundError(f"s3://{bucket}/{key}: the listing has no such object")

    def buckets(self) -> list[Info]:
        """Return the buckets that these credentials own."""
        names = list_buckets(self._s3("list buckets"), current_deadline())
        return [directory_info(name) for name in names]

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object of S3."""
        delete(self._s3("delete objects"), bucket, key, current_deadline())

    def _all(self, bucket: str, prefix: str) -> Iterator[Listed]:
        if not hasattr(self._origin, "list"):
            raise ConfigError(f"{bucket}: the origin {self._origin.name} cannot list objects")
        listed: Iterator[Listed] = self._origin.list(bucket, prefix, deadline=current_deadline())
        return iter(listed)

    def _s3(self, what: str) -> S3Origin:
        if not isinstance(self._origin, S3Origin):
            raise ConfigError(
                f"the origin {self._origin.name} of this cache cannot {what} "
                "(offline=, or an origin= that is not boto3's): use one that can"
            )
        return self._origin
