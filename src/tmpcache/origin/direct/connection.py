"""One connection to S3: its socket, and the bytes that have arrived and were not read yet."""

from __future__ import annotations

import os
import select
import socket
import time

from ...common.handler_exceptions import reraise_from_handler
from ..s3.errors import BrokenError
from .errors import NotUnderstoodError

#: Bytes that the head of a response may have. S3's has one KiB, and two of user metadata at most.
_MAX_HEAD = 64 * 1024
#: Bytes received at once while it is not known how many there will be: a head with a small object.
_FIRST_READ = 16 * 1024
#: Seconds for which an idle connection is reused: S3 closes them after some 20, and after a freeze
#: nothing may be left that says so. They are counted on a clock that goes on during a freeze.
_MAX_IDLE = 30.0
#: Bytes collected from TLS, whose records have 16 KiB: too little for a write each.
_MAX_TLS_READ = 256 * 1024


class Connection:
    """A socket with a buffer of bytes that have arrived and were not read yet."""

    __slots__ = ("_at", "_inode", "_received", "host", "idle_since", "socket")

    def __init__(self, host: str, connected: socket.socket) -> None:
        self.host, self.socket = host, connected
        self._inode = os.fstat(connected.fileno()).st_ino
        #: The bytes that arrived last, and how many of them were read.
        self._received, self._at = b"", 0
        self.idle_since = 0.0

    @property
    def has_received(self) -> bool:
        """Whether any byte has arrived since the last response ended."""
        return bool(self._received)

    @property
    def has_unread(self) -> bool:
        """Whether bytes have arrived that were not read."""
        return self._at < len(self._received)

    @property
    def is_reusable(self) -> bool:
        """Whether an idle connection is young, and neither bytes nor its end have arrived on it."""
        if self.has_unread or abs(time.time() - self.idle_since) > _MAX_IDLE:
            return False
        if not self._is_ours():
            return False
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return not poll.poll(0)

    def send(self, request: bytes, timeout: float) -> None:
        """Send a request; wait no longer than `timeout` seconds for each step from now on."""
        if self.socket.gettimeout() != timeout:  # setting it is a system call
            self.socket.settimeout(timeout)
        self.socket.sendall(request)

    def read_head(self) -> list[str]:
        """Read the lines up to an empty one."""
        received, at = self._received, self._at
        if at == len(received):
            received, at = b"", 0
        while (end := received.find(b"\r\n\r\n", at)) < 0:
            if len(received) - at > _MAX_HEAD:
                raise NotUnderstoodError("a head of great length")
            more = self.socket.recv(_FIRST_READ)
            if not more:
                raise BrokenError("the server closed the connection without an answer")
            received, at = received[at:] + more, 0
            self._received, self._at = received, at
            if b"\n\n" in received and b"\r\n\r\n" not in received:
                raise NotUnderstoodError("lines that end with LF alone")
        self._received, self._at = received, end + 4
        return received[at:end].decode("latin-1").split("\r\n")

    def read_line(self) -> bytes:
        """Read a line, such as those between two chunks."""
        while True:
            received, at = self._received, self._at
            end = received.find(b"\r\n", at)
            if end >= 0:
                self._at = end + 2
                return received[at:end]
            more = self.socket.recv(_FIRST_READ)
            if not more or len(received) - at > _MAX_HEAD:
                raise BrokenError("the body broke off between two chunks")
            self._received, self._at = received[at:] + more, 0

    def read_into(self, buffer: memoryview) -> int:
        """Read the next bytes, first those that arrived along with the head; 0 at the end."""
        received, at, count = self._received, self._at, 0
        if at < len(received):
            data = received[at : at + len(buffer)]
            count = len(data)
            self._at = at + count
            buffer[:count] = data
        if type(self.socket) is not socket.socket:
            return self._read_records(buffer[:_MAX_TLS_READ], count)
        return count or self.socket.recv_into(buffer)

    def _read_records(self, buffer: memoryview, count: int) -> int:
        """Fill the buffer from TLS after its first `count` bytes; return how many it has then.

        If the connection breaks meanwhile, what has arrived before is returned.
        """
        while count < len(buffer):
            try:
                more = self.socket.recv_into(buffer[count:])
            except OSError as error:
                reraise_from_handler(error)
                if not count:
                    raise
                break  # the next read raises it again
            if not more:
                break
            count += more
        return count

    def rest(self) -> None:
        """Note that the connection is idle from now on."""
        self._received, self._at = b"", 0
        self.idle_since = time.time()

    def interrupt(self) -> None:
        """Make a read under way in another thread end."""
        if not self._is_ours():
            return
        try:
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)
        except OSError as error:  # closed already
            reraise_from_handler(error)

    def close(self) -> None:
        """Close the socket, without a shutdown: a parent process may still use the connection."""
        if not self._is_ours():
            self.socket.detach()
        self.socket.close()
        self.__class__ = Connection

    #: Kept here, as modules may be empty already when the interpreter ends and collects objects.
    _fstat = staticmethod(os.fstat)

    def _is_ours(self) -> bool:
        """Return whether the descriptor still belongs to this socket.

        A program that becomes a daemon closes all descriptors, and other files get their numbers.
        """
        try:
            return self._fstat(self.socket.fileno()).st_ino == self._inode
        except OSError as error:
            reraise_from_handler(error)
            return False


class OpenConnection(Connection):
    """A connection until it is closed: then it has no finalizer any more.

    Python drops what a signal handler raises in a finalizer.
    """

    __slots__ = ()

    def __del__(self) -> None:
        self.close()
