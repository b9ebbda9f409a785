"""An S3 server on loopback that remembers every request and misbehaves on demand.

The objects live in moto, which speaks enough of S3 (conditional requests, ranges, versions,
IAM). A WSGI layer around it writes down what was asked and applies `Fault`s, so that a test can
say "the third GET of this key is answered with 503" and count what the client did about it.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import boto3
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.wrappers import Request as WerkzeugRequest
from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from mypy_boto3_s3 import S3Client

Headers = list[tuple[str, str]]


@dataclass
class Request:
    """One request as it arrived, and how it was answered."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int = 0
    sent: int = 0  #: body bytes handed to the socket

    @property
    def etag_asked(self) -> str | None:
        """The ETag in If-None-Match, if any."""
        return self.headers.get("if-none-match")

    @property
    def etag_required(self) -> str | None:
        """The ETag in If-Match, if any."""
        return self.headers.get("if-match")

    @property
    def range(self) -> str | None:
        """The Range header, if any."""
        return self.headers.get("range")


@dataclass(frozen=True)
class Fault:
    """One way to misbehave; the parts that are set apply, in this order."""

    before: Callable[[], object] | None = None  #: run something first, such as an overwrite
    drop: tuple[str, ...] = ()  #: pretend that these request headers were not sent
    status: HTTPStatus | None = None  #: answer with this error, without asking the store
    code: str = ""  #: the S3 error code in that answer
    edit: Callable[[int, Headers], Headers] | None = None  #: change the answer's headers


def _without(name: str) -> Callable[[int, Headers], Headers]:
    return lambda _, headers: [(n, v) for n, v in headers if n.lower() != name]


def _wrong_checksum(status: int, headers: Headers) -> Headers:
    if status != 200:
        return headers
    return [*_without("x-amz-checksum-crc32")(0, headers), ("x-amz-checksum-crc32", "AAAAAA==")]


def _checksum_on_304(status: int, headers: Headers) -> Headers:
    return [*headers, ("x-amz-checksum-crc32", "AAAAAA==")] if status == 304 else headers


def _shift_content_range(_: int, headers: Headers) -> Headers:
    """Claim that the part starts one byte later than it does."""
    found = {name.lower(): value for name, value in headers}.get("content-range")
    if found is None:
        return headers
    first, rest = found.removeprefix("bytes ").split("-", 1)
    return [
        *_without("content-range")(0, headers),
        ("Content-Range", f"bytes {int(first) + 1}-{rest}"),
    ]


SLOW_DOWN = Fault(status=HTTPStatus.SERVICE_UNAVAILABLE, code="SlowDown")
INTERNAL_ERROR = Fault(status=HTTPStatus.INTERNAL_SERVER_ERROR, code="InternalError")
ACCESS_DENIED = Fault(status=HTTPStatus.FORBIDDEN, code="AccessDenied")
IGNORE_IF_NONE_MATCH = Fault(drop=("if-none-match",))
IGNORE_IF_MATCH = Fault(drop=("if-match",))
IGNORE_RANGE = Fault(drop=("range",))
WRONG_CONTENT_RANGE = Fault(edit=_shift_content_range)
CHECKSUM_ON_304 = Fault(edit=_checksum_on_304)
WRONG_CHECKSUM = Fault(edit=_wrong_checksum)
NO_ETAG = Fault(edit=_without("etag"))


@dataclass
class _Armed:
    """A fault waiting for requests of one path."""

    path: str
    fault: Fault
    skip: int
    left: float
    method: str

    def strikes(self, request: Request) -> bool:
        """Whether this request meets the fault, once the first `skip` have passed."""
        if (request.method, request.path) != (self.method, self.path) or self.left <= 0:
            return False
        self.skip, passes = max(0, self.skip - 1), self.skip > 0
        self.left -= not passes
        return not passes


@dataclass(frozen=True)
class Canned:
    """An object served by the layer itself, for keys that moto's URL patterns cannot take."""

    body: bytes
    etag: str

    def answer(self, environ: WSGIEnvironment) -> Response:
        """Answer like S3, conditions and ranges included."""
        response = Response(self.body, mimetype="binary/octet-stream")
        response.set_etag(self.etag)
        return response.make_conditional(
            WerkzeugRequest(environ), accept_ranges=True, complete_length=len(self.body)
        )


