"""A small S3 over HTTP: GetObject with all its conditions, PutObject, ListObjectsV2.

A `Store` has the objects and the rights. A function decides for each request what goes wrong with
its answer. One thread serves all connections.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import urllib.parse
import zlib
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Protocol
from xml.sax.saxutils import escape

from .wire import Request, begin, receive, refuse, send

_SLICE = 256 * 1024


class Stored(Protocol):
    """One version of an object."""

    @property
    def etag(self) -> str:
        """With its quotes."""

    @property
    def version_id(self) -> str | None:
        """If the bucket has versions."""

    @property
    def size(self) -> int:
        """In bytes."""

    def body(self) -> bytes:
        """Return all of it."""


class Store(Protocol):
    """What the server holds."""

    def look(self, key: str, version_id: str | None) -> Stored | None:
        """Return the object now, or in a version."""

    def put(self, key: str, body: bytes) -> Stored:
        """Keep an object; ValueError if it is not what was sent."""

    def under(self, prefix: str) -> Iterable[tuple[str, Stored]]:
        """Yield all objects of a listing, by key."""

    def allows(self, access_key: str, key: str) -> bool:
        """Return whether these credentials may read and write this object."""


class Fault(Enum):
    """What may go wrong with one answer."""

    THROTTLE = auto()  #: 503
    FAIL = auto()  #: 500
    DROP = auto()  #: no answer at all
    DELAY = auto()  #: an answer that takes its time
    CUT = auto()  #: a body that ends in the middle
    STALL = auto()  #: a body that pauses in the middle
    CORRUPT = auto()  #: a wrong byte, where a checksum was sent along that tells


class ConnectionDroppedError(Exception):
    """The connection shall be closed as it is."""


class S3:
    """The server."""

    def __init__(
        self, store: Store, fault: Callable[[Request], Fault | None], pause: Callable[[], float]
    ) -> None:
        """Set up the server. `pause` is the length of a delay or stall in seconds."""
        self._store, self._fault, self._pause = store, fault, pause

    async def serve(self, listener: socket.socket) -> None:
        """Answer until cancelled."""
        server = await asyncio.start_server(self._connection, sock=listener)
        async with server:
            await server.serve_forever()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await self._answer(await receive(reader, writer), writer)
        except (
            ConnectionDroppedError,
            OSError,
            asyncio.IncompleteReadError,
            asyncio.CancelledError,
        ):
            pass
        finally:
            writer.transport.abort()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        fault = self._fault(request)
        if fault is Fault.DROP:
            raise ConnectionDroppedError
        if fault is Fault.DELAY:
            await asyncio.sleep(self._pause())
        if fault is Fault.THROTTLE:
            await refuse(writer, 503, "SlowDown")
        elif fault is Fault.FAIL:
            await refuse(writer, 500, "InternalError")
        elif not request.key:
            await self._list(request, writer)
        elif not self._store.allows(request.access_key, request.key):
            await refuse(writer, 403, "AccessDenied")
        elif request.method == "PUT":
            await self._put(request, writer, fault)
        else:
            await self._get(request, writer, fault)

    async def _put(
        self, request: Request, writer: asyncio.StreamWriter, fault: Fault | None
    ) -> None:
        try:
            stored = self._store.put(request.key, request.body)
        except ValueError:
            await refuse(writer, 400, "BadDigest")
            return
        if fault is Fault.CUT:  # done, and nobody hears of it
            raise ConnectionDroppedError
        await send(writer, 200, _facts(stored))

    async def _list(self, request: Request, writer: asyncio.StreamWriter) -> None:
        prefix, token = request.query.get("prefix", ""), request.query.get("continuation-token", "")
        rows = [row for row in self._store.under(prefix) if row[0] > token]
        page, rest = rows[:1000], rows[1000:]
        more = f"<NextContinuationToken>{_xml(page[-1][0])}</NextContinuationToken>" if rest else ""
        contents = "".join(
            f"<Contents><Key>{urllib.parse.quote(key)}</Key><ETag>{_xml(stored.etag)}</ETag>"
            f"<Size>{stored.size}</Size></Contents>"
            for key, stored in page
        )
        text = (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult>'
            f"<Name>{request.bucket}</Name><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{more}{contents}"
            "</ListBucketResult>"
        )
        await send(writer, 200, {"Content-Type": "application/xml"}, text.encode())

    async def _get(
        self, request: Request, writer: asyncio.StreamWriter, fault: Fault | None
    ) -> None:
        stored = self._store.look(request.key, request.query.get("versionId"))
        asked = request.headers
        if stored is None:
            await refuse(writer, 404, "NoSuchKey")
        elif asked.get("if-match", stored.etag) != stored.etag:
            await refuse(writer, 412, "PreconditionFailed")
        elif asked.get("if-none-match") == stored.etag:
            await send(writer, 304, _facts(stored))
        elif "range" not in asked:
            body, facts = stored.body(), _facts(stored)
            if asked.get("x-amz-checksum-mode") == "ENABLED":
                crc = zlib.crc32(body).to_bytes(4, "big")
                facts["x-amz-checksum-crc32"] = base64.b64encode(crc).decode()
                facts["x-amz-checksum-type"] = "FULL_OBJECT"
                if fault is Fault.CORRUPT and body:
                    at = len(body) // 3
                    body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            await self._send_body(writer, 200, facts, memoryview(body), fault)
        else:
            first, _, last = asked["range"].removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last) + 1 if last else stored.size, stored.size)
            if start >= stored.size:
                await refuse(writer, 416, "InvalidRange")
                return
            facts = _facts(stored) | {"Content-Range": f"bytes {start}-{end - 1}/{stored.size}"}
            await self._send_body(writer, 206, facts, memoryview(stored.body())[start:end], fault)

    async def _send_body(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        facts: dict[str, str],
        body: memoryview,
        fault: Fault | None,
    ) -> None:
        begin(writer, status, facts, len(body))
        middle = len(body) // 2
        for start, end in ((0, middle), (middle, len(body))):
            for at in range(start, end, _SLICE):
                writer.write(body[at : min(at + _SLICE, end)])
                await writer.drain()
            if start == 0 and fault is Fault.CUT:
                await asyncio.sleep(0.01)  # abort() throws away what was not sent yet
                raise ConnectionDroppedError
            if start == 0 and fault is Fault.STALL:
                await asyncio.sleep(self._pause())


def _facts(stored: Stored) -> dict[str, str]:
    facts = {"ETag": stored.etag, "Accept-Ranges": "bytes"}
    facts["Last-Modified"] = "Thu, 01 Jan 2026 00:00:00 GMT"
    return facts | ({"x-amz-version-id": stored.version_id} if stored.version_id else {})


def _xml(text: str) -> str:
    return escape(text, {'"': "&quot;"})
