"""``python -m benchmarks.plain_server DIRECTORY``: an S3 for GET, where there is no nginx.

In a process of its own, so that it never waits for the interpreter that is being measured. Speaks
as much HTTP as boto3 needs here: keep-alive, ETag, If-None-Match, Content-Length.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress


def etag_of(status: os.stat_result) -> str:
    """As nginx makes it: when it was written, and how long it is."""
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
        path = first.split(" ")[1].partition("?")[0]
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
            length = f"Content-Length: {status.st_size}"
            writer.write(f"HTTP/1.1 200 OK\r\nETag: {etag}\r\n{length}\r\n\r\n".encode())
            await asyncio.get_running_loop().sendfile(writer.transport, file)


async def _serve(directory: str) -> None:
    server = await asyncio.start_server(_Server(directory).converse, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
