"""The response to a GetObject as a `Reply`: what its headers say, and its body."""

from __future__ import annotations

from ...common.handler_exceptions import reraise_from_handler
from .. import Reply
from ..s3 import timeouts
from ..s3.errors import named, translated
from ..s3.headers import announced_checksum, extent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...common.deadline import Deadline
    from ..s3.errors import Subject
    from .request import Request
    from .response import Response

_CHECKSUM = "x-amz-checksum-"


def reply_from(response: Response, request: Request) -> Reply:
    """Make a `Reply` of a response of status 200 or 206."""
    headers = response.headers
    length = headers.get("content-length")
    facts: dict[str, Any] = {
        "ContentLength": None if length is None else int(length),
        "ContentRange": headers.get("content-range"),
    }
    start, end, size = extent_of(facts)
    # To a range that is one part of a multipart upload, S3 responds with the checksum of that part.
    checksum = _checksum(headers) if request.is_whole else ""
    body = Body(response, request.subject, request.deadline)
    version_id = headers.get("x-amz-version-id")
    etag = headers.get("etag", "")
    return Reply(body, etag, size, version_id, start, end, checksum, request.scope)


def _checksum(headers: dict[str, str]) -> str:
    checksums = {}
    for name, value in headers.items():
        if name.startswith(_CHECKSUM):
            algorithm = name.removeprefix(_CHECKSUM)
            checksums["ChecksumType" if algorithm == "type" else f"Checksum{algorithm.upper()}"] = (
                value
            )
    return announced_checksum(checksums) if checksums else ""


class Body:
    """The body of a response. It keeps to the deadline, and raises errors of tmpcache."""

    __slots__ = ("_deadline", "_response", "_subject")

    def __init__(self, response: Response, subject: Subject, deadline: Deadline | None) -> None:
        self._response, self._subject, self._deadline = response, subject, deadline

    def read(self, buffer: memoryview, /) -> memoryview:
        """Return the next bytes, in `buffer`."""
        response, deadline = self._response, self._deadline
        try:
            if deadline is not None and (left := deadline.remaining()) < timeouts.READ_TIMEOUT:
                response.set_timeout(max(left, 0.001))
            return buffer[: response.read_into(buffer)]
        except Exception as error:
            reraise_from_handler(error)
            response.close()
            if deadline is not None and deadline.remaining() <= 0:
                raise deadline.exceeded(named(self._subject)) from error
            raise translated(error, self._subject) from error

    def interrupt(self) -> None:
        """Make a read under way in another thread fail."""
        self._response.interrupt()

    def close(self) -> None:
        """Close the connection, unless the body was read to its end."""
        self._response.close()
