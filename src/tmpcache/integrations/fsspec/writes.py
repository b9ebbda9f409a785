"""What changes objects: each write goes to S3 and into the cache, each removal out of both."""

from __future__ import annotations

import os

from fsspec.callbacks import DEFAULT_CALLBACK

from ...errors import ObjectChangedError, ObjectNotFoundError, ReadOnlyError
from .cached_objects import CachedObjects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...common.objects import Source


class Writes(CachedObjects):
    """The methods of :class:`.TmpCacheFileSystem` that change something."""

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        """Store bytes as an object; with mode ``"create"`` only if there is none."""
        self._put(path, value, mode == "create", kwargs.get("content_type"))

    def put_file(
        self,
        lpath: Any,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        """Store a local file as an object; with mode ``"create"`` only if there is none."""
        if os.path.isdir(lpath):
            return
        size = os.path.getsize(lpath)
        callback.set_size(size)
        self._put(rpath, lpath, mode == "create", kwargs.get("content_type"))
        callback.relative_update(size)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Fetch an object, and store its bytes under another name; directories need no copy."""
        try:
            file = self._fetch(path1)
        except (ObjectNotFoundError, IsADirectoryError):
            if not self.isdir(path1):
                raise
            return
        self._put(path2, file)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete objects: those of these names or, if `recursive`, all below them."""
        for one in self.expand_path(path):
            if not recursive:
                self.rm_file(one)
            elif maxdepth is None:
                self._remove_all(one)
            else:
                for name in self.find(one, maxdepth):
                    self.rm_file(name)

    def rm_file(self, path: str) -> None:
        """Delete an object in S3, and forget its copies. As S3 does it, also if there is none."""
        bucket, key, _ = self._split(path)
        self._remove(bucket, key)

    def _remove_all(self, path: str) -> None:
        """Delete all objects below a path, directory markers too; the object if none is below."""
        bucket, key, _ = self._split(path)
        keys = self._listing.keys(bucket, f"{key}/" if key else "")
        if not keys:
            self.info(path)  # raises if there is nothing of this name
        for one in keys or [key] * bool(key):
            self._remove(bucket, one)

    def _remove(self, bucket: str, key: str) -> None:
        self._refuse_if_read_only(f"{bucket}/{key}")
        if not key:
            raise IsADirectoryError(f"{bucket}: buckets are not deleted, only objects")
        self._listing.delete(bucket, key)
        self.cache.evict(bucket, key)
        self.invalidate_cache()

    def _put(
        self, path: str, source: Source, create: bool = False, content_type: str | None = None
    ) -> None:
        self._refuse_if_read_only(path)
        bucket, key, _ = self._split(path)
        if not key:
            raise IsADirectoryError(f"{path!r} names a bucket: give bucket/key")
        condition = "*" if create else None
        options: Any = {"if_none_match": condition, "content_type": content_type}
        try:
            self._with_room(lambda: self.cache.put(bucket, key, source, **options))
        except ObjectChangedError as error:
            if create:
                raise FileExistsError(f"{path} exists: {error}") from error
            raise
        finally:
            self.invalidate_cache()

    def _refuse_if_read_only(self, path: str) -> None:
        if self.read_only:
            raise ReadOnlyError(
                f"{path} cannot be written, as this file system was made with read_only=True: make "
                "one without it"
            )
