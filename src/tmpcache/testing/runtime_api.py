"""The Lambda Runtime API on loopback, for one process.

Lambda's runtime client sends a GET to ``…/invocation/next``, which is answered when there is an
event, and posts the function's result or error. If the function's module cannot be imported, it
posts to ``…/init/error``. See https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

from __future__ import annotations

import json
import socketserver
import sys
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

_PREFIX = "/2018-06-01/runtime/"
_ARN = "arn:aws:lambda:us-east-1:123456789012:function:tmpcache-testing"
_TRACE = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0"


@dataclass(frozen=True)
class Event:
    """One event for the function."""

    request_id: str
    body: bytes  #: JSON
    deadline: float  #: seconds since the epoch


@dataclass(frozen=True)
class Answer:
    """What the function posted about an event."""

    payload: Any  #: decoded, or bytes if it is not JSON
    failed: bool
    at: float  #: seconds, `time.monotonic`


class Runtime(Protocol):
    """What the API calls, in its threads."""

    def next_event(self) -> Event | None:
        """Wait until there is an event; return None if there will be none."""

    def answered(self, answer: Answer) -> None:
        """Receive the answer to the last event."""

    def init_failed(self, error: Any) -> None:
        """Receive the error because of which the function could not be initialised."""


class RuntimeApi:
    """The server; it runs until `close`."""

    def __init__(self, runtime: Runtime) -> None:
        self._server = _Server(runtime)
        # Checks every 20 ms whether it has to end: `close` waits for that.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """Host and port, for ``AWS_LAMBDA_RUNTIME_API``."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop the server. The caller has to end calls of `Runtime.next_event` that wait."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    # Not http.server's: that one looks up the name of 127.0.0.1 in the DNS.
    daemon_threads = True

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections: tests kill processes in the middle of a request."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Unbuffered, head and body are two packets, and the second waits 44 ms for the client's ACK.
    wbufsize = 1 << 16

    def do_GET(self) -> None:
        """Answer ``next``, the only GET of the API."""
        if self.path != f"{_PREFIX}invocation/next":
            return self._reply(HTTPStatus.NOT_FOUND)
        event = self.server.runtime.next_event()
        if event is None:
            self.close_connection = True
            return None
        return self._reply(
            HTTPStatus.OK,
            event.body,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": event.request_id,
                "Lambda-Runtime-Deadline-Ms": str(int(event.deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": _ARN,
                "Lambda-Runtime-Trace-Id": _TRACE,
            },
        )

    def do_POST(self) -> None:
        """Receive the answer to an event, or an init error."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = self.headers.get("Content-Type") == "application/json"
        match self.path.removeprefix(_PREFIX).split("/"):
            case ["init", "error"]:  # posted without a Content-Type
                self.server.runtime.init_failed(json.loads(body))
            case ["invocation", _, "response" | "error" as kind]:
                payload = json.loads(body) if is_json else body
                self.server.runtime.answered(Answer(payload, kind == "error", time.monotonic()))
            case _:
                return self._reply(HTTPStatus.NOT_FOUND)
        return self._reply(HTTPStatus.ACCEPTED)

    def _reply(
        self, status: HTTPStatus, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""
