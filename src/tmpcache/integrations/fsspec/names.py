"""What the file system answers about names: one object, one directory, all below a prefix."""

from __future__ import annotations

from ...errors import ObjectNotFoundError
from .cached_objects import CachedObjects
from .listing import Info, directory_info, file_info

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any


class Names(CachedObjects):
    """The methods of :class:`.TmpCacheFileSystem` that read no bytes and change nothing."""

    def info(self, path: Any, **kwargs: Any) -> Info:
        """Return name, size, type and ETag of an object; name and type of a directory."""
        path = self._strip_protocol(path)
        return self._known(path) or self._asked(path)

    def isdir(self, path: Any) -> bool:
        """Return whether there is something below a path.

        What was an object in the last listing is none: fsspec asks this about each file that
        matches a pattern, right after it has listed them.
        """
        path = self._strip_protocol(path)
        return path not in self._kept.last_files and bool(super().isdir(path))

    def ls(self, path: Any, detail: bool = True, refresh: bool = False, **kwargs: Any) -> list[Any]:
        """List what is directly in a directory or bucket; the buckets for "".

        `refresh` asks S3 even if there is a listing that is younger than `max_age`.
        """
        path = self._strip_protocol(path)
        found = self._level(path, refresh)
        if not found and "/" in path:
            found = [self.info(path)]
        return found if detail else [info["name"] for info in found]

    def find(
        self,
        path: Any,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        refresh: bool = False,
        **kwargs: Any,
    ) -> Any:
        """List all objects below a path, and with `withdirs` the directories they are in.

        Without `maxdepth`, 1,000 objects cost one request, in whatever directories they are.
        """
        path = self._strip_protocol(path)
        if maxdepth is not None and maxdepth < 1:
            raise ValueError("maxdepth must be at least 1")
        if maxdepth is None and path:
            infos = self._below(path, refresh)
        else:
            infos = [*self._levels(path, maxdepth, refresh)]
        found = {info["name"]: info for info in infos if withdirs or info["type"] == "file"}
        if withdirs and infos:
            found |= {name: directory_info(name) for name in _directories(found, path)}
        if not infos and "/" in path and (info := self._file(path)):
            found[path] = info
        return dict(sorted(found.items())) if detail else sorted(found)

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget all listings."""
        self._kept.clear()
        super().invalidate_cache(path)

    def _file(self, path: str) -> Info | None:
        """Return what is known of an object; None if there is none."""
        try:
            info = self.info(path)
        except FileNotFoundError:
            return None
        return info if info["type"] == "file" else None

    def _known(self, path: str) -> Info | None:
        """Return what the copy of an object says, or a listing that is younger than `max_age`."""
        bucket, key, version_id = self._split(path)
        if not bucket:
            return directory_info("")
        try:
            if key and self.cache.peek(bucket, key, version_id=version_id) is not None:
                file = self._fetch(path)  # a hit, or one conditional GET: as fresh as what is read
                return _named(path, file_info(bucket, key, file.size, file.etag))
        except ObjectNotFoundError:
            return None
        for info in self._kept.get(self.cache, self._parent(path)) or ():
            if info["name"] == path:
                return info
        for listing in (path, f"{path}/**"):
            if self._kept.get(self.cache, listing):
                return directory_info(path)
        return None

    def _asked(self, path: str) -> Info:
        """Ask S3 for an object of this name, and then for a directory."""
        bucket, key, version_id = self._split(path)
        if not key:
            self._listing.is_directory(bucket, "")  # raises if there is no such bucket
            return directory_info(path)
        try:
            return _named(path, self._listing.object_info(bucket, key, version_id))
        except FileNotFoundError:
            if not self._listing.is_directory(bucket, f"{key}/"):
                raise
        return directory_info(path)

    def _level(self, path: str, refresh: bool) -> list[Info]:
        """Return what is directly in a directory, from a listing that is younger than `max_age`."""
        bucket, key, _ = self._split(path)
        known = None if refresh or not bucket else self._kept.get(self.cache, path)
        if known is not None:
            return known
        if not bucket:
            return self._listing.buckets()
        prefix = f"{key}/" if key else ""
        return self._kept.ask(self.cache, path, lambda: self._listing.level(bucket, prefix))

    def _levels(self, path: str, depth: int | None, refresh: bool) -> Iterator[Info]:
        """Yield what is in a directory, and in the directories there, down to a depth."""
        for info in self._level(path, refresh):
            yield info
            if info["type"] == "directory" and depth != 1:
                yield from self._levels(info["name"], depth and depth - 1, refresh)

    def _below(self, path: str, refresh: bool) -> list[Info]:
        """Return all objects below a path."""
        bucket, key, _ = self._split(path)
        name, prefix = f"{path}/**", f"{key}/" if key else ""
        known = None if refresh else self._kept.get(self.cache, name)
        if known is not None:
            return known
        return self._kept.ask(self.cache, name, lambda: self._listing.below(bucket, prefix))


def _named(path: str, info: Info) -> Info:
    """Return an info under the name that was asked for, which may have a version."""
    return info | {"name": path}


def _directories(names: Iterable[str], top: str) -> set[str]:
    """Return the directories that these names are in, down from `top`.

    >>> sorted(_directories(["b/x/y/1", "b/x/2"], "b/x"))
    ['b/x', 'b/x/y']
    """
    found = {top} - {""}
    for name in names:
        parent = name.rpartition("/")[0]
        while len(parent) > len(top) and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found
