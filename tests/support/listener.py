"""A server that keeps its connections, and what tests of the direct origin share."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from tmpcache.origin import Reply
from tmpcache.origin.s3.origin import S3Origin


class Listener:
    """A server that answers on kept connections, by a function of connection and request number."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.answer: Callable[[int, int], bytes | None] = lambda connection, number: ok_kept(
            b"there"
        )
        self.asked: list[tuple[int, bytes]] = []
        self.connections = 0
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._server = socket.create_server((host, 0), family=family, backlog=100)
        at = f"[{host}]" if ":" in host else host
        self.endpoint = f"http://{at}:{self._server.getsockname()[1]}"
        self._links: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link = self._server.accept()[0]
            except OSError:
                return
            self.connections += 1
            self._links.append(link)
            number = self.connections
            threading.Thread(target=self._talk, args=(link, number), daemon=True).start()

    def _talk(self, link: socket.socket, connection: int) -> None:
        heard, number = b"", 0
        with link, suppress(OSError):
            while True:
                while b"\r\n\r\n" not in heard:
                    if not (more := link.recv(1 << 16)):
                        return
                    heard += more
                request, _, heard = heard.partition(b"\r\n\r\n")
                number += 1
                self.asked.append((connection, request))
                answer = self.answer(connection, number)
                if answer is None:
                    return
                link.sendall(answer)

    def stop(self) -> None:
        """Close everything."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for link in self._links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)


def ok_kept(body: bytes, head: str = "") -> bytes:
    """An object, on a connection that stays open."""
    return (
        f'HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nETag: "e"\r\n{head}\r\n'.encode() + body
    )


def body_of(reply: object) -> bytes:
    """All that a reply brings."""
    assert isinstance(reply, Reply)
    brought, buffer = b"", memoryview(bytearray(1000))
    while data := reply.body.read(buffer):
        brought += data
    reply.body.close()
    return brought


def asks_boto3(origin: S3Origin) -> bool:
    return origin._signer is not None
