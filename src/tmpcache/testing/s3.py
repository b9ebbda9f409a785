"""An S3 server on loopback that remembers every request and misbehaves on demand.

The objects live in moto, which speaks enough of S3 (conditional requests, ranges, versions, IAM).
A WSGI layer around it writes down what was asked and applies faults, so that a test can say "the
third GET of this key is answered with 503" and count what the client did about it.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
from werkzeug.wrappers import Request as Incoming

from .answers import Canned, error
from .bucket import Bucket
from .faults import Armed, Fault, Headers
from .moto_server import LoopbackServer, moto

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from mypy_boto3_s3 import S3Client


#: In the User-Agent of what a test does through a `Bucket`; such requests are not written down.
_OWNER = "tmpcache-testing-owner"


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


class S3Server:
    """The server, its log and its faults. It runs until `stop`; `reset` between tests.

    >>> server = S3Server()
    >>> models = server.bucket("models")
    >>> etag = models.put("e13b.npz", b"template")
    >>> client = server.client()  # what the code under test would use
    >>> client.get_object(Bucket="models", Key="e13b.npz")["ETag"] == etag
    True
    >>> [(get.status, get.sent) for get in models.gets("e13b.npz")]
    [(200, 8)]
    >>> client.close()
    >>> server.stop()
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._log: list[Request] = []
        self._armed: list[Armed] = []
        self._canned: dict[str, Canned] = {}
        self._owner: S3Client | None = None
        self._store = moto()
        self._server = LoopbackServer(self._answer)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self._server.address

    @property
    def endpoint(self) -> str:
        """The endpoint URL, for ``AWS_ENDPOINT_URL_S3``."""
        return self._server.endpoint

    def stop(self) -> None:
        """End the server's thread and close its socket."""
        if self._owner is not None:
            self._owner.close()
        self._server.stop()

    def reset(self) -> None:
        """Forget objects, users, requests and faults."""
        self.post("/moto-api/reset-auth", b"999999999")
        self.post("/moto-api/reset")
        with self._lock:
            self._log, self._armed, self._canned = [], [], {}

    def post(self, path: str, body: bytes = b"") -> None:
        """Talk to moto's own control API."""
        request = urllib.request.Request(  # noqa: S310 - our own endpoint
            self.endpoint + path, data=body, headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310
            response.read()

    def client(self, **settings: Any) -> S3Client:
        """A boto3 client that talks straight to the server, whatever the environment says."""
        session = boto3.session.Session("testing", "testing", region_name="us-east-1")
        return session.client("s3", **{"endpoint_url": self.endpoint, **settings})

    def bucket(self, name: str) -> Bucket:
        """Create a bucket."""
        if self._owner is None:
            config = botocore.config.Config(user_agent_extra=_OWNER)
            self._owner = self.client(config=config)
        self._owner.create_bucket(Bucket=name)
        return Bucket(self, name, self._owner)

    # -- what was asked -------------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        """Everything asked since the last `reset` or `forget`, oldest first.

        What was asked through a :class:`Bucket` of `bucket` is left out: that was the test itself.
        """
        with self._lock:
            return list(self._log)

    def gets(self, path: str | None = None) -> list[Request]:
        """The GETs among them, of one path (``"/bucket/key"``) if given."""
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

        Several faults for one path add up. :mod:`tmpcache.testing.faults` has some to choose from.
        """
        with self._lock:
            self._armed.append(Armed(path, fault, skip, times, method))

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
            if not _is_about_the_test(request):
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
                _read_body(environ)
                app = error(fault.status, fault.code)

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


def _read_body(environ: WSGIEnvironment) -> None:
    """Read what the client sends, as S3 does: an answer before that may cut the client off."""
    Incoming(environ).get_data(cache=False)


def _is_about_the_test(request: Request) -> bool:
    return request.path.startswith("/moto-api") or _OWNER in request.headers.get("user-agent", "")


def _counted(body: Iterable[bytes], request: Request) -> Iterator[bytes]:
    try:
        for chunk in body:
            request.sent += len(chunk)
            yield chunk
    finally:
        if hasattr(body, "close"):
            body.close()
