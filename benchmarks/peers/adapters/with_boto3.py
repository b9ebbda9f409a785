"""boto3 alone: the client that all who use it here have, and as a peer, get_object into a file."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from .protocol import serve

#: botocore keeps 10 connections, and opens and closes others for more threads than that.
_CONNECTIONS = 64
#: Bytes at once: with 64 KiB, 1 GiB takes half as long again; with 1 or 4 MiB, no less.
_CHUNK = 256 * 1024


def client() -> Any:
    """Return an S3 client from the environment, with connections for many threads."""
    return boto3.client("s3", config=Config(max_pool_connections=_CONNECTIONS))


class Boto3:
    """What somebody writes who needs an object in a file and has read no further."""

    def __init__(self, directory: str) -> None:
        self._directory, self._client = directory, client()
        self._etags: dict[str, str] = {}

    def fetch(self, bucket: str, key: str) -> str:
        """Download, even if there is a copy."""
        answer = self._client.get_object(Bucket=bucket, Key=key)
        path = os.path.join(self._directory, key.replace("/", "_"))
        with open(path, "wb") as file:
            for chunk in answer["Body"].iter_chunks(_CHUNK):
                file.write(chunk)
        self._etags[key] = answer["ETag"]
        return path

    def ask(self, bucket: str, key: str) -> str:
        """Send a conditional GET, which is answered with 304."""
        try:
            self._client.get_object(Bucket=bucket, Key=key, IfNoneMatch=self._etags[key])
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
                return os.path.join(self._directory, key.replace("/", "_"))
            raise
        raise AssertionError(f"{key} was sent again although nothing changed")


if __name__ == "__main__":
    serve(Boto3, "boto3", "botocore")
