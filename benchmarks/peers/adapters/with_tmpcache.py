"""tmpcache, with the origin that ``TMPCACHE_ORIGIN`` names."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

import tmpcache
from tmpcache import Cache
from tmpcache.errors import ConfigError

from .protocol import serve

#: The package that S3 is asked through; none for the direct way.
_PACKAGE = os.environ.get("TMPCACHE_ORIGIN", "")
_NOT_HERE = "not in this version"
_FRESH = 3600.0


class Tmpcache:
    """Paths are given back at once, so that nothing is leased."""

    def __init__(self, directory: str) -> None:
        try:
            self._cache: Any = Cache(os.path.join(directory, "cache"), quota="4 GiB")
        except ConfigError as error:
            raise NotImplementedError(_NOT_HERE) from error

    def fetch(self, bucket: str, key: str) -> str:
        """Fetch with the default arguments."""
        had_boto3 = "boto3" in sys.modules  # an upload imports it
        path = str(self._cache.fetch(bucket, key))
        if _PACKAGE and _PACKAGE not in sys.modules:
            raise NotImplementedError(_NOT_HERE)
        if not _PACKAGE and not had_boto3 and "boto3" in sys.modules:
            raise RuntimeError("S3 was asked through boto3, although credentials are plain")
        return path

    def fetch_many(self, bucket: str, keys: list[str], threads: int) -> list[str]:
        """Use the bulk call."""
        return [str(path) for path in self._cache.fetch_many(bucket, keys, threads=threads)]

    def ask(self, bucket: str, key: str) -> str:
        """Fetch with the default `max_age`, which always asks."""
        return str(self._cache.fetch(bucket, key, max_age=0))

    def hit(self, bucket: str, key: str) -> str:
        """Fetch what was confirmed within the hour."""
        return str(self._cache.fetch(bucket, key, max_age=_FRESH))

    def put(self, bucket: str, key: str, path: str) -> str:
        """Upload and keep a copy."""
        return str(self._cache.put(bucket, key, path))

    def close(self) -> None:
        """Close the index and the connections."""
        self._cache.close()


if __name__ == "__main__":
    there = [_PACKAGE] if _PACKAGE and find_spec(_PACKAGE) else []
    serve(Tmpcache, *there, tmpcache=tmpcache.__version__)
