"""A scanner for tests: uploads that differ, a recogniser that reads what a test sets, a clock."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from PIL import Image, ImageDraw

import tmpcache
from examples.check_scanner.pipeline import process
from examples.check_scanner.reader import ReadAmount, ReadLine
from examples.check_scanner.reading import Decision, Field, Reading
from examples.check_scanner.receive import Upload
from examples.check_scanner.records import Records
from examples.check_scanner.result import Result
from examples.check_scanner.services import Services, Settings
from support.cloud import BUCKET, MODELS, PREFIX, SENDER, Cloud

ROUTING, ACCOUNT = "011000015", "123456789"
_serials = itertools.count(1000)


@cache
def drawing(suffix: str = "PNG") -> bytes:
    """Return a small picture that no two readers would agree about."""
    image = Image.new("RGB", (480, 220), "white")
    ImageDraw.Draw(image).rectangle((40, 180, 440, 200), fill="black")
    packed = io.BytesIO()
    image.save(packed, suffix)
    return packed.getvalue()


def bomb(side: int) -> bytes:
    """Return a PNG of a few bytes that claims to have `side` times `side` pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def reading(**changes: Any) -> Reading:
    """Return an accepted reading of a check that nobody sent in before."""
    usual = {
        "line": "",
        "routing": Field(ROUTING, 0.99, ((1.0, 2.0), (9.5, 2.0), (9.5, 8.0), (1.0, 8.0))),
        "account": Field(ACCOUNT, 0.98),
        "serial": Field(str(next(_serials)), 0.97),
        "amount": Field(None, 0.0),
        "decision": Decision.ACCEPT,
        "reason": "",
        "confidence": 0.97,
        "model_version": "test",
    }
    return Reading(**{**usual, **changes})


def name(email: str = "ann@example.com", amount: str = "19.99", serial: int | None = None) -> str:
    """Return the key of a deposit; no two are alike."""
    moment = 1_475_597_700 + next(_serials) if serial is None else serial
    return f"incoming/{email}^12345679^{amount}^{moment}.png"


def announce(*uploads: Upload) -> dict[str, Any]:
    """Return the event that S3 sends for these."""
    return {
        "Records": [
            {
                "eventName": "ObjectCreated:Put",
                "s3": {
                    "bucket": {"name": upload.bucket},
                    "object": {
                        "key": quote_plus(upload.key, "/"),
                        "eTag": upload.etag,
                        "size": upload.size,
                    },
                },
            }
            for upload in uploads
        ]
    }


@dataclass
class Scanner:
    """The pipeline on `cloud`, with a time to turn."""

    cloud: Cloud
    read_line: ReadLine = field(default=lambda _: reading())
    read_amount: ReadAmount | None = None
    now: float = 1_800_000_000.0

    def __post_init__(self) -> None:
        self.services = Services(
            s3=self.cloud.s3,
            ses=self.cloud.ses,
            records=Records(self.cloud.dynamodb, PREFIX),
            settings=Settings(MODELS, SENDER, table_prefix=PREFIX),
            reader=lambda: lambda image: self.read_line(image),
            courtesy=self.read_amount,
            clock=lambda: self.now,
        )

    def upload(self, key: str, body: bytes | None = None) -> Upload:
        """Put an object and say what an event would say of it."""
        body = drawing() if body is None else body
        return Upload(BUCKET, key, self.cloud.put(key, body), len(body))

    def process(self, upload: Upload) -> Result:
        """Process an event as the function does."""
        return process(upload, self.services)

    def deliver(self, upload: Upload, *, again: int = 5) -> Result:
        """Deliver an event as Lambda does: a minute later again, for as long as it fails."""
        for _ in range(again):
            self.now += 60
            try:
                return self.process(upload)
            except Exception:
                continue
        return self.process(upload)


@contextmanager
def scanner_on(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, root: Path) -> Iterator[Scanner]:
    """Make a scanner on an emptied cloud, with a cache of its own under `root`."""
    for service in ("", "_S3"):
        monkeypatch.setenv("AWS_ENDPOINT_URL" + service, cloud.endpoint)
    cloud.reset()
    tmpcache.configure(root=root, quota="64 MB")
    try:
        yield Scanner(cloud)
    finally:
        tmpcache.default_cache().close()


def same_every_time(found: Reading) -> Callable[[Image.Image], Reading]:
    """Return a recogniser that reads the same off everything."""
    return lambda _: found
