"""Kept connections to one S3, and the little of HTTP/1.1 that a GET needs (RFC 9112).

Neither http.client nor urllib3: importing http.client takes 30 ms of a fresh process, as it brings
ssl and the parser of mails, which then takes 40 µs for the headers of each answer; urllib3 twice
that. Here a question is one ``sendall`` and, for a small object, one ``recv``. In return nothing is
overlooked: an answer that is not exactly as expected is :class:`UnknownAnswerError`, and whoever
asked lets boto3 ask again.
"""

from __future__ import annotations

import select
import socket
import time
from weakref import finalize

from ...common.interruption import raise_if_interrupted
from ..s3.errors import BrokenError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..endpoint import Endpoint

#: Bytes that the head of an answer may have; S3's has one KiB, and user metadata of two at most.
_HEAD = 64 * 1024
#: Interim answers (1xx) before one, and trailers after the last chunk, at most.
_INTERIM, _TRAILERS = 10, 100
#: Bytes received at once while it is not known how many there will be: a head with a small object.
_FIRST = 16 * 1024
#: Idle connections that are kept, and for how many seconds: S3 closes them after some 20, and after
#: a freeze nobody may be there to say so. The clock is the one that goes on meanwhile.
_MOST, _IDLE = 64, 30.0
#: Bytes collected from TLS, whose records have 16 KiB: too little for a write each.
_GATHERED = 256 * 1024


class UnknownAnswerError(Exception):
    """What arrived is no answer as they are here understood to be."""


