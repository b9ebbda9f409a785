"""cloudpathlib: asks with HEAD every time, compares times of modification."""

from __future__ import annotations

from cloudpathlib import S3Client
from cloudpathlib.enums import FileCacheMode

from .protocol import serve


class CloudPathLib:
    """Makes its own clients, with botocore's 10 connections."""

    def __init__(self, directory: str) -> None:
        self._client = S3Client(local_cache_dir=directory, file_cache_mode=FileCacheMode.persistent)

    def fetch(self, bucket: str, key: str) -> str:
        """Do what `open(path)` does with such a path."""
        return str(self._client.CloudPath(f"s3://{bucket}/{key}").fspath)

    ask = fetch


if __name__ == "__main__":
    serve(CloudPathLib, "cloudpathlib", "boto3")
