"""``python -m benchmarks.latency PORT SECONDS``: a proxy that holds up what clients send.

A request that is sent in one piece, as GET and HEAD are, is answered `SECONDS` later than by the
server at PORT of loopback. Answers pass at once. A connection is made without delay, which flatters
who makes many.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .server import running

_PIECE = 64 * 1024


@contextmanager
def delayed(endpoint: str, seconds: float) -> Iterator[str]:
    """Serve an endpoint that is `seconds` further away than the one given."""
    port = endpoint.rpartition(":")[2]
    command = [sys.executable, "-m", "benchmarks.latency", port, str(seconds)]
    with running(command) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


async def _pass_on(reader: StreamReader, writer: StreamWriter, delay: float) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(_PIECE):
            if delay:
                await asyncio.sleep(delay)
            writer.write(piece)
            await writer.drain()
    writer.close()


async def _serve(port: int, delay: float) -> None:
    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pass_on(reader, requests, delay), _pass_on(answers, writer, 0))

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
