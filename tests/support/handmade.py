"""An S3 whose answers a function writes: for stores that differ from S3, and to deny by key."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def who(self) -> str:
        """The access key id that signed it, "" for nobody."""
        return self.headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def error(status: int, code: str, **headers: str) -> Answer:
    """Return a refusal, as S3 words it."""
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>because</Message></Error>"
    return Answer(status, text.encode(), {"Content-Type": "application/xml", **headers})


def etag_of(body: bytes) -> str:
    """Return the ETag of an object that was uploaded in one request."""
    return f'"{hashlib.md5(body).hexdigest()}"'


def object_answer(asked: Asked, body: bytes) -> Answer:
    """Return what S3 answers to a GET of an object, conditional or not."""
    if asked.headers.get("if-none-match") == etag_of(body):
        return Answer(304, b"", {"ETag": etag_of(body)})
    return Answer(200, body, {"ETag": etag_of(body)})


class HandmadeS3:
    """The server, and all that it was asked."""

    def __init__(self, answer: Callable[[Asked], Answer]) -> None:
        log = self.log = list[Asked]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 1 << 16

            def handle_expect_100(self) -> bool:
                """Send "continue" now: botocore waits for it, a second at most."""
                goes_on = super().handle_expect_100()
                self.wfile.flush()
                return goes_on

            def _answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                url = urlsplit(self.path)
                body = self._body(headers)
                asked = Asked(self.command, unquote(url.path), url.query, headers, body)
                log.append(asked)
                said = answer(asked)
                self.send_response(said.status)
                for name, value in {"Content-Length": str(len(said.body)), **said.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    with suppress(OSError):
                        self.wfile.write(said.body)

            def _body(self, headers: dict[str, str]) -> bytes:
                if "chunked" not in headers.get("transfer-encoding", ""):
                    return self.rfile.read(int(headers.get("content-length", 0)))
                body = b""
                while size := int(self.rfile.readline().partition(b";")[0], 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def asked(self, method: str = "GET") -> list[Asked]:
        """Return all requests with this method."""
        return [asked for asked in self.log if asked.method == method]

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def handmade(answer: Callable[[Asked], Answer]) -> Iterator[HandmadeS3]:
    """Run a server during the block."""
    server = HandmadeS3(answer)
    try:
        yield server
    finally:
        server.stop()
