"""A WSGI application on loopback, served by werkzeug in threads of this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class QuietHandler(WSGIRequestHandler):
    """Sends what it has at once (Nagle's algorithm costs 40 ms here) and logs nothing."""

    disable_nagle_algorithm = True

    def connection_dropped(self, *_: object) -> None:
        """Close the connection: an application that answers nothing raises ``ConnectionError``."""
        self.close_connection = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


class LoopbackServer:
    """Serves a WSGI application from a free port of 127.0.0.1 until `stop`."""

    def __init__(
        self, app: WSGIApplication, handler: type[WSGIRequestHandler] = QuietHandler
    ) -> None:
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
