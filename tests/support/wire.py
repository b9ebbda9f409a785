"""A server whose answers are written byte by byte, for what no real S3 would say on demand."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import parse_headers


class Wire:
    """A server whose answers are written byte by byte; it closes each connection."""

    def __init__(self) -> None:
        self.answer: Callable[[], bytes] = lambda: b""
        self.hold = threading.Event()  #: set: connections are closed after the answer
        self.hold.set()
        self.paths: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close everything."""
        self.hold.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            with connection.makefile("rb") as stream:  # an answer before its end may be lost
                if not (line := stream.readline()):
                    return
                stream.read(int(parse_headers(stream)["Content-Length"] or 0))
            self.paths.append(line.split()[1].decode())
            connection.sendall(self.answer())
            self.hold.wait(30)
            connection.shutdown(socket.SHUT_RDWR)


def ok(body: bytes) -> bytes:
    """Return the bytes of an object."""
    head = (
        f'HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\nETag: "e"\r\n\r\n'
    )
    return head.encode() + body


def refused(status: int, code: str, missing: int = 0) -> bytes:
    """Return a refusal, of which the last `missing` bytes do not come."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>because</Message></Error>"
    return (
        f"HTTP/1.1 {status} No\r\nContent-Length: {len(body) + missing}\r\n"
        f"Connection: close\r\n\r\n{body}"
    ).encode()


def waits_for_the_body(endpoint: str, path: str) -> bool:
    """Return whether a server that has the head of a PUT answers only once it has the body."""
    host, port = endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as link:
        head = f"PUT {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 5\r\n\r\n"
        link.sendall(head.encode())
        early, _, _ = select.select([link], [], [], 0.3)
        link.sendall(b"12345")
        assert link.recv(1 << 16).startswith(b"HTTP/1.")
        return not early
