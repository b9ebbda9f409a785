"""moto's server on loopback, in a thread of this process, behind whatever layer is given."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, cast

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def moto() -> WSGIApplication:
    """Return moto's services as one WSGI application."""
    return cast("WSGIApplication", DomainDispatcherApplication(create_backend_app))


class _Handler(MotoRequestHandler):
    """Sends what it has at once (Nagle's algorithm costs 40 ms here) and logs nothing."""

    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


class _KeepAliveHandler(_Handler):
    protocol_version = "HTTP/1.1"


class LoopbackServer:
    """Serves a WSGI application from a free port of 127.0.0.1 until `stop`."""

    def __init__(self, app: WSGIApplication, *, keep_alive: bool = False) -> None:
        """With `keep_alive`, a connection takes more than one request."""
        handler = _KeepAliveHandler if keep_alive else _Handler
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=handler)
        # Looks every 20 ms whether it shall end: `stop` waits for that.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self._server.server_port

    @property
    def endpoint(self) -> str:
        """The endpoint URL."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """End the server's thread and close its socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
