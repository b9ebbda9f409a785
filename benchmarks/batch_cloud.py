"""S3, DynamoDB and SES for a batch of the sample: late now and then, and deadly to the batch.

All three are moto, in this process. Requests are passed on one at a time, because DynamoDB's
transactions are isolated and moto's are not.
"""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import boto3
from moto.dynamodb.models.table import Table
from moto.ses.models import ses_backends
from werkzeug.wrappers import Response

from examples.check_scanner import tables
from examples.check_scanner.batch import backlog
from examples.check_scanner.receive import PREFIX as INCOMING
from examples.check_scanner.receive import Upload
from examples.check_scanner.recogniser import model
from examples.check_scanner.result import State
from tmpcache.testing.moto_server import moto

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BUCKET, _MODELS, _PREFIX, _SENDER = "checks", "models", "batch-", "bank@example.com"
#: The batch's settings.
SETTINGS = {"MODEL_BUCKET": _MODELS, "MAIL_FROM": _SENDER, "TABLE_PREFIX": _PREFIX}
#: One write in this many has an answer that comes too late: boto3 sends it again after 8 seconds.
_LATE = 200
_WRITES = ("PutItem", "TransactWriteItems", "UpdateItem")


def _snapshot(table: Any, _: object) -> Any:
    """Copy a table for a transaction that may fail: the sample's replace items, and change none."""
    saved = copy.copy(table)
    saved.items = table.items.copy()
    return saved


@dataclass
class Cloud:
    """Answers the batch `victim`, a process group, and kills it when `kill_at` are decided."""

    decided: int = 0
    kill_at: int = 0
    victim: int = 0
    late: int = 0
    _chance: Random = field(default_factory=lambda: Random("late"))
    _held: dict[str, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._app = moto()
        # moto copies every item for each transaction: half of all the time, at 400 items.
        Table.__deepcopy__ = _snapshot  # type: ignore[attr-defined]

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request; a late answer waits until the request comes a second time."""
        call = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        with self._lock:
            response = Response.from_app(self._app, environ, buffered=True)
            held = self._hold(call, environ.get("HTTP_AMZ_SDK_INVOCATION_ID", ""))
            if call == "TransactWriteItems" and response.status_code == 200:
                self._count_decision()
        if held:
            held.wait()
        return response(environ, start)

    def _hold(self, call: str, sent: str) -> threading.Event | None:
        if sent in self._held:
            self._held.pop(sent).set()
        elif self.victim and call in _WRITES and self._chance.random() < 1 / _LATE:
            self.late += 1
            return self._held.setdefault(sent, threading.Event())
        return None

    def _count_decision(self) -> None:
        self.decided += 1
        if self.decided == self.kill_at:
            os.killpg(self.victim, signal.SIGKILL)
            while self._held:
                self._held.popitem()[1].set()


class Services:
    """What the batch works on, seen from outside."""

    def __init__(self, endpoint: str) -> None:
        """Connect to a `Cloud`."""
        session = boto3.Session("benchmarks", "benchmarks", region_name="us-east-1")
        client = partial(session.client, endpoint_url=endpoint)
        self._s3, self._ses = client("s3"), client("ses")
        self._dynamodb = session.resource("dynamodb", endpoint_url=endpoint).meta.client

    def fill(self, uploads: Iterable[tuple[str, bytes]]) -> None:
        """Make everything that a batch needs, and these uploads."""
        for bucket in (BUCKET, _MODELS):
            self._s3.create_bucket(Bucket=bucket)
        self._s3.put_object(Bucket=_MODELS, Key="micr/e13b.npz", Body=model.build("v1", 4))
        self._ses.verify_email_identity(EmailAddress=_SENDER)
        tables.create(self._dynamodb, _PREFIX)
        for key, body in uploads:
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=body)

    def incoming(self) -> list[Upload]:
        """Return the uploads that are still to be done."""
        return list(backlog(self._s3, BUCKET, INCOMING))

    def decided(self) -> set[str]:
        """Return the ids of the uploads that have been decided."""
        return {row["id"] for row in self._rows("audited") if row["progress"] != "received"}

    def ends(self) -> dict[str, list[dict[str, Any]]]:
        """Return the rows of the final tables."""
        return {state.value: list(self._rows(state)) for state in State}

    def mails(self) -> Counter[str]:
        """Return how many mails each address got."""
        sent = ses_backends["123456789012"]["us-east-1"].sent_messages
        return Counter(mail.destinations["ToAddresses"][0] for mail in sent)

    def _rows(self, table: str) -> Iterator[dict[str, Any]]:
        for page in self._dynamodb.get_paginator("scan").paginate(TableName=_PREFIX + table):
            yield from page["Items"]
