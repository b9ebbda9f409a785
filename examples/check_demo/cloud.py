"""The services that the function needs, on loopback, and the function itself.

One moto server in this process is S3, DynamoDB and SES. Requests are counted in front of it: what a
cache claims about itself is one thing, what arrives at S3 is another.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from moto.ses.models import ses_backends

from examples.check_scanner import tables
from examples.check_scanner.records import Records
from tmpcache.testing import LambdaHarness, S3Server

from .uploads import Sent

if TYPE_CHECKING:
    from tmpcache.testing import Request

CHECKS, MODELS, MODEL_KEY = "checks", "models", "micr/e13b.npz"
PREFIX, SENDER = "checks-", "deposits@bank.example"
#: Bytes for the cache: less than all checks have, more than one needs. What was used longest ago
#: goes, the model stays.
QUOTA = 8_000_000

_SOURCES = Path(__file__).parents[2]
_HANDLER = "examples.check_scanner.handler.handler"
# The service is in what every request is signed for.
_SERVICE = re.compile(r"Credential=[^,]*/([a-z0-9]+)/aws4_request")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that SES was given."""

    to: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One invocation.

    ``result`` is what the handler returned for the upload, ``seconds`` how long it took, from the
    event to the answer, with the start of the process if there was none. ``requests`` are those
    that reached S3, ``disk`` the bytes of disk that the cache had allocated afterwards.
    """

    sent: Sent
    result: dict[str, Any]
    seconds: float
    requests: "list[Request]"
    disk: int
    scratch: list[str]

    @property
    def for_the_model(self) -> "list[Request]":
        """The requests for the recogniser's data."""
        return [one for one in self.requests if one.path == f"/{MODELS}/{MODEL_KEY}"]


class Cloud:
    """Everything outside the function."""

    def __init__(self, server: S3Server) -> None:
        self._server = server
        self._s3 = boto3.client("s3")
        self._dynamodb = boto3.resource("dynamodb").meta.client
        for bucket in (CHECKS, MODELS):
            self._s3.create_bucket(Bucket=bucket)
        boto3.client("ses").verify_email_identity(EmailAddress=SENDER)
        tables.create(self._dynamodb, PREFIX)
        self.records = Records(self._dynamodb, PREFIX)

    @property
    def endpoint(self) -> str:
        """Where all services are."""
        return self._server.endpoint

    def forget(self) -> None:
        """Forget the requests so far."""
        self._server.forget()

    def requests(self) -> "list[Request]":
        """Those that reached S3 since then."""
        return [one for one in self._server.requests if service(one) == "s3"]

    def put_model(self, body: bytes, key: str = MODEL_KEY) -> None:
        """Make ``body`` the recogniser's data, or that of another function."""
        self._s3.put_object(Bucket=MODELS, Key=key, Body=body)

    def upload(self, sent: Sent) -> dict[str, Any]:
        """Put the object and return the event that S3 would send."""
        etag = self._s3.put_object(Bucket=CHECKS, Key=sent.key, Body=sent.body)["ETag"]
        thing = {"key": sent.encoded_key, "size": len(sent.body), "eTag": etag.strip('"')}
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": CHECKS}, "object": thing},
        }
        return {"Records": [record]}

    def invoke(self, function: "Function", sent: Sent, event: dict[str, Any]) -> Visit:
        """Have ``function`` handle the event; raises `FunctionError` if it fails."""
        self.forget()
        began = time.monotonic()
        answer = function.harness.invoke(event, timeout=60).result
        took = time.monotonic() - began
        requests = self.requests()
        (result,) = answer["results"]
        return Visit(sent, result, took, requests, function.allocated(), function.scratch())

    def objects(self, prefix: str = "") -> list[str]:
        """The keys in the bucket of checks."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=CHECKS, Prefix=prefix)
        return [thing["Key"] for page in pages for thing in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """The bytes of an object in the bucket of checks."""
        return self._s3.get_object(Bucket=CHECKS, Key=key)["Body"].read()

    def table(self, name: str) -> list[dict[str, Any]]:
        """All items of a table."""
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=PREFIX + name, ConsistentRead=True
        )
        return [dict(item) for page in pages for item in page["Items"]]

    def mails(self) -> list[Mail]:
        """What was sent, oldest first."""
        (backend,) = (region for account in ses_backends.values() for region in account.values())
        return [
            Mail(", ".join(sent.destinations["ToAddresses"]), sent.subject, sent.body)
            for sent in backend.sent_messages
        ]


@dataclass(frozen=True, slots=True)
class Function:
    """The function in its container; ``root`` is where its cache is."""

    harness: LambdaHarness
    root: Path

    def allocated(self) -> int:
        """Bytes on disk that count against the quota, as ``du`` would count them."""
        kept = (file for file in self.root.rglob("*") if "scratch" not in file.parts)
        return sum(file.lstat().st_blocks * 512 for file in kept)

    def scratch(self) -> list[str]:
        """What is in scratch directories, and beside the cache in the temporary directory."""
        scratch = (path for path in self.root.glob("scratch/*/*"))
        beside = (path for path in self.harness.tmp.iterdir() if path != self.root)
        return [str(path) for path in (*scratch, *beside)]


@contextmanager
def function(
    root: Path | None = None, handler: str = _HANDLER, **environ: str
) -> Iterator[Function]:
    """Deploy a function; on a new disk, unless ``root`` is another one's cache."""
    given = {"TMPCACHE_ROOT": str(root)} if root else {}
    with LambdaHarness(handler, directory=_SOURCES, environ=environ | given) as harness:
        yield Function(harness, root or harness.tmp / f"tmpcache-{os.getuid()}")


@contextmanager
def running() -> Iterator[Cloud]:
    """Start the services, point this process and its children at them, and away from the user's."""
    server = S3Server()
    try:
        _isolate(server.endpoint)
        yield Cloud(server)
    finally:
        server.stop()


def service(request: "Request") -> str:
    """Which service a request is for, such as ``s3``."""
    match = _SERVICE.search(request.headers.get("authorization", ""))
    return match[1] if match else ""


def _isolate(url: str) -> None:
    for name in list(os.environ):
        if name.startswith(("AWS_", "TMPCACHE_")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": url,
        "MAIL_FROM": SENDER,
        "MODEL_BUCKET": MODELS,
        "MODEL_KEY": MODEL_KEY,
        "TABLE_PREFIX": PREFIX,
        "TMPCACHE_QUOTA": str(QUOTA),
    }
