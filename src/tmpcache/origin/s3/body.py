"""What GetObject answers: the body on its way, and what the headers say of it."""

from __future__ import annotations

import socket
from http.client import HTTPResponse

from ...common.interruption import reraise_interrupt
from .. import Reply
from .errors import named, translated
from .headers import announced, span
from .origin import READ_TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ...common.deadline import Deadline
    from .errors import Subject


def reply_from(
    response: Mapping[str, Any], subject: Subject, deadline: Deadline | None, *, whole: bool
) -> Reply:
    """A response of botocore as a `Reply`; `whole` if no range was asked for."""
    body = Body(response["Body"], subject, deadline, response.get("ContentLength") or 0)
    start, end, size = span(response)
    checksum = announced(response) if whole else ""  # with a part's range S3 sends the part's
    version_id = response.get("VersionId")
    return Reply(body, response.get("ETag", ""), size, version_id, start, end, checksum)


#: Bytes that http.client waits for, once asked for so many: as much is lost to us if the body
#: stalls or breaks before they are there.
_HELD_BACK = 256 * 1024


class _Prompt:
    """http.client's reader, but for its `readinto`: it gives what is there, waiting for no more."""

    def __init__(self, reader: Any) -> None:
        self._reader, self.readinto = reader, reader.readinto1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def _as_it_comes(http: HTTPResponse) -> bool:
    """Let a response give its bytes as they come, in reads of any size, if its socket is plain.

    Out of a TLS connection they come in records of 16 KiB: too small for a write each.
    """
    reader: Any = http.fp
    link = getattr(getattr(reader, "raw", None), "_sock", None)
    if http.chunked or http.length is None or type(link) is not socket.socket:
        return False
    http.fp = _Prompt(reader)  # type: ignore[assignment]
    return True


class Body:
    """The body of a response whose errors are ours, and which keeps to the deadline.

    It reads from http.client, where the bytes go from the socket into the buffer: on their way
    through urllib3 and botocore they are copied three times (1 GiB: 0.4 s of processor time).
    """

    __slots__ = ("_awaited", "_deadline", "_fill", "_http", "_most", "_stream", "_subject")

    def __init__(
        self, stream: Any, subject: Subject, deadline: Deadline | None, length: int
    ) -> None:
        self._stream, self._subject, self._deadline = stream, subject, deadline
        self._awaited = length  # once all is here, there is no socket any more
        http = getattr(getattr(stream, "_raw_stream", None), "_fp", None)
        self._http = http if isinstance(http, HTTPResponse) else None
        self._fill = stream.readinto if self._http is None else self._http.readinto
        self._most = _HELD_BACK
        if self._http is not None and length > _HELD_BACK and _as_it_comes(self._http):
            self._most = length

    def read(self, buffer: memoryview, /) -> memoryview:
        """The next bytes, in `buffer`."""
        left = READ_TIMEOUT if self._deadline is None else self._deadline.remaining()
        try:
            # A stand-in for S3 (moto's mock_aws, a Stubber) has no socket.
            if left < READ_TIMEOUT and self._awaited > 0 and self._http is not None:
                self._stream.set_socket_timeout(max(left, 0.001))
            count = int(self._fill(buffer[: self._most]))
            if self._http is not None and self._http.isclosed():  # all read: to the next request
                self._stream._raw_stream.release_conn()
            self._awaited -= count
            return buffer[:count]
        except Exception as error:
            reraise_interrupt(error)
            if self._deadline is not None and self._deadline.remaining() <= 0:
                raise self._deadline.exceeded(named(self._subject)) from error
            raise translated(error, self._subject) from error

    def interrupt(self) -> None:
        """Let a read under way, in another thread, fail."""
        try:
            self._stream._raw_stream._fp.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        except (AttributeError, OSError) as error:  # nothing to wait for any more
            reraise_interrupt(error)

    def close(self) -> None:
        """Give the connection up, read or not."""
        self._stream.close()
