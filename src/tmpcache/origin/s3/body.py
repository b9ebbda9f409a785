"""The response to a GetObject as a `Reply`: what its headers say, and its body.

boto3 gives a body that is read through botocore, urllib3 and http.client. Here it is read from
http.client, with the deadline of the call, and its errors are tmpcache's.
"""

from __future__ import annotations

import socket
from http.client import HTTPResponse

from ...common.handler_exceptions import reraise_from_handler
from .. import Reply
from . import timeouts
from .errors import named, refuses_condition, status_of, translated
from .headers import announced_checksum, extent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ...common.deadline import Deadline
    from .errors import Subject

_CONDITIONS = {"IfMatch", "IfNoneMatch"}


def get_object(client: Any, request: dict[str, Any]) -> Any:
    """Return the response to a GetObject; None if the object still has the given ETag."""
    try:
        return client.get_object(**request)
    except Exception as error:
        if status_of(error) == 304 and "IfNoneMatch" in request:
            return None
        if not refuses_condition(error, *(name for name in _CONDITIONS if name in request)):
            raise
    # The ETag of the response tells as well.
    return client.get_object(**{name: request[name] for name in request.keys() - _CONDITIONS})


def reply_from(
    response: Mapping[str, Any], subject: Subject, deadline: Deadline | None, *, whole: bool
) -> Reply:
    """Make a `Reply` of a response of botocore; `whole` if the request had no range."""
    body = Body(response["Body"], subject, deadline, response.get("ContentLength") or 0)
    start, end, size = extent_of(response)
    # To a range that is one part of a multipart upload, S3 responds with the checksum of that part.
    checksum = announced_checksum(response) if whole else ""
    version_id = response.get("VersionId")
    return Reply(body, response.get("ETag", ""), size, version_id, start, end, checksum)


#: Bytes of a read that http.client fills before it returns. If the body stalls or breaks before
#: that, the bytes that have arrived of it are lost.
_MAX_FILLED_READ = 256 * 1024


class _PromptReader:
    """http.client's reader, with a `readinto` that returns what has arrived and waits for no more.

    Nothing is lost then, however large the buffer is.
    """

    def __init__(self, reader: Any) -> None:
        self._reader, self.readinto = reader, reader.readinto1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def _read_promptly(http: HTTPResponse) -> bool:
    """Let reads of a response return what has arrived; return whether that is possible.

    It is for a plain socket only. A TLS connection gives records of 16 KiB: too small for a write
    each.
    """
    reader: Any = http.fp
    connection = getattr(getattr(reader, "raw", None), "_sock", None)
    if http.chunked or http.length is None or type(connection) is not socket.socket:
        return False
    http.fp = _PromptReader(reader)  # type: ignore[assignment]
    return True


class Body:
    """The body of a response. It keeps to the deadline, and raises errors of tmpcache.

    It reads from http.client, where the bytes go from the socket into the buffer. On their way
    through urllib3 and botocore they are copied three times (1 GiB: 0.4 s of processor time).
    """

    __slots__ = ("_deadline", "_http", "_left", "_max_read", "_readinto", "_stream", "_subject")

    def __init__(
        self, stream: Any, subject: Subject, deadline: Deadline | None, length: int
    ) -> None:
        self._stream, self._subject, self._deadline = stream, subject, deadline
        #: Bytes still to come. After the last one, the response has no socket any more.
        self._left = length
        http = getattr(getattr(stream, "_raw_stream", None), "_fp", None)
        self._http = http if isinstance(http, HTTPResponse) else None
        self._readinto = stream.readinto if self._http is None else self._http.readinto
        self._max_read = _MAX_FILLED_READ
        if self._http is not None and length > _MAX_FILLED_READ and _read_promptly(self._http):
            self._max_read = length

    def read(self, buffer: memoryview, /) -> memoryview:
        """Return the next bytes, in `buffer`."""
        seconds = timeouts.READ_TIMEOUT if self._deadline is None else self._deadline.remaining()
        try:
            # A stand-in for S3 (moto's mock_aws, a Stubber) has no socket.
            if seconds < timeouts.READ_TIMEOUT and self._left > 0 and self._http is not None:
                self._stream.set_socket_timeout(max(seconds, 0.001))
            count = int(self._readinto(buffer[: self._max_read]))
            if self._http is not None and self._http.isclosed():
                # All is read: the connection is free for the next request.
                self._stream._raw_stream.release_conn()
            self._left -= count
            return buffer[:count]
        except Exception as error:
            reraise_from_handler(error)
            if self._deadline is not None and self._deadline.remaining() <= 0:
                raise self._deadline.exceeded(named(self._subject)) from error
            raise translated(error, self._subject) from error

    def interrupt(self) -> None:
        """Make a read under way in another thread fail."""
        try:
            self._stream._raw_stream._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        except (AttributeError, OSError) as error:  # the body has ended
            reraise_from_handler(error)

    def close(self) -> None:
        """Give up the connection, whether the body has been read or not."""
        self._stream.close()
