"""The file system ``tmpcache://`` of fsspec: reads come from the cache, writes go through it."""

from __future__ import annotations

import os
import shutil
from functools import partial

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike

from ...common.handler_exceptions import reraise_from_handler
from ...errors import ObjectNotFoundError
from .files import CachedReader, Upload
from .names import Names
from .writes import Writes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...cached_file import CachedFile


class TmpCacheFileSystem(Names, Writes):
    """S3 as a file system whose files are read from local copies.

    Args:
        fo, target_protocol, target_options: of a chained URL, ``tmpcache::s3://bucket/key``. The
            options of s3fs are translated into a boto3 client; objects come through tmpcache.
        read_only: raise :class:`~tmpcache.errors.ReadOnlyError` for everything that would write.
        options: the arguments of :class:`tmpcache.Cache`. Without any, the default cache is used,
            :func:`tmpcache.default_cache`.

    Raises :class:`~tmpcache.errors.ConfigError` for an option that is not known.

    Every `open` asks S3 with one conditional GET, or nobody within `max_age`, as
    :meth:`tmpcache.Cache.fetch` does. Listings are kept for `max_age`, too, until this file system
    writes. Sizes and ETags come from the copy, else from one HEAD. All errors are those of
    tmpcache; a missing object is also a ``FileNotFoundError``, a forbidden one a
    ``PermissionError``.

    Directories are the common prefixes of keys. There are no empty ones, so `mkdir` does nothing.

    >>> fs = fsspec.filesystem("tmpcache", max_age=300)                     # doctest: +SKIP
    >>> with fs.open("models/micr/e13b.npz") as file:                       # doctest: +SKIP
    ...     header = file.read(6)
    """

    protocol = ("tmpcache",)
    #: For fsspec: open files have the path of a local file as their `name`.
    local_file = True

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        content_type: str | None = None,
        **_: Any,
    ) -> CachedReader | Upload:
        if mode == "rb":
            return CachedReader(self, path, self._fetch(path))
        if mode not in ("wb", "xb"):
            raise NotImplementedError(f"mode {mode!r}: S3 only stores whole objects, use 'wb'")
        self._refuse_if_read_only(path)
        if mode == "xb" and self.exists(path):
            raise FileExistsError(path)
        put = partial(self._put, path, create=mode == "xb", content_type=content_type)
        return Upload(put, autocommit)

    def open_many(self, open_files: Any) -> list[Any]:
        """Open the files of ``with fsspec.open_files(…)``: several threads fetch them.

        Their leases stay after they are closed, as ``fsspec.open_local`` returns their paths only
        then: those of the last 1,000 files, or as many as there is room for, until
        :meth:`release`.
        """
        plain = [one for one in open_files if one.mode == "rb" and one.compression is None]
        paths = [self._strip_protocol(one.path) for one in plain]
        files = dict(zip(map(id, plain), self._fetch_many(paths), strict=True))
        self._shared.kept.keep([*files.values()])
        return [
            CachedReader(self, one.path, files[id(one)]) if id(one) in files else one.__enter__()
            for one in open_files
        ]

    def commit_many(self, open_files: Any) -> None:
        """Do nothing: each file was uploaded when it was closed."""

    def open_local(self, path: str | list[str]) -> str | list[str]:
        """Return the path of a local copy, or several; :meth:`release` ends their leases.

        As ``fsspec.open_local(url)``. The copies of the last 1,000 paths stay until then, or as
        many as there is room for: the oldest leases end where a later file needs it.
        """
        paths = self._strip_protocol(path if isinstance(path, list) else [path])
        files = self._fetch_many(paths)
        self._shared.kept.keep(files)
        names = [str(file) for file in files]
        return names if isinstance(path, list) else names[0]

    def release(self) -> int:
        """End the leases of what `open_local` returned, and return how many they were.

        Those of all file systems with the same options, which share a cache.
        """
        return self._shared.kept.release()

    def _fetch_many(self, paths: list[str]) -> list[CachedFile]:
        """Fetch files by several threads, those of each bucket together."""
        if len(paths) < 2 or self._has_versions:
            return [self._fetch(path) for path in paths]
        keys: dict[str, list[str]] = {}
        for path in paths:
            bucket, key, _ = self._split(path)
            keys.setdefault(bucket, []).append(key)
        fetched = {
            bucket: iter(self._with_room(partial(self.cache.fetch_many, bucket, keys[bucket])))
            for bucket in keys
        }
        return [next(fetched[self._split(path)[0]]) for path in paths]

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        """Return the bytes of a file from `start` to before `end`, which count as in a slice."""
        return _read(self._fetch(path), start, end)

    def cat_ranges(
        self,
        paths: list[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **kwargs: Any,
    ) -> list[Any]:
        """Return byte ranges of files. Each file is fetched once, whatever the number of ranges."""
        files: dict[str, CachedFile | Exception] = {}
        for path in dict.fromkeys(paths):
            try:
                files[path] = self._fetch(path)
            except Exception as error:
                reraise_from_handler(error)
                if on_error != "return":
                    raise
                files[path] = error
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        return [
            found if isinstance(found := files[path], Exception) else _read(found, start, end)
            for path, start, end in zip(paths, starts, ends, strict=True)
        ]

    def get_file(
        self,
        rpath: str,
        lpath: Any,
        callback: Any = DEFAULT_CALLBACK,
        outfile: Any = None,
        **kwargs: Any,
    ) -> None:
        """Copy an object to a local file, which may be changed; make a directory for a prefix."""
        try:
            file = self._fetch(rpath)
        except (ObjectNotFoundError, IsADirectoryError):
            if not self.isdir(rpath):
                raise
            os.makedirs(lpath, exist_ok=True)
            return
        callback.set_size(file.size)
        target = lpath if outfile is None and isfilelike(lpath) else outfile
        if target is None:
            os.makedirs(os.path.dirname(lpath) or ".", exist_ok=True)
            shutil.copyfile(file, lpath)
        else:
            with file.open("rb") as source:
                shutil.copyfileobj(source, target)
        callback.relative_update(file.size)


def _read(file: CachedFile, start: int | None, end: int | None) -> bytes:
    begin, end, _ = slice(start, end).indices(file.size)
    with file.open("rb") as source:
        source.seek(begin)
        content: bytes = source.read(max(0, end - begin))
    return content
