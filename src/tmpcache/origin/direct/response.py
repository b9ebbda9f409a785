"""One HTTP/1.1 response to a GET (RFC 9112): its status, its headers and its body.

Neither http.client nor urllib3 reads it. Importing http.client takes 25 ms of a new process, as it
imports ssl and the parser of mails, which then takes 25 µs for the headers of each response, not 3.
Importing urllib3 takes 70 ms. Here a request is one ``sendall`` and, for a small object, one
``recv``.

In return the parser is strict: for a response that is not exactly as expected it raises
:class:`NotUnderstoodError`, and the origin repeats the request through boto3.
"""

from __future__ import annotations

from ..s3.errors import BrokenError
from .errors import NotUnderstoodError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .connection import Connection
    from .connections import ConnectionPool

#: Interim responses (1xx) before the final one, and trailers after the last chunk.
_MAX_INTERIM, _MAX_TRAILERS = 10, 100
#: Bytes of one read of a body that is read as a whole.
_READ = 16 * 1024


def exchange(
    connection: Connection, request: bytes, timeout: float, pool: ConnectionPool
) -> Response:
    """Send a request; return the response as soon as its head has arrived.

    The response gives the connection back to the pool when its body has been read.

    Raises OSError and :class:`NotUnderstoodError`; the connection is closed then.
    """
    try:
        connection.send(request, timeout)
        for _ in range(_MAX_INTERIM):
            lines = connection.read_head()
            version, status = _status_line(lines[0])
            headers = _headers(lines)
            if status >= 200:
                return Response(connection, pool, version, status, headers)
        raise NotUnderstoodError("one interim answer after the other")
    except BaseException:
        connection.close()
        raise


def _status_line(line: str) -> tuple[str, int]:
    version, _, rest = line.partition(" ")
    status = rest[:3]
    is_status = len(status) == 3 and status.isascii() and status.isdigit() and status[0] != "0"
    if version not in ("HTTP/1.1", "HTTP/1.0") or not is_status or rest[3:4] not in ("", " "):
        raise NotUnderstoodError("no HTTP")
    return version, int(status)


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name[0] in " \t" or name[-1] in " \t":
            raise NotUnderstoodError("a header that is none")
        name, value = name.lower(), value.strip(" \t")
        before = headers.setdefault(name, value)
        if before != value and name in ("content-length", "etag", "transfer-encoding"):
            raise NotUnderstoodError(f"two headers {name}")
    return headers


class Response:
    """Status and headers of a response, and the connection that its body arrives on."""

    __slots__ = (
        "_connection",
        "_has_ended",
        "_is_chunked",
        "_is_persistent",
        "_left",
        "_pool",
        "headers",
        "status",
    )

    def __init__(
        self,
        connection: Connection,
        pool: ConnectionPool,
        version: str,
        status: int,
        headers: dict[str, str],
    ) -> None:
        self._connection: Connection | None = connection
        self._pool, self.status, self.headers = pool, status, headers
        #: Whether the connection can be used for another request afterwards.
        self._is_persistent = version == "HTTP/1.1" and "close" not in _words(
            headers.get("connection")
        )
        self._is_chunked = self._has_ended = False
        #: Bytes still to come of the body, or of a chunk; None: until the connection ends.
        self._left: int | None = None
        length = headers.get("content-length")
        if coding := headers.get("transfer-encoding"):
            if coding.lower() != "chunked" or length is not None:
                raise NotUnderstoodError(f"a body with Transfer-Encoding {coding}")
            self._is_chunked, self._left = True, 0
        elif status in (204, 304):
            self._left = 0
        elif length is not None:
            if not (length.isascii() and length.isdigit()):
                raise NotUnderstoodError(f"a body of {length} bytes")
            self._left = int(length)
        else:
            self._is_persistent = False
        if self._left == 0 and not self._is_chunked:
            self._end()

    def read_into(self, buffer: memoryview) -> int:
        """Read the next bytes of the body, as they arrive; 0 at its end, or where it breaks."""
        connection = self._connection
        if connection is None or not len(buffer):
            return 0
        if self._is_chunked and not self._left:
            self._begin_chunk(connection)
            if self._has_ended:
                return 0
        left = self._left
        count = connection.read_into(buffer if left is None else buffer[:left])
        if not count:  # the server has closed the connection
            self.close()
            if self._is_chunked:  # no header has the length that the body should have
                raise BrokenError("the body broke off in a chunk")
        elif left is not None:
            self._left = left - count
            if self._left == 0 and not self._is_chunked:
                self._end()
            elif self._left == 0 and connection.read_line():
                raise BrokenError("a chunk is longer than it said")
        return count

    def read_all(self, max_size: int) -> bytes:
        """Read the whole body; raise :class:`NotUnderstoodError` if it is larger."""
        body = bytearray()
        buffer = memoryview(bytearray(_READ))
        while count := self.read_into(buffer):
            body += buffer[:count]
            if len(body) > max_size:
                raise NotUnderstoodError("a refusal of great length")
        if not self._has_ended and self._left is not None:
            raise BrokenError("the answer broke off")
        return bytes(body)

    def set_timeout(self, seconds: float) -> None:
        """Wait no longer than this for the next bytes."""
        if self._connection is not None:
            self._connection.socket.settimeout(seconds)

    def interrupt(self) -> None:
        """Make a read under way in another thread end."""
        if (connection := self._connection) is not None:
            connection.interrupt()

    def close(self) -> None:
        """Give up what has not been read, and close the connection then."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _begin_chunk(self, connection: Connection) -> None:
        size = connection.read_line().partition(b";")[0].strip()
        if not size or size.strip(b"0123456789abcdefABCDEF"):
            raise BrokenError("a chunk without a length")
        self._left = int(size, 16)
        if not self._left:
            if all(connection.read_line() for _ in range(_MAX_TRAILERS)):
                raise BrokenError("trailers without an end")
            self._end()

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        self._has_ended = True
        if connection is not None:
            if self._is_persistent:
                self._pool.give_back(connection)
            else:
                connection.close()


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in text.lower().split(",")] if text else []
