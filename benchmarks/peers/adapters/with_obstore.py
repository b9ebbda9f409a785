"""obstore alone: S3 in Rust, and nothing kept."""

from __future__ import annotations

import os
from typing import Any

import obstore
from obstore.exceptions import NotModifiedError
from obstore.store import S3Store

from .protocol import serve


class Obstore:
    """The body is streamed into a file, in pieces of its default size (10 MiB)."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._stores: dict[str, Any] = {}
        self._etags: dict[str, str] = {}

    def fetch(self, bucket: str, key: str) -> str:
        """Download, even if there is a copy."""
        answer = obstore.get(self._store(bucket), key)
        path = os.path.join(self._directory, key.replace("/", "_"))
        with open(path, "wb") as file:
            for chunk in answer.stream():
                file.write(chunk)
        self._etags[key] = answer.meta["e_tag"] or ""
        return path

    def ask(self, bucket: str, key: str) -> str:
        """Send a conditional GET, which is answered with 304."""
        try:
            obstore.get(self._store(bucket), key, options={"if_none_match": self._etags[key]})
        except NotModifiedError:
            return os.path.join(self._directory, key.replace("/", "_"))
        raise AssertionError(f"{key} was sent again although nothing changed")

    def put(self, bucket: str, key: str, path: str) -> None:
        """Upload in parts of its default size (5 MiB), 12 at once."""
        with open(path, "rb") as file:
            obstore.put(self._store(bucket), key, file)

    def _store(self, bucket: str) -> Any:
        if bucket not in self._stores:
            self._stores[bucket] = S3Store(
                bucket,
                endpoint=os.environ["AWS_ENDPOINT_URL_S3"],
                client_options={"allow_http": True},
                virtual_hosted_style_request=False,
            )
        return self._stores[bucket]


if __name__ == "__main__":
    serve(Obstore, "obstore")
