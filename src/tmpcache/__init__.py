"""A /tmp file cache for S3 objects.

>>> import tmpcache
>>> path = tmpcache.fetch("models", "micr/e13b.npz", max_age=300)           # doctest: +SKIP
>>> path.read_bytes()                                                       # doctest: +SKIP

`path` is a :class:`CachedFile`: a read-only ``pathlib.Path`` that stays while you hold it.
:func:`fetch` uses one cache for the whole process, set up by :func:`configure` or by ``TMPCACHE_*``
in the environment. Programs that need several caches make each with :class:`Cache`.
"""

from __future__ import annotations

from threading import Lock as _Lock

from . import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable
    from typing import Any, BinaryIO, TypeVar, overload

    from .cache import Cache
    from .cached_file import CachedFile, Outcome
    from .fetching.many.fetch_prefix import CachedPrefix
    from .fetching.many.warm import Manifest
    from .invocations.decorator import Starter
    from .invocations.scratch import Scratch
    from .reports import Warming

    T = TypeVar("T")

__all__ = [
    "Cache",
    "CachedFile",
    "Outcome",
    "configure",
    "default_cache",
    "errors",
    "fetch",
    "fetch_many",
    "fetch_prefix",
    "invocation",
    "load",
    "manifest",
    "put",
    "scratch",
    "warm",
]
__version__ = "0.1.0"

_default: Cache | None = None
_lock = _Lock()


if TYPE_CHECKING:

    @overload
    def fetch(
        url: str,
        /,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
    ) -> CachedFile: ...

    @overload
    def fetch(
        bucket: str,
        key: str,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
    ) -> CachedFile: ...


def fetch(
    bucket: str,
    key: str | None = None,
    *,
    max_age: float | None = None,
    stale_if_error: float | None = None,
    version_id: str | None = None,
) -> CachedFile:
    """Return the local path of a whole, current copy of an object; see :meth:`Cache.fetch`."""
    cache = _default or default_cache()
    return cache.fetch(
        bucket,
        key,  # type: ignore[arg-type]
        max_age=max_age,
        stale_if_error=stale_if_error,
        version_id=version_id,
    )


def fetch_many(bucket: str, keys: Iterable[str], **options: Any) -> list[CachedFile]:
    """Return the paths of many objects; see :meth:`Cache.fetch_many`."""
    return default_cache().fetch_many(bucket, keys, **options)


def fetch_prefix(bucket: str, prefix: str, **options: Any) -> CachedPrefix:
    """Return the paths of all objects below a prefix, by key; see :meth:`Cache.fetch_prefix`."""
    return default_cache().fetch_prefix(bucket, prefix, **options)


def load(bucket: str, key: str, loader: Callable[[CachedFile], T], **options: Any) -> T:
    """Return what `loader` makes of the object, and keep it; see :meth:`Cache.load`."""
    return default_cache().load(bucket, key, loader, **options)


def put(
    bucket: str, key: str, source: str | os.PathLike[str] | bytes | BinaryIO, **options: Any
) -> CachedFile:
    """Upload an object and put a copy into the cache; see :meth:`Cache.put`."""
    return default_cache().put(bucket, key, source, **options)


def manifest() -> str:
    """List all objects, last used first, for :func:`warm` elsewhere; see :meth:`Cache.manifest`."""
    return default_cache().manifest()


def warm(manifest: Manifest, **options: Any) -> Warming:
    """Fetch what a manifest names, as far as it fits; see :meth:`Cache.warm`."""
    return default_cache().warm(manifest, **options)


def scratch() -> Scratch:
    """Make a private directory, removed at the end of ``with``; see :meth:`Cache.scratch`."""
    return default_cache().scratch()


if TYPE_CHECKING:
    invocation: Starter
else:

    def invocation(target: Any = None, **options: Any) -> Any:
        """Decorator of a function's handler, and context manager; see :class:`Invocation`.

        >>> @tmpcache.invocation                                            # doctest: +SKIP
        ... def handler(event, context):
        ...     return tmpcache.fetch("models", "micr/e13b.npz").size
        """
        from .invocations.decorator import invocation as decorate

        return decorate(target, cache=default_cache, **options)


def configure(**settings: Any) -> None:
    """Set up the cache behind :func:`fetch`; settings not given come from the environment.

    Takes the arguments of :class:`Cache` and raises what it raises. May be called again: paths
    that were returned before stay protected.

    >>> tmpcache.configure(quota="400 MB", max_age=60)                      # doctest: +SKIP
    """
    from .cache import Cache

    global _default
    new = Cache(**settings)
    with _lock:
        old, _default = _default, new
    if old is not None:
        old.close()


def default_cache() -> Cache:
    """Return the cache behind :func:`fetch`; make it if there is none yet."""
    from .cache import Cache

    global _default
    with _lock:
        if _default is None:
            _default = Cache()
        return _default


def __getattr__(name: str) -> Any:
    # Imported at the first use, as it takes time.
    if name == "Cache":
        from .cache import Cache

        return Cache
    if name in ("CachedFile", "Outcome"):
        from . import cached_file

        return getattr(cached_file, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
