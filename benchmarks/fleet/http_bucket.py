"""Serves a bucket over HTTP on loopback, for machines that are processes."""

from __future__ import annotations

import asyncio
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote

from .bucket import BUCKET, Bucket


@contextmanager
def serving(latency: float) -> Iterator[HttpBucket]:
    """Serve a bucket during the block, each GET `latency` seconds after it has arrived."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = HttpBucket(latency)
    listening = asyncio.run_coroutine_threadsafe(server.listen(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.end(listening), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class HttpBucket:
    """What a thread serves: a bucket, which counts as it does for machines in this process."""

    #: What is served, and where.
    bucket: Bucket
    endpoint: str

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._conversations: set[asyncio.Task[None]] = set()

    async def listen(self) -> asyncio.Server:
        """Listen on some port."""
        listening = await asyncio.start_server(self._converse, "127.0.0.1", 0, backlog=4096)
        self.endpoint = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        return listening

    async def end(self, listening: asyncio.Server) -> None:
        """Listen no longer, and hang up."""
        listening.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer one request after the other until the client hangs up."""
        task = asyncio.current_task()
        assert task is not None
        self._conversations.add(task)
        try:
            with suppress(asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
                while True:
                    request = await reader.readuntil(b"\r\n\r\n")
                    await asyncio.sleep(self._latency)
                    writer.write(self._answer(request))
                    await writer.drain()
        finally:
            self._conversations.discard(task)
            writer.close()

    def _answer(self, request: bytes) -> bytes:
        first, *lines = request.decode("latin-1").split("\r\n")
        path = unquote(first.split(" ")[1].partition("?")[0])
        headers = dict(line.split(": ", 1) for line in lines if line)
        condition = {name.lower(): value for name, value in headers.items()}.get(
            "if-none-match", ""
        )
        key = path.removeprefix(f"/{BUCKET}/")
        if key not in self.bucket.etags:
            self.bucket.count("GET")
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        etag = self.bucket.get(key, condition)
        if etag is None:
            return f"HTTP/1.1 304 Not Modified\r\nETag: {condition}\r\n\r\n".encode()
        body = self.bucket.bodies[key]
        head = f"HTTP/1.1 200 OK\r\nETag: {etag}\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body