class Answer:
    """The head of an answer, and the connection that the body comes on."""

    __slots__ = ("_chunked", "_connection", "_ends", "_keeps", "_left", "headers", "status")

    def __init__(self, connection: Connection, status: int, headers: dict[str, str]) -> None:
        self._connection: Connection | None = connection
        self.status, self.headers = status, headers
        self._keeps = connection.speaks_11 and "close" not in _words(headers.get("connection"))
        self._chunked, self._ends = False, False
        #: Bytes that are to come: of the body, or of a chunk; None: until the connection ends.
        self._left: int | None = None
        length = headers.get("content-length")
        if coding := headers.get("transfer-encoding"):
            if coding.lower() != "chunked" or length is not None:
                raise UnknownAnswerError(f"a body with Transfer-Encoding {coding}")
            self._chunked, self._left = True, 0
        elif status in (204, 304):
            self._left = 0
        elif length is not None:
            if not (length.isascii() and length.isdigit()):
                raise UnknownAnswerError(f"a body of {length} bytes")
            self._left = int(length)
        else:
            self._keeps = False
        if self._left == 0 and not self._chunked:
            self._end()

    @property
    def is_over(self) -> bool:
        """Whether the body has been read to its end."""
        return self._ends

    def read_into(self, buffer: memoryview) -> int:
        """The next bytes of the body, as they come; 0 at its end, or where it breaks."""
        connection = self._connection
        if connection is None or not len(buffer):
            return 0
        if self._chunked and not self._left:
            self._begin_chunk(connection)
            if self._ends:
                return 0
        left = self._left
        count = connection.receive_into(buffer if left is None else buffer[:left])
        if not count:  # the other side has closed
            self.close()
            if self._chunked:  # whose length nobody else knows
                raise BrokenError("the body broke off in a chunk")
        elif left is not None:
            self._left = left - count
            if self._left == 0 and not self._chunked:
                self._end()
            elif self._left == 0:
                connection.skip_line()
        return count

    def read_all(self, most: int) -> bytes:
        """All of a body that has no more than so many bytes."""
        body = bytearray()
        buffer = memoryview(bytearray(_FIRST))
        while count := self.read_into(buffer):
            body += buffer[:count]
            if len(body) > most:
                raise UnknownAnswerError("a refusal of great length")
        if not self._ends and self._left is not None:
            raise BrokenError("the answer broke off")
        return bytes(body)

    def wait_at_most(self, seconds: float) -> None:
        """How long the next bytes may take."""
        if self._connection is not None:
            self._connection.link.settimeout(seconds)

    def interrupt(self) -> None:
        """Called by another thread: a read under way shall end."""
        if (connection := self._connection) is not None:
            connection.interrupt()

    def close(self) -> None:
        """Give up what has not been read, and the connection with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _begin_chunk(self, connection: Connection) -> None:
        size = connection.line().partition(b";")[0].strip()
        if not size or size.strip(b"0123456789abcdefABCDEF"):
            raise BrokenError("a chunk without a length")
        self._left = int(size, 16)
        if not self._left:
            if all(connection.line() for _ in range(_TRAILERS)):
                raise BrokenError("trailers without an end")
            self._end()

    def _end(self) -> None:
        connection, self._connection = self._connection, None
        self._ends = True
        if connection is not None:
            if self._keeps:
                connection.give_back()
            else:
                connection.close()


class Connection:
    """One, with what has been received of it and not been read."""

    __slots__ = ("_at", "_here", "_pool", "host", "idle_since", "link", "speaks_11")

    def __init__(self, pool: Connections, host: str, link: socket.socket) -> None:
        self._pool, self.host, self.link = pool, host, link
        self._here, self._at = b"", 0
        self.idle_since = 0.0
        self.speaks_11 = True

    def ask(self, request: bytes, timeout: float) -> Answer:
        """Send a request; the answer, as soon as its head is there.

        Raises OSError, and :class:`UnknownAnswerError`; the connection is closed then.
        """
        try:
            self.link.settimeout(timeout)
            self.link.sendall(request)
            for _ in range(_INTERIM):
                status, headers = self._head()
                if status >= 200:
                    return Answer(self, status, headers)
            raise UnknownAnswerError("one interim answer after the other")
        except BaseException:
            self.close()
            raise

    @property
    def is_unheard(self) -> bool:
        """Whether nothing at all has arrived on it since the last answer."""
        return not self._here

    @property
    def is_quiet(self) -> bool:
        """Whether nothing arrives while nothing is asked, neither bytes nor the end."""
        if self._at < len(self._here) or abs(time.time() - self.idle_since) > _IDLE:
            return False
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        return not poll.poll(0)

    def _head(self) -> tuple[int, dict[str, str]]:
        here, at = self._here, self._at
        if at == len(here):
            here, at = b"", 0
        while (end := here.find(b"\r\n\r\n", at)) < 0:
            if len(here) - at > _HEAD:
                raise UnknownAnswerError("a head of great length")
            more = self.link.recv(_FIRST)
            if not more:
                raise BrokenError("the server closed the connection without an answer")
            here, at = here[at:] + more, 0
            self._here, self._at = here, at
            if b"\n\n" in here and b"\r\n\r\n" not in here:
                raise UnknownAnswerError("lines that end with LF alone")
        lines = here[at:end].decode("latin-1").split("\r\n")
        self._here, self._at = here, end + 4
        return self._status(lines[0]), _headers(lines)

    def _status(self, line: str) -> int:
        version, _, rest = line.partition(" ")
        status = rest[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (status.isascii() and status.isdigit()):
            raise UnknownAnswerError("no HTTP")
        self.speaks_11 = version == "HTTP/1.1"
        return int(status) if rest[3:4] in ("", " ") else 0

    def receive_into(self, buffer: memoryview) -> int:
        """The next bytes; first those that came along with the head."""
        here, at = self._here, self._at
        if at < len(here):
            data = here[at : at + len(buffer)]
            self._at = at + len(data)
            buffer[: len(data)] = data
            return len(data)
        if type(self.link) is socket.socket:
            return self.link.recv_into(buffer)
        return self._gather(buffer[:_GATHERED])

    def _gather(self, buffer: memoryview) -> int:
        """Bytes out of TLS; what has arrived before a break is not lost."""
        count = self.link.recv_into(buffer)
        while 0 < count < len(buffer):
            try:
                more = self.link.recv_into(buffer[count:])
            except OSError as error:
                raise_if_interrupted(error)
                break  # the next read says what is the matter
            if not more:
                break
            count += more
        return count

    def line(self) -> bytes:
        """A line between chunks."""
        while True:
            here, at = self._here, self._at
            end = here.find(b"\r\n", at)
            if end >= 0:
                self._at = end + 2
                return here[at:end]
            more = self.link.recv(_FIRST)
            if not more or len(here) - at > _HEAD:
                raise BrokenError("the body broke off between two chunks")
            self._here, self._at = here[at:] + more, 0

    def skip_line(self) -> None:
        """The end of a chunk."""
        if self.line():
            raise BrokenError("a chunk is longer than it said")

    def interrupt(self) -> None:
        """Let a read under way, in another thread, end."""
        try:
            socket.socket.shutdown(self.link, socket.SHUT_RDWR)
        except OSError as error:  # closed already
            raise_if_interrupted(error)

    def give_back(self) -> None:
        """Keep it for the next question, unless more has come than the answer."""
        if self._at < len(self._here):
            return self.close()
        self._here, self._at = b"", 0
        return self._pool.keep(self)

    def close(self) -> None:
        """End it, saying nothing: a parent may still use it."""
        self.link.close()

    __del__ = close


class Connections:
    """Connections to the hosts of one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._idle: dict[str, list[Connection]] = {}
        # A cache that nobody closes is no reason for a warning of Python's about each socket.
        finalize(self, _close_all, self._idle).atexit = False
        self._trust: object = None
        self._is_closed = False

    def kept(self, host: str) -> Connection | None:
        """A connection that was used before and is still open, as far as can be seen."""
        idle = self._idle.get(host)
        while idle:
            try:
                connection = idle.pop()
            except IndexError:  # another thread was faster
                return None
            if connection.is_quiet:
                return connection
            connection.close()
        return None

    def keep(self, connection: Connection) -> None:
        """Have it for later."""
        idle = self._idle.setdefault(connection.host, [])
        if self._is_closed or len(idle) >= _MOST:
            return connection.close()
        connection.idle_since = time.time()
        return idle.append(connection)

    def connect(self, host: str, timeout: float) -> Connection:
        """A new connection to a host, which may have a port."""
        name, port = self._place(host)
        # As bytes: for text, Python loads what encodes international names.
        link = socket.create_connection((name.encode(), port), timeout)  # type: ignore[arg-type]
        try:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._endpoint.scheme == "https":
                link = self._tls().wrap_socket(link, server_hostname=name)  # type: ignore[attr-defined]
            return Connection(self, host, link)
        except BaseException:
            link.close()
            raise

    def close(self) -> None:
        """Close what is idle, and what is in use when its answer has been read."""
        self._is_closed = True
        _close_all(self._idle)

    def _place(self, host: str) -> tuple[str, int]:
        suffix = f":{self._endpoint.port}"
        return host.removesuffix(suffix).strip("[]"), self._endpoint.port

    def _tls(self) -> object:
        if self._trust is None:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.set_alpn_protocols(["http/1.1"])
            context.load_verify_locations(self._endpoint.trust or certificates())
            self._trust = context
        return self._trust


def _close_all(idle: dict[str, list[Connection]]) -> None:
    for connections in idle.values():
        while connections:
            connections.pop().close()


def certificates() -> str:
    """The file of the authorities that botocore trusts when nobody says anything else.

    certifi's if it is installed, else the one that botocore brings, which is found without it.
    """
    try:
        from certifi import where
    except ImportError:
        from importlib.util import find_spec
        from os.path import dirname, join

        found = find_spec("botocore")
        assert found is not None
        assert found.origin is not None
        return join(dirname(found.origin), "cacert.pem")
    return str(where())


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in text.lower().split(",")] if text else []


def _headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not name or name[0] in " \t" or name[-1] in " \t":
            raise UnknownAnswerError("a header that is none")
        name, value = name.lower(), value.strip(" \t")
        before = headers.setdefault(name, value)
        if before != value and name in ("content-length", "etag", "transfer-encoding"):
            raise UnknownAnswerError(f"two headers {name}")
    return headers
