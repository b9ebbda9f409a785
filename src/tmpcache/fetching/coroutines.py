"""What a cache offers to coroutines: its methods, each in a thread while the event loop goes on."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, TypeVar

    from ..cached_file import CachedFile
    from ..common.objects import Source
    from .many.fetch_many import Progress
    from .progress import ByteProgress

    T = TypeVar("T")


class Coroutines:
    """The methods of :class:`tmpcache.Cache` that are awaited.

    Each runs its namesake without the ``a`` in a thread; at most 32 of them run at a time. When the
    task is cancelled, the transfer ends at once. What has arrived of a large object is kept, and
    the next fetch goes on from there.
    """

    if TYPE_CHECKING:
        fetch: Any
        fetch_many: Any
        load: Any
        put: Any

    async def afetch(
        self,
        bucket: str,
        key: str | None = None,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
        sha256: str | None = None,
        progress: ByteProgress | bool | None = None,
    ) -> CachedFile:
        """As :meth:`fetch`. `progress` is called in the thread.

        >>> path = await cache.afetch("models", "micr/e13b.npz")            # doctest: +SKIP
        """
        from .threads import in_thread

        file: CachedFile = await in_thread(
            self.fetch,
            bucket,
            key,
            max_age=max_age,
            stale_if_error=stale_if_error,
            version_id=version_id,
            sha256=sha256,
            progress=progress,
        )
        return file

    async def afetch_many(
        self,
        bucket: str | Iterable[str],
        keys: Iterable[str] | None = None,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        threads: int | None = None,
        return_exceptions: bool = False,
        progress: Progress | None = None,
    ) -> list[CachedFile]:
        """As :meth:`fetch_many`. `progress` is called in the thread."""
        from .threads import in_thread

        files: list[CachedFile] = await in_thread(
            self.fetch_many,
            bucket,
            keys,
            max_age=max_age,
            stale_if_error=stale_if_error,
            threads=threads,
            return_exceptions=return_exceptions,
            progress=progress,
        )
        return files

    async def aload(
        self,
        bucket: str,
        key: str | Callable[[CachedFile], T],
        loader: Callable[[CachedFile], T] | None = None,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
    ) -> T:
        """As :meth:`load`. The loader runs in the thread; it is not ended by a cancellation."""
        from .threads import in_thread

        value: T = await in_thread(
            self.load,
            bucket,
            key,
            loader,
            max_age=max_age,
            stale_if_error=stale_if_error,
            version_id=version_id,
        )
        return value

    async def aput(
        self,
        bucket: str,
        key: str | Source,
        source: Source | None = None,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        content_type: str | None = None,
        request_options: Mapping[str, str] | None = None,
    ) -> CachedFile:
        """As :meth:`put`. A cancelled upload may have gone through."""
        from .threads import in_thread

        file: CachedFile = await in_thread(
            self.put,
            bucket,
            key,
            source,
            if_match=if_match,
            if_none_match=if_none_match,
            content_type=content_type,
            request_options=request_options,
        )
        return file
