"""An S3 server on loopback that records every request and misbehaves on demand.

The objects are in moto, which implements enough of S3 (conditional requests, ranges, versions,
IAM). A WSGI layer around it records requests and applies faults. So a test can have the third GET
of a key answered with 503, and count the requests that the client sends then.
"""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import botocore.config
from werkzeug.wrappers import Request as Incoming

from .answers import Canned, error
from .faults import Fault, Headers, InjectedFault
from .loopback import LoopbackServer
from .moto_server import MotoHandler, moto
from .request import Request

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from mypy_boto3_s3 import S3Client


#: In the User-Agent of requests that a test sends through a `Bucket`: those are not recorded.
_OWNER = "tmpcache-testing-owner"


class S3Server:
    """A server, its recorded requests and its faults. It runs until `stop`; `reset` between tests.

    >>> server = S3Server()
    >>> models = server.bucket("models")
    >>> etag = models.put("e13b.npz", b"template")
    >>> client = server.client()  # as the code under test would make it
    >>> client.get_object(Bucket="models", Key="e13b.npz")["ETag"] == etag
    True
    >>> get, = models.gets("e13b.npz")
    >>> get.status, get.sent
    (200, 8)
    >>> client.close()
    >>> server.stop()
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self._faults: list[InjectedFault] = []
        self._canned: dict[str, Canned] = {}
        self._owner: S3Client | None = None
        self._store = moto()
        self._server = LoopbackServer(self._answer, MotoHandler)

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
        """Remove all objects, users, recorded requests and faults."""
        self.post("/moto-api/reset-auth", b"999999999")
        self.post("/moto-api/reset")
        with self._lock:
            self._requests, self._faults, self._canned = [], [], {}

    def post(self, path: str, body: bytes = b"") -> None:
        """Send a request to moto's own control API."""
        request = urllib.request.Request(  # noqa: S310 - this server's endpoint
            self.endpoint + path, data=body, headers={"Content-Type": "text/plain"}
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310
            response.read()

    def client(self, **settings: Any) -> S3Client:
        """Make a boto3 client of this server, whatever the environment says."""
        session = boto3.session.Session("testing", "testing", region_name="us-east-1")
        return session.client("s3", **{"endpoint_url": self.endpoint, **settings})

    def bucket(self, name: str) -> Bucket:
        """Create a bucket."""
        if self._owner is None:
            config = botocore.config.Config(user_agent_extra=_OWNER)
            self._owner = self.client(config=config)
        self._owner.create_bucket(Bucket=name)
        return Bucket(self, name, self._owner)

    # -- recorded requests ----------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        """All requests since the last `reset` or `forget`, oldest first.

        Requests through a :class:`Bucket` are left out: the test itself sends those.
        """
        with self._lock:
            return list(self._requests)

    def gets(self, path: str | None = None) -> list[Request]:
        """Return the GETs among them, of one path (``"/bucket/key"``) if given."""
        return [r for r in self.requests if r.method == "GET" and path in (None, r.path)]

    def forget(self) -> None:
        """Remove all recorded requests."""
        with self._lock:
            self._requests = []

    # -- faults ---------------------------------------------------------------------------

    def inject(
        self,
        path: str,
        fault: Fault,
        *,
        skip: int = 0,
        times: float = float("inf"),
        method: str = "GET",
    ) -> None:
        """Apply `fault` to requests for `path`: not to the first `skip`, but to the next `times`.

        Several faults for one path add up. :mod:`tmpcache.testing.faults` has ready-made ones.
        """
        with self._lock:
            self._faults.append(InjectedFault(path, fault, skip, times, method))

    def heal(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._faults = []

    def serve(self, path: str, body: bytes, etag: str) -> None:
        """Serve an object at `path` without moto, whose URL patterns do not match every key."""
        with self._lock:
            self._canned[path] = Canned(body, etag)

    # -- the WSGI layer -------------------------------------------------------------------

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        request = _read(environ)
        with self._lock:
            if not _is_by_the_test(request):
                self._requests.append(request)
            faults = [one.fault for one in self._faults if one.applies_to(request)]
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

        def start_response(status: str, headers: Headers, exc_info: Any = None) -> Any:
            request.status = int(status.split()[0])
            for fault in faults:
                headers = fault.edit(request.status, headers) if fault.edit else headers
            return start(status, headers, exc_info) if exc_info else start(status, headers)

        return _count_sent(app(environ, start_response), request)


@dataclass(frozen=True)
class Bucket:
    """A bucket in which a test stores objects, injects faults, and counts requests.

    `S3Server.bucket` makes it.
    """

    server: S3Server
    name: str
    client: S3Client = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def path(self, key: str) -> str:
        """Return the path of a key in a URL, decoded."""
        return f"/{self.name}/{key}"

    def put(self, key: str, body: bytes) -> str:
        """Store an object; return its ETag as S3 writes it (in quotes)."""
        return self.client.put_object(Bucket=self.name, Key=key, Body=body)["ETag"]

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=self.name, Key=key)

    def gets(self, key: str) -> list[Request]:
        """Return the GETs of one object since the last `S3Server.forget`."""
        return self.server.gets(self.path(key))

    def inject(self, key: str, fault: Fault, *, skip: int = 0, times: float = float("inf")) -> None:
        """Apply a fault to GETs of one object; see `S3Server.inject`."""
        self.server.inject(self.path(key), fault, skip=skip, times=times)


def _read(environ: WSGIEnvironment) -> Request:
    """Make the record of a request."""
    path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "surrogateescape")
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return Request(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers)


def _read_body(environ: WSGIEnvironment) -> None:
    """Read the request body, as S3 does: a response before that may break the connection."""
    Incoming(environ).get_data(cache=False)


def _is_by_the_test(request: Request) -> bool:
    return request.path.startswith("/moto-api") or _OWNER in request.headers.get("user-agent", "")


def _count_sent(body: Iterable[bytes], request: Request) -> Iterator[bytes]:
    """Pass the body on, and add its bytes to the request."""
    try:
        for chunk in body:
            request.sent += len(chunk)
            yield chunk
    finally:
        if hasattr(body, "close"):
            body.close()
