"""diskcache, filled by boto3."""

from __future__ import annotations

from diskcache import Cache

from .protocol import serve
from .with_boto3 import client

_LIMIT = 4 * 1024**3


class DiskCache:
    """Bodies are streamed into files, which is its way with large values."""

    def __init__(self, directory: str) -> None:
        self._cache, self._client = Cache(directory, size_limit=_LIMIT), client()

    def fetch(self, bucket: str, key: str) -> str:
        """Store what boto3 gets, then look it up."""
        body = self._client.get_object(Bucket=bucket, Key=key)["Body"]
        self._cache.set(f"{bucket}/{key}", body, read=True)
        return self.hit(bucket, key)

    def hit(self, bucket: str, key: str) -> str:
        """Look it up."""
        with self._cache.get(f"{bucket}/{key}", read=True) as file:
            return str(file.name)

    def close(self) -> None:
        """Close its database."""
        self._cache.close()


if __name__ == "__main__":
    serve(DiskCache, "diskcache", "boto3")
