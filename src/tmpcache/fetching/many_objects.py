"""What a cache offers for many objects at a time: fetch_many, fetch_prefix, manifest, warm."""

from __future__ import annotations

from ..config import bucket_and_keys, checked_call, split_prefix_url
from ..errors import ConfigError, TmpCacheError, brief
from .coroutines import awaited

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from typing import Literal, overload

    from ..cached_file import CachedFile
    from ..invocations.scratch import Scratch
    from ..reports import Warming
    from .fetcher import Fetcher
    from .many.fetch_many import Progress
    from .many.fetch_prefix import CachedPrefix
    from .many.warm import Manifest


class ManyObjects:
    """The methods of :class:`tmpcache.Cache` for many objects at a time.

    Each imports what it needs when it is called, so that a hit in a new process need not wait.
    """

    _fetcher: Fetcher

    if TYPE_CHECKING:

        @overload
        def fetch_many(
            self,
            bucket: str | Iterable[str],
            keys: Iterable[str] | None = None,
            *,
            max_age: float | None = None,
            stale_if_error: float | None = None,
            threads: int | None = None,
            return_exceptions: Literal[False] = False,
            progress: Progress | None = None,
        ) -> list[CachedFile]: ...

        @overload
        def fetch_many(
            self,
            bucket: str | Iterable[str],
            keys: Iterable[str] | None = None,
            *,
            max_age: float | None = None,
            stale_if_error: float | None = None,
            threads: int | None = None,
            return_exceptions: bool,
            progress: Progress | None = None,
        ) -> list[CachedFile | Exception]: ...

    def fetch_many(
        self,
        bucket: str | Iterable[str],
        keys: Iterable[str] | None = None,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        threads: int | None = None,
        return_exceptions: bool = False,
        progress: Progress | None = None,
    ) -> list[CachedFile] | list[CachedFile | Exception]:
        """Return the paths of many objects, in the order of the keys. Several threads fetch them.

        The objects are given as a bucket and keys, or as URLs, ``s3://bucket/key``, of one bucket.
        Each object is fetched once; a key that is given again gets a path of its own. All paths
        are leased, so the quota must have room for all. `threads` (default 32, at most 64) end with
        the call; fresh copies need none. This thread calls `progress` with the number of objects
        done, of all objects, and of bytes received. What `progress` raises ends the call.

        Raises :class:`~tmpcache.errors.FetchManyError`, an ``ExceptionGroup`` of what :meth:`fetch`
        raised, after all other objects have been fetched. Its ``results`` has their paths. With
        `return_exceptions` nothing is raised, and errors take the places of paths.

        >>> paths = cache.fetch_many("models", ["a.npz", "b.npz"], max_age=60)  # doctest: +SKIP
        """
        from .many.fetch_many import fetch_many

        bucket, keys = bucket_and_keys(bucket, keys)
        if not hasattr(keys, "__iter__"):
            raise ConfigError(f"keys={keys!r} is not a list of keys")
        _check_progress(progress)
        options = max_age, stale_if_error, threads, return_exceptions, progress
        try:
            return fetch_many(self._fetcher, bucket, keys, *options)
        except TmpCacheError as error:
            raise brief(error) from error.__cause__

    afetch_many = awaited(fetch_many)
    """As :meth:`fetch_many`, in a thread while the event loop goes on."""

    def fetch_prefix(
        self,
        bucket: str,
        prefix: str | None = None,
        *,
        into: Scratch | str | os.PathLike[str] | None = None,
        links: str = "hard",
        stale_if_error: float | None = None,
        threads: int | None = None,
        return_exceptions: bool = False,
        progress: Progress | None = None,
    ) -> CachedPrefix:
        """Return all objects whose keys begin with `prefix`: key to path, in the order of the keys.

        They are given as a bucket and a prefix, or as one URL, ``s3://bucket/prefix``.

        One listing request for 1,000 keys confirms the copies that S3 has given these credentials
        before. All other objects are fetched as by :meth:`fetch_many`, which says what is raised.
        If the listing fails the call fails, whatever `stale_if_error` says.

        `into`, a directory or a :meth:`scratch`, gets a hard link for each object, in directories
        as the keys have them below the prefix's last ``/``. Nothing is overwritten. ``unlinked`` of
        the result has the keys that cannot be file names or whose place is taken, and why.
        ``missing`` has the keys that were listed but do not exist. With ``links="copy"`` the files
        are copies, which share blocks where the file system can, for programs that refuse a file
        with several links, as onnx does.

        >>> tree = cache.fetch_prefix("models", "micr/", into="/opt/micr")  # doctest: +SKIP
        """
        from .many.fetch_prefix import fetch_prefix

        _check_progress(progress)
        if prefix is None:
            bucket, prefix = split_prefix_url(bucket)
        options = stale_if_error, threads, return_exceptions, progress
        try:
            return fetch_prefix(self._fetcher, bucket, prefix, into, *options, links)
        except TmpCacheError as error:
            raise brief(error) from error.__cause__

    def manifest(self) -> str:
        """Return a JSON text that lists all objects, last used first, for :meth:`warm` elsewhere.

        ``{"tmpcache-manifest": 1, "objects": [{"bucket", "key", "etag", "size"}, …]}``, sizes in
        bytes, with ``"version"`` where one was asked for. It has keys, but no secrets.

        >>> cache.put("deploy", "warm.json", cache.manifest().encode())     # doctest: +SKIP
        """
        from .many.warm import manifest

        return manifest(self._fetcher)

    def warm(
        self,
        manifest: Manifest,
        *,
        max_bytes: int | str | None = None,
        max_seconds: float | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Warming:
        """Fetch what a :meth:`manifest` (text, path or mapping) names, hottest first. Report it.

        A URL names a manifest in S3, or a prefix, which ends with a slash. Of a prefix the pack
        is unpacked (:meth:`put_pack`): two requests for all in it. If there is none, all that is
        below the prefix is fetched.

        Nothing is evicted for it: objects that do not fit into the free space, `max_bytes` or
        `max_seconds` are left out. S3 is not asked about objects whose copy is the one named. Of
        objects that have changed, the current version is fetched. Errors are counted, not raised,
        except `ConfigError` if the argument is no manifest.

        >>> cache.warm("s3://models/micr/")                                 # doctest: +SKIP
        >>> cache.warm(cache.fetch("deploy", "warm.json"), max_seconds=5)   # doctest: +SKIP
        """
        _check_progress(progress)
        if isinstance(manifest, str) and manifest.startswith("s3://"):
            from .packs.warm_prefix import warm_from_url

            limits = max_bytes, max_seconds, threads, progress
            return warm_from_url(self._fetcher, manifest, *limits)
        from .many.warm import warm

        return warm(self._fetcher, manifest, max_bytes, max_seconds, threads, progress)


def _check_progress(progress: Progress | None) -> None:
    if progress is not None:
        checked_call("progress", progress)
