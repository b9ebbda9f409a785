"""``python -m benchmarks.plain_server DIRECTORY``: an S3 for GET and HEAD, where there is no nginx.

In a process of its own, so that it never waits for the interpreter that is being measured. Speaks
as much HTTP as S3's clients need here: keep-alive, ETag, If-None-Match, and one range of bytes.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress
from email.utils import formatdate


def etag_of(status: os.stat_result) -> str:
    """Return an ETag made as nginx does: from when the file was written, and its length."""
    return f'"{int(status.st_mtime):x}-{status.st_size:x}"'


class _Server:
    def __init__(self, directory: str) -> None:
        self._directory = directory

    async def converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer one request after the other until the client hangs up."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._answer(await reader.readuntil(b"\r\n\r\n"), writer)
        writer.close()

    async def _answer(self, request: bytes, writer: StreamWriter) -> None:
        first, *lines = request.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        path = target.partition("?")[0]
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        try:
            file = open(self._directory + os.path.normpath(path), "rb")  # noqa: SIM115
        except OSError:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        with file:
            status = os.fstat(file.fileno())
            etag = etag_of(status)
            if headers.get("if-none-match") == etag:
                writer.write(f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode())
                return
            start, end = span(headers.get("range", ""), status.st_size)
            if start > 0 and start >= end:
                writer.write(b"HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n\r\n")
                return
            answer = "200 OK"
            if "range" in headers:
                whole = f"{start}-{end - 1}/{status.st_size}"
                answer = f"206 Partial Content\r\nContent-Range: bytes {whole}"
            writer.write(
                f"HTTP/1.1 {answer}\r\nETag: {etag}\r\nContent-Length: {end - start}\r\n"
                f"Last-Modified: {formatdate(status.st_mtime, usegmt=True)}\r\n\r\n".encode()
            )
            if method == "GET":
                loop = asyncio.get_running_loop()
                await loop.sendfile(writer.transport, file, start, end - start)


def span(range_header: str, size: int) -> tuple[int, int]:
    """Return where a range begins and ends in an object of `size` bytes; all of it without a range.

    >>> span("bytes=2-4", 10), span("bytes=2-", 10), span("bytes=2-99", 10), span("", 10)
    ((2, 5), (2, 10), (2, 10), (0, 10))
    """
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", range_header)
    if asked is None:
        return 0, size
    return int(asked[1]), min(int(asked[2] or size) + 1, size)


async def _serve(directory: str) -> None:
    server = await asyncio.start_server(_Server(directory).converse, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
