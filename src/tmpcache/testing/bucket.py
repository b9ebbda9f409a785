"""One bucket of the S3 server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from .faults import Fault
    from .s3 import Request, S3Server


@dataclass(frozen=True)
class Bucket:
    """What a test stores, breaks and counts; made by `S3Server.bucket`."""

    server: S3Server
    name: str
    client: S3Client = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def path(self, key: str) -> str:
        """The key's path in a URL, decoded."""
        return f"/{self.name}/{key}"

    def put(self, key: str, body: bytes) -> str:
        """Store an object; its ETag, as S3 spells it (in quotes)."""
        return self.client.put_object(Bucket=self.name, Key=key, Body=body)["ETag"]

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def gets(self, key: str) -> list[Request]:
        """The GETs of one object since the last `S3Server.forget`."""
        return self.server.gets(self.path(key))

    def inject(self, key: str, fault: Fault, *, skip: int = 0, times: float = float("inf")) -> None:
        """Apply a fault to GETs of one object; see `S3Server.inject`."""
        self.server.inject(self.path(key), fault, skip=skip, times=times)
