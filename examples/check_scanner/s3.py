"""An S3 server in this process, on loopback, that counts what reaches it.

Counting happens in front of the server: what a cache claims about itself is one thing, the
requests that arrive are another.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class _Connection(MotoRequestHandler):
    """Stays open between requests, as S3's do, and writes no access log."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing; the meter has counted it."""


class Meter:
    """A WSGI layer that counts requests by method and status, and the bytes of GET bodies."""

    def __init__(self, app: "WSGIApplication") -> None:
        self._app = app
        self._lock = threading.Lock()
        self._requests: Counter[str] = Counter()
        self._bytes_sent = 0

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Pass the request on and write down how it was answered."""
        response = Response.from_app(self._app, environ, buffered=True)
        method = environ["REQUEST_METHOD"]
        with self._lock:
            self._requests[f"{method} {response.status_code}"] += 1
            self._bytes_sent += len(response.get_data()) if method == "GET" else 0
        return response(environ, start_response)

    def take(self) -> tuple[Counter[str], int]:
        """Return requests (such as ``"GET 304"``) and bytes since the last call."""
        with self._lock:
            taken = self._requests, self._bytes_sent
            self._requests, self._bytes_sent = Counter(), 0
        return taken


@contextmanager
def local_s3() -> Iterator[tuple[str, Meter]]:
    """Serve an empty S3 while the block runs; gives its URL and its meter."""
    meter = Meter(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, meter, threaded=True, request_handler=_Connection)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", meter
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
