"""One request to the S3 server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Request:
    """One request as it arrived, and how it was answered."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0  #: body bytes written to the socket

    @property
    def etag_asked(self) -> str | None:
        """The ETag in If-None-Match, if any."""
        return self.headers.get("if-none-match")

    @property
    def etag_required(self) -> str | None:
        """The ETag in If-Match, if any."""
        return self.headers.get("if-match")

    @property
    def range(self) -> str | None:
        """The Range header, if any."""
        return self.headers.get("range")