class _Quiet(MotoRequestHandler):
    """Sends what it has at once (Nagle's algorithm costs 40 ms here) and logs nothing."""

    disable_nagle_algorithm = True

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing."""


class S3Server:
    """The server, its log and its faults. Start it once; `reset` between tests."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log: list[Request] = []
        self._armed: list[_Armed] = []
        self._canned: dict[str, Canned] = {}
        self._store = cast("WSGIApplication", DomainDispatcherApplication(create_backend_app))
        self._server: BaseWSGIServer = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
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

    def reset(self) -> None:
        """Forget objects, users, requests and faults."""
        self.post("/moto-api/reset-auth", b"999999999")
        self.post("/moto-api/reset")
        with self._lock:
            self._log, self._armed, self._canned = [], [], {}

    def post(self, path: str, body: bytes = b"") -> None:
        """Talk to moto's own control API."""
        request = urllib.request.Request(
            self.endpoint + path, data=body, headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request) as response:
            response.read()

    def client(self, **settings: Any) -> S3Client:
        """A boto3 client that talks straight to the server, whatever the environment says."""
        session = boto3.session.Session("testing", "testing", region_name="us-east-1")
        return session.client("s3", **{"endpoint_url": self.endpoint, **settings})

    # -- what was asked -------------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        """Everything asked since the last `reset` or `forget`, oldest first."""
        with self._lock:
            return list(self._log)

    def gets(self, path: str | None = None) -> list[Request]:
        """The GETs among them, of one path if given."""
        return [r for r in self.requests if r.method == "GET" and path in (None, r.path)]

    def forget(self) -> None:
        """Start counting afresh."""
        with self._lock:
            self._log = []

    # -- misbehaviour ---------------------------------------------------------------------

    def inject(
        self,
        path: str,
        fault: Fault,
        *,
        skip: int = 0,
        times: float = float("inf"),
        method: str = "GET",
    ) -> None:
        """Apply `fault` to requests for `path`: let `skip` pass, then strike `times`.

        Several faults for one path add up.
        """
        with self._lock:
            self._armed.append(_Armed(path, fault, skip, times, method))

    def heal(self) -> None:
        """Behave again."""
        with self._lock:
            self._armed = []

    def serve(self, path: str, body: bytes, etag: str) -> None:
        """Answer `path` from here rather than from moto."""
        with self._lock:
            self._canned[path] = Canned(body, etag)

    # -- the WSGI layer -------------------------------------------------------------------

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        request = _read(environ)
        with self._lock:
            if not request.path.startswith("/moto-api"):
                self._log.append(request)
            faults = [armed.fault for armed in self._armed if armed.strikes(request)]
            app: WSGIApplication = self._store
            if request.method in ("GET", "HEAD") and request.path in self._canned:
                app = self._canned[request.path].answer(environ)
        for fault in faults:
            if fault.before:
                fault.before()
            for name in fault.drop:
                environ.pop("HTTP_" + name.upper().replace("-", "_"), None)
            if fault.status:
                app = _error(fault.status, fault.code)

        def starting(status: str, headers: Headers, exc_info: Any = None) -> Any:
            request.status = int(status.split()[0])
            for fault in faults:
                headers = fault.edit(request.status, headers) if fault.edit else headers
            return start(status, headers, exc_info) if exc_info else start(status, headers)

        return _counted(app(environ, starting), request)


def _read(environ: WSGIEnvironment) -> Request:
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "surrogateescape")
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return Request(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers)


def _error(status: HTTPStatus, code: str) -> Response:
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{status.phrase}</Message></Error>"
    )
    return Response(xml, status=status.value, content_type="application/xml")


def _counted(body: Iterable[bytes], request: Request) -> Iterator[bytes]:
    try:
        for chunk in body:
            request.sent += len(chunk)
            yield chunk
    finally:
        if hasattr(body, "close"):
            body.close()


@dataclass(frozen=True)
class Bucket:
    """One bucket of the server: what a test stores, breaks and counts."""

    server: S3Server
    name: str
    client: S3Client = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def path(self, key: str) -> str:
        """The key's path in a URL, decoded."""
        return f"/{self.name}/{key}"

    def put(self, key: str, body: bytes) -> str:
        """Store an object; its ETag, as S3 spells it (in quotes)."""
        return self.client.put_object(Bucket=self.name, Key=key, Body=body)["ETag"]

    def delete(self, key: str) -> None:
        """Remove an object."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def gets(self, key: str) -> list[Request]:
        """The GETs of one object since the last `S3Server.forget`."""
        return self.server.gets(self.path(key))

    def inject(self, key: str, fault: Fault, *, skip: int = 0, times: float = float("inf")) -> None:
        """Apply a fault to GETs of one object; see `S3Server.inject`."""
        self.server.inject(self.path(key), fault, skip=skip, times=times)
