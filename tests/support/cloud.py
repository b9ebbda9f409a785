"""S3, DynamoDB and SES on loopback, behind a layer that lets chosen requests fail.

All three are moto, in this process. The layer passes requests on one at a time: DynamoDB's
transactions are isolated, moto's are not.
"""

from __future__ import annotations

import os
import signal
import threading
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import boto3
from moto.s3.models import s3_backends
from moto.ses.models import ses_backends
from werkzeug.wrappers import Request, Response

from examples.check_scanner import tables
from tmpcache.testing.loopback import LoopbackServer
from tmpcache.testing.moto_server import KeepAliveHandler, moto

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BUCKET, MODELS, PREFIX, SENDER = "checks", "models", "test-", "bank@example.com"


@dataclass
class Trouble:
    """What goes wrong with one request: that of this number, counted from 0, or of this name.

    ``request``: it never arrives. ``answer``: it is carried out, and the answer is lost. ``kill``:
    the same, and the process ``pid`` dies of it.
    """

    which: int | str
    how: Literal["request", "answer", "kill"]
    pid: int = 0

    def strikes(self, number: int, name: str) -> bool:
        """Return whether that request is the one."""
        return self.which == number if isinstance(self.which, int) else self.which in name


@dataclass
class Late:
    """The first request of some name is carried out; its answer waits until it is sent again."""

    call: str = ""
    sent_again: threading.Event = field(default_factory=threading.Event)

    def hold(self, call: str) -> bool:
        """Return whether the answer to the request, known by its `call`, has to wait."""
        if not self.call:
            self.call = call
            return True
        if self.call == call:
            self.sent_again.set()
        return False


class Cloud:
    """The three services as a test sees them; `calls` are those of the code under test."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.calls: list[str] = []
        self.trouble: Trouble | None = None
        #: What is late, by the name that it has in `calls`.
        self.late: dict[str, Late] = {}
        self._counting = False
        self._lock = threading.RLock()
        self.app = moto()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer one request, or do what `trouble` and `late` say."""
        with self._lock:
            trouble, number = None, len(self.calls)
            late = self.late.get(_name(environ)) if self._counting else None
            if self._counting:
                self.calls.append(_name(environ))
                if self.trouble and self.trouble.strikes(number, self.calls[-1]):
                    trouble = self.trouble
            if trouble and trouble.how == "request":
                Request(environ).get_data()  # or the client would be cut off while it sends it
                return _lost(environ, start)
            response = Response.from_app(self.app, environ, buffered=True)
            if trouble:
                if trouble.how == "kill":
                    os.kill(trouble.pid, signal.SIGKILL)
                return _lost(environ, start)
            held = late and late.hold(environ["HTTP_AMZ_SDK_INVOCATION_ID"])
        if late and held:
            late.sent_again.wait(60)
        return response(environ, start)

    # -- what tests do ------------------------------------------------------------------------

    def reset(self) -> None:
        """Empty everything, then make buckets, tables and a sender that SES knows."""
        with self.unseen():
            self.empty()
            for bucket in (BUCKET, MODELS):
                self.s3.create_bucket(Bucket=bucket)
            tables.create(self.dynamodb, PREFIX)
            self.ses.verify_email_identity(EmailAddress=SENDER)
        self.calls, self.trouble, self.late, self._counting = [], None, {}, True

    def empty(self) -> None:
        """Remove all that the services have: they are the same for all clouds of this process."""
        reset = urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """Neither count the test's own requests in this block nor let them fail."""
        before, self._counting = self._counting, False
        try:
            yield
        finally:
            self._counting = before

    @cached_property
    def s3(self) -> Any:
        """A client, straight to this cloud."""
        return boto3.client("s3", endpoint_url=self.endpoint)

    @cached_property
    def ses(self) -> Any:
        """A client, straight to this cloud."""
        return boto3.client("ses", endpoint_url=self.endpoint)

    @cached_property
    def dynamodb(self) -> Any:
        """A client, straight to this cloud."""
        return boto3.resource("dynamodb", endpoint_url=self.endpoint).meta.client

    def put(self, key: str, body: bytes) -> str:
        """Upload an object and return its ETag without quotes."""
        with self.unseen():
            return str(self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"].strip('"'))

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Return what is in the bucket of checks."""
        keys = s3_backends["123456789012"]["aws"].buckets[BUCKET].keys
        return {key: keys[key].value for key in keys if key.startswith(prefix)}

    def table(self, name: str) -> list[dict[str, Any]]:
        """Return all items of one table."""
        with self.unseen():
            return list(self.dynamodb.scan(TableName=PREFIX + name)["Items"])

    def mails(self) -> list[Any]:
        """Return what SES sent, oldest first: `destinations`, `subject`, `body`."""
        return list(ses_backends["123456789012"]["us-east-1"].sent_messages)


@contextmanager
def running() -> Iterator[Cloud]:
    """Run a cloud while the block runs, `reset` before use, and leave nothing to the next one."""
    cloud = Cloud()
    server = LoopbackServer(cloud, KeepAliveHandler)
    cloud.endpoint = server.endpoint
    try:
        yield cloud
    finally:
        with cloud.unseen():
            cloud.empty()
        server.stop()


def _name(environ: WSGIEnvironment) -> str:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    return f"{environ['REQUEST_METHOD']} {target.rpartition('.')[2] or environ['PATH_INFO']}"


def _lost(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
    return Response(b"", status=500)(environ, start)
