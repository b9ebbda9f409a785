"""``python -m benchmarks.sink_server``: an S3 that takes uploads and keeps nothing of them.

In a process of its own, with a thread for each connection, which spends its time in one system
call. It answers each GET with the same small object, and verifies nothing. The header ``X-Taken``
of an answer says how many bytes of bodies have come so far.
"""

from __future__ import annotations

import socket
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock

_BLOCK = 1024 * 1024
_OBJECT = bytes(10_240)
_taken, _lock = [0], Lock()
_XML = b'<Answer><UploadId>1</UploadId><ETag>"1"</ETag></Answer>'


class _Connection(StreamRequestHandler):
    rbufsize = 0
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer one request after the other until the client hangs up."""
        buffer, rest = memoryview(bytearray(_BLOCK)), b""
        while True:
            while (end := rest.find(b"\r\n\r\n")) < 0:
                if not (more := self.request.recv(_BLOCK)):
                    return
                rest += more
            head, rest = rest[:end].decode("latin-1"), rest[end + 4 :]
            first, *lines = head.split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines)
            if "expect" in headers:
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(headers.get("content-length", 0))
            missing = length - len(rest)
            while missing > 0 and (count := self.request.recv_into(buffer[:missing])):
                missing -= count
            rest = rest[len(rest) + missing :] if missing < 0 else b""
            with _lock:
                _taken[0] += length
            self._answer(first.partition(" ")[0])

    def _answer(self, method: str) -> None:
        body = {"GET": _OBJECT, "POST": _XML}.get(method, b"")
        length = len(_OBJECT) if method == "HEAD" else len(body)
        head = f'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: {length}\r\n'
        head += f"X-Taken: {_taken[0]}\r\nLast-Modified: {_DATE}\r\n\r\n"
        self.request.sendall(head.encode() + body)


_DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


class _Server(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = socket.SOMAXCONN


if __name__ == "__main__":
    with _Server(("127.0.0.1", 0), _Connection) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
