"""fsspec's filecache in front of s3fs."""

from __future__ import annotations

from typing import Any

import fsspec
from fsspec.core import OpenFile, OpenFiles

from .protocol import serve


class FileCache:
    """One cache that never asks, and one in the same directory that always does."""

    def __init__(self, directory: str) -> None:
        self._s3 = s3 = fsspec.filesystem("s3")
        self._trusting, self._asking = (
            fsspec.filesystem(
                "filecache",
                fs=s3,
                cache_storage=directory,
                check_files=check,
                skip_instance_cache=True,
            )
            for check in (False, True)
        )

    def fetch(self, bucket: str, key: str) -> str:
        """Open the object and return the name of the local file."""
        return self._opened(self._trusting, bucket, key)

    hit = fetch

    def fetch_many(self, bucket: str, keys: list[str], threads: int) -> list[str]:
        """Use its bulk call (of `fsspec.open_local`): asynchronous, with no number of threads."""
        files = OpenFiles(
            [OpenFile(self._trusting, f"{bucket}/{key}") for key in keys], fs=self._trusting
        )
        with files as opened:
            return [file.name for file in opened]

    def ask(self, bucket: str, key: str) -> str:
        """Open the object, with a HEAD for the ETag."""
        return self._opened(self._asking, bucket, key)

    def put(self, bucket: str, key: str, path: str) -> None:
        """Upload without the cache, which does not take part in that."""
        self._s3.put_file(path, f"{bucket}/{key}")

    def _opened(self, files: Any, bucket: str, key: str) -> str:
        with files.open(f"{bucket}/{key}", "rb") as file:
            return str(file.name)


if __name__ == "__main__":
    serve(FileCache, "fsspec", "s3fs", "aiobotocore")
