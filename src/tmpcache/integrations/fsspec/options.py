"""Storage options, and the cache that they name.

fsspec makes a file system for each thread, and for each URL that is chained. Those with the same
options share one cache here.
"""

from __future__ import annotations

import inspect
from weakref import WeakValueDictionary

from fsspec.utils import tokenize

from ... import default_cache
from ...cache import Cache
from ...errors import ConfigError
from .kept_leases import KeptLeases
from .s3fs_options import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_OF_A_CACHE = {*inspect.signature(Cache).parameters}
#: Options that fsspec itself gives or understands.
_OF_FSSPEC = {
    *("asynchronous", "batch_size", "listings_expiry_time", "loop", "max_paths"),
    *("skip_instance_cache", "use_listings_cache"),
}


class Shared:
    """What file systems with the same options share: a cache, and the leases of ``open_local``."""

    def __init__(self, cache: Cache | None) -> None:
        self._cache, self.kept = cache, KeptLeases()

    @property
    def cache(self) -> Cache:
        """The cache: the default one of this moment if there were no options."""
        return self._cache or default_cache()


_shared: WeakValueDictionary[str, Shared] = WeakValueDictionary()


def shared(
    options: Mapping[str, Any], protocol: str | None, target_options: Mapping[str, Any] | None
) -> Shared:
    """Return what the file systems with these options share.

    Raises :class:`~tmpcache.errors.ConfigError` for an option that is not known, a chained protocol
    that is not S3's, and what :class:`tmpcache.Cache` refuses.
    """
    if protocol not in (None, "s3", "s3a"):
        raise ConfigError(
            f"tmpcache::{protocol}://… cannot be opened, as tmpcache keeps objects of S3 only: "
            f"use filecache::{protocol}://…"
        )
    arguments = {name: value for name, value in options.items() if name not in _OF_FSSPEC}
    if unknown := sorted({*arguments} - _OF_A_CACHE):
        raise ConfigError(
            f"tmpcache has no storage option {unknown[0]!r}: there are read_only and the arguments "
            f"of tmpcache.Cache ({', '.join(sorted(_OF_A_CACHE))})"
        )
    token = tokenize(arguments, dict(target_options or {}))
    found = _shared.get(token)
    if found is None:
        arguments = translated(target_options or {}) | arguments
        found = _shared.setdefault(token, Shared(Cache(**arguments) if arguments else None))
    return found
