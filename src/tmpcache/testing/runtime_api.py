"""The Lambda Runtime API on loopback, for one process.

Lambda's runtime client sends a GET to ``…/invocation/next``, which is answered when there is an
event, and posts the function's result or error. If the function's module cannot be imported, it
posts to ``…/init/error``. See https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from werkzeug.wrappers import Request, Response

from .loopback import LoopbackServer

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
        self._runtime = runtime
        self._server = LoopbackServer(Request.application(self._answer))

    @property
    def address(self) -> str:
        """Host and port, for ``AWS_LAMBDA_RUNTIME_API``."""
        host, port = self._server.address
        return f"{host}:{port}"

    def close(self) -> None:
        """Stop the server. The caller has to end calls of `Runtime.next_event` that wait."""
        self._server.stop()

    def _answer(self, request: Request) -> Response:
        match request.method, *request.path.removeprefix(_PREFIX).split("/"):
            case "GET", "invocation", "next":
                return _sent(self._runtime.next_event())
            case "POST", "init", "error":  # posted without a Content-Type
                self._runtime.init_failed(request.get_json(force=True))
            case "POST", "invocation", _, ("response" | "error") as kind:
                payload = request.json if request.is_json else request.data
                self._runtime.answered(Answer(payload, kind == "error", time.monotonic()))
            case _:
                return Response(status=HTTPStatus.NOT_FOUND)
        return Response(status=HTTPStatus.ACCEPTED)


def _sent(event: Event | None) -> Response:
    if event is None:
        raise ConnectionAbortedError  # no answer: the connection is closed
    headers = {
        "Lambda-Runtime-Aws-Request-Id": event.request_id,
        "Lambda-Runtime-Deadline-Ms": str(int(event.deadline * 1000)),
        "Lambda-Runtime-Invoked-Function-Arn": _ARN,
        "Lambda-Runtime-Trace-Id": _TRACE,
    }
    return Response(event.body, headers=headers, content_type="application/json")
