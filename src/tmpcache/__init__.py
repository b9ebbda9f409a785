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
    from typing import Any

    from . import events
    from .cache import Cache
    from .cached_file import CachedFile, Outcome
    from .common.subscriptions import subscribe
    from .errors import *  # noqa: F403
    from .fetching.coroutines import awaited
    from .fetching.many.fetch_prefix import CachedPrefix
    from .fetching.progress import ByteProgress
    from .invocations.decorator import Invocation, Starter
    from .invocations.scratch import Scratch
    from .reports import Entry, Stats, Usage, Verification, Warming

__all__ = [
    "Cache",
    "CachedFile",
    "CachedPrefix",
    "Entry",
    "Invocation",
    "Outcome",
    "Scratch",
    "Stats",
    "Usage",
    "Verification",
    "Warming",
    "afetch",
    "afetch_many",
    "aload",
    "aput",
    "configure",
    "default_cache",
    "errors",
    "events",
    "fetch",
    "fetch_many",
    "fetch_prefix",
    "invocation",
    "load",
    "manifest",
    "peek",
    "put",
    "put_listing",
    "put_pack",
    "scratch",
    "subscribe",
    "warm",
]
__all__ += errors.__all__
__version__ = "0.1.0"

#: Where classes and functions are. Each is imported at its first use, as that takes time.
_MODULES = {
    "Cache": "cache",
    "CachedPrefix": "fetching.many.fetch_prefix",
    "Invocation": "invocations.decorator",
    "Scratch": "invocations.scratch",
    "subscribe": "common.subscriptions",
    **dict.fromkeys(("CachedFile", "Outcome"), "cached_file"),
    **dict.fromkeys(("Entry", "Stats", "Usage", "Verification", "Warming"), "reports"),
    **dict.fromkeys(("afetch", "afetch_many", "aload", "aput"), "functions"),
    **dict.fromkeys(("fetch_many", "fetch_prefix", "load", "peek", "put", "scratch"), "functions"),
    **dict.fromkeys(("manifest", "put_listing", "put_pack", "warm"), "functions"),
}

_default: Cache | None = None
_lock = _Lock()

if TYPE_CHECKING:  # type checkers see the methods' own signatures, overloads and all
    _cache = Cache()
    fetch = _cache.fetch
    peek = _cache.peek
    fetch_many = _cache.fetch_many
    fetch_prefix = _cache.fetch_prefix
    load = _cache.load
    put = _cache.put
    put_listing = _cache.put_listing
    put_pack = _cache.put_pack
    manifest = _cache.manifest
    warm = _cache.warm
    scratch = _cache.scratch
    afetch = awaited(_cache.fetch)
    afetch_many = awaited(_cache.fetch_many)
    aload = awaited(_cache.load)
    aput = awaited(_cache.put)
    invocation: Starter
else:

    def fetch(
        bucket: str,
        key: str | None = None,
        *,
        max_age: float | None = None,
        stale_if_error: float | None = None,
        version_id: str | None = None,
        sha256: str | None = None,
        progress: ByteProgress | bool | None = None,
    ) -> CachedFile:
        """Return the local path of a whole, current copy of an object; see :meth:`Cache.fetch`."""
        return (_default or default_cache()).fetch(
            bucket,
            key,
            max_age=max_age,
            stale_if_error=stale_if_error,
            version_id=version_id,
            sha256=sha256,
            progress=progress,
        )

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
    if name in _MODULES or name == "events":
        from importlib import import_module

        module = import_module(f".{_MODULES.get(name, name)}", __name__)
        return module if name == "events" else getattr(module, name)
    if name in errors.__all__:
        return getattr(errors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
