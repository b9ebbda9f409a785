"""Answers that fail a GET, and as what: the same through every origin."""

from __future__ import annotations

from support.wire import refused
from tmpcache.errors import (
    AccessDeniedError,
    ObjectChangedError,
    ObjectNotFoundError,
    OriginError,
    OriginUnavailableError,
)

WRONG: list[tuple[bytes, type[OriginError]]] = [
    (refused(400, "ExpiredToken"), AccessDeniedError),
    (refused(400, "InvalidArgument"), OriginError),
    (refused(401, "Unauthorized"), AccessDeniedError),
    (refused(403, "AccessDenied"), AccessDeniedError),
    (refused(403, "RequestTimeTooSkewed"), AccessDeniedError),
    (refused(403, "AccessDenied", missing=1000), AccessDeniedError),
    (refused(404, "NoSuchKey"), ObjectNotFoundError),
    (refused(404, "NoSuchBucket"), ObjectNotFoundError),
    (refused(404, "NoSuchKey", missing=1000), ObjectNotFoundError),
    (refused(405, "MethodNotAllowed"), ObjectNotFoundError),
    (refused(409, "OperationAborted"), OriginError),
    (refused(412, "PreconditionFailed"), ObjectChangedError),
    (refused(416, "InvalidRange"), ObjectChangedError),
    (refused(429, "SlowDown"), OriginUnavailableError),
    (refused(500, "InternalError"), OriginUnavailableError),
    (refused(501, "NotImplemented"), OriginUnavailableError),
    (refused(503, "SlowDown"), OriginUnavailableError),
    (b"HTTP/1.1 304 Not Modified\r\n\r\n", OriginError),
    (b"", OriginUnavailableError),
    (b"nonsense\r\n\r\n", OriginUnavailableError),
]
