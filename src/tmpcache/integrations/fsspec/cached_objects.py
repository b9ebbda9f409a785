"""What all parts of the file system share: the cache, paths, and how one object is fetched."""

from __future__ import annotations

from fsspec.implementations.chained import ChainedFileSystem
from fsspec.utils import stringify_path

from ...errors import FetchManyError, QuotaExceededError
from .kept_listings import KeptListings
from .listing import Listing
from .options import shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from ...cache import Cache
    from ...cached_file import CachedFile

    T = TypeVar("T")

#: Prefixes of a path that name the same object.
_PREFIXES = ("tmpcache::", "tmpcache://", "s3://", "s3a://")


class CachedObjects(ChainedFileSystem):  # type: ignore[misc] # fsspec has no types
    """Objects by their paths, ``bucket/key``."""

    def __init__(
        self,
        fo: str | None = None,
        target_protocol: str | None = None,
        target_options: Mapping[str, Any] | None = None,
        *,
        read_only: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._shared = shared(options, target_protocol, target_options)
        self.read_only = read_only
        self._has_versions = bool((target_options or {}).get("version_aware"))
        self._kept = KeptListings(options.get("use_listings_cache", True))

    @property
    def cache(self) -> Cache:
        """The cache that files are read from."""
        return self._shared.cache

    def __reduce__(self) -> Any:
        # Raises if a client or an origin was given: those do not work in another process.
        if {"client", "origin"} & {*self.storage_options}:
            self.cache.__reduce__()
        return super().__reduce__()

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        path = stringify_path(path)
        for prefix in _PREFIXES:
            path = path.removeprefix(prefix)
        return path.rstrip("/")

    def _split(self, path: Any) -> tuple[str, str, str | None]:
        """Return bucket, key and version."""
        bucket, _, key = self._strip_protocol(path).partition("/")
        if self._has_versions:
            key, _, version = key.partition("?versionId=")
            return bucket, key, version or None
        return bucket, key, None

    @property
    def _listing(self) -> Listing:
        return Listing(self.cache)

    def _fetch(self, path: Any) -> CachedFile:
        bucket, key, version_id = self._split(path)
        if not key:
            raise IsADirectoryError(f"{path!r} names a bucket: give bucket/key")
        return self._with_room(lambda: self.cache.fetch(bucket, key, version_id=version_id))

    def _with_room(self, call: Callable[[], T]) -> T:
        """Return what `call` returns; where it finds no room, end the oldest of the kept leases."""
        while True:
            try:
                return call()
            except (QuotaExceededError, FetchManyError) as error:
                is_full = not isinstance(error, FetchManyError) or error.subgroup(
                    QuotaExceededError
                )
                if not (is_full and self._shared.kept.drop_oldest()):
                    raise
