"""The Lambda Runtime API on loopback, for one process.

Lambda's runtime client asks ``…/invocation/next``, which is answered when there is an event, and
posts what became of it; or it posts to ``…/init/error`` that it could not even begin. See
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
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
    """One event on its way to the function."""

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
    """What the API tells and asks; called in its threads."""

    def next_event(self) -> Event | None:
        """Block until there is an event; None if there will be none any more."""

    def answered(self, answer: Answer) -> None:
        """Take the answer to the last event."""

    def init_failed(self, error: Any) -> None:
        """Take what kept the function from beginning."""


class RuntimeApi:
    """The server; it runs until `close`."""

    def __init__(self, runtime: Runtime) -> None:
        self._server = _Server(runtime)
        # Looks every 20 ms whether it shall end: `close` waits for that.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """For ``AWS_LAMBDA_RUNTIME_API``."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Hang up. Blocked `Runtime.next_event` calls have to end by themselves."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    # Not http.server's: that one asks the DNS for the name of 127.0.0.1.
    daemon_threads = True

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Processes that are killed in the middle of a request are what this is for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Unbuffered, head and body are two packets, and the second waits 44 ms for the client's ACK.
    wbufsize = 1 << 16

    def do_GET(self) -> None:
        """Answer ``next``, the one question there is."""
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
        """Take the answer to an event, or an init error."""
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
        """Say nothing."""
