"""A store with one large object that answers requests for byte ranges differently from S3."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 1 << 18


class OddStore:
    """Sends an object as slowly as a connection to S3; what is odd about it, a test sets."""

    def __init__(self, body: bytes, etag: str = '"1"') -> None:
        self.body, self.etag = body, etag
        #: The ETag in the answer to a range; None for none.
        self.etag_of_ranges: str | None = etag
        self.status_of_ranges = 206
        #: Content-Range with `first`, `last` and `size`; "" for none.
        self.content_range = "bytes {first}-{last}/{size}"
        #: Whether ``If-Match`` is answered with 412, whatever it says.
        self.refuses_if_match = False
        #: Called with the number of the request from 0, and of those under way: whether it is 503.
        self.throttles: Callable[[int, int], bool] = lambda number, others: False
        #: Status and Range of each request.
        self.log: list[tuple[int, str | None]] = []
        #: Seconds for each quarter of a MiB, and bytes after which a body breaks.
        self.pause, self.breaks_after = 0.003, len(body)
        #: Called after each quarter of a MiB: the request's connection, how many others were under
        #: way when it began, and the bytes sent for it so far.
        self.pace: Callable[[socket.socket, int, int], object] = lambda link, others, sent: (
            time.sleep(self.pause)
        )
        #: Bodies under way at the same time, at most.
        self.most_open = 0
        self._lock, self.open = threading.Lock(), 0
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                with suppress(OSError):
                    store._answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Close it."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        with self._lock:
            number, others = len(self.log), self.open
            throttled = self.throttles(number, others)
            status = self.status_of_ranges if asked else 200
            if self.refuses_if_match and request.headers.get("If-Match"):
                status = 412
            elif throttled:
                status = 503
            elif request.headers.get("If-None-Match") == self.etag:
                status = 304
            self.log.append((status, asked))
            self.open += 1
        try:
            if status in (200, 206):
                self.most_open = max(self.most_open, self.open)
                self._send(request, status, asked, others)
            else:
                request.send_response(status)
                request.send_header("Content-Length", "0")
                request.end_headers()
        finally:
            with self._lock:
                self.open -= 1

    def _send(
        self, request: BaseHTTPRequestHandler, status: int, asked: str | None, others: int
    ) -> None:
        first, last = 0, len(self.body) - 1
        etag: str | None = self.etag
        if asked:
            start, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(start), int(end) if end else last
            etag = self.etag_of_ranges
        request.send_response(status)
        if asked and self.content_range:
            place = self.content_range.format(first=first, last=last, size=len(self.body))
            request.send_header("Content-Range", place)
        if etag is not None:
            request.send_header("ETag", etag)
        request.send_header("Content-Length", str(last + 1 - first))
        request.end_headers()
        broken = min(last + 1, first + self.breaks_after)
        for at in range(first, broken, _PIECE):
            request.wfile.write(self.body[at : min(at + _PIECE, broken)])
            self.pace(request.connection, others, at + _PIECE - first)
        if broken <= last:
            request.close_connection = True
