"""HTTP as a server sees it: requests read, answers begun."""

from __future__ import annotations

import asyncio
import re
import urllib.parse
from dataclasses import dataclass

_REASONS = {200: "OK", 206: "Partial Content", 304: "Not Modified"}


@dataclass
class Request:
    """What a client sent."""

    method: str
    bucket: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""

    @property
    def access_key(self) -> str:
        """Who signed it, "" for nobody."""
        found = re.search(r"Credential=([^/]+)/", self.headers.get("authorization", ""))
        return found.group(1) if found else ""


async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    """Return the next request; EOF is an IncompleteReadError."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.rstrip("\r\n").split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
    path, _, query = target.partition("?")
    bucket, _, key = path.lstrip("/").partition("/")
    pairs = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    request = Request(method, bucket, urllib.parse.unquote(key), pairs, headers)
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    if "chunked" in headers.get("transfer-encoding", ""):
        body = await _chunks(reader)
    if "aws-chunked" in headers.get("content-encoding", ""):
        inner = asyncio.StreamReader()
        inner.feed_data(body)
        inner.feed_eof()
        body = await _chunks(inner)
    request.body = body
    return request


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    found = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        found += await reader.readexactly(size)
        await reader.readline()
    while (await reader.readline()).strip():  # trailers
        pass
    return bytes(found)


def begin(writer: asyncio.StreamWriter, status: int, facts: dict[str, str], length: int) -> None:
    """Send the head of an answer whose body has so many bytes."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in facts.items())
    size = "" if status == 304 else f"Content-Length: {length}\r\n"
    head = f"HTTP/1.1 {status} {_REASONS.get(status, 'No')}\r\n{size}{fields}\r\n"
    writer.write(head.encode())


async def send(
    writer: asyncio.StreamWriter, status: int, facts: dict[str, str], body: bytes = b""
) -> None:
    """Send a whole answer."""
    begin(writer, status, facts, len(body))
    writer.write(body)
    await writer.drain()


async def refuse(writer: asyncio.StreamWriter, status: int, code: str) -> None:
    """Send an error as S3 does."""
    text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>soak</Message></Error>'
    await send(writer, status, {"Content-Type": "application/xml"}, text.encode())
