"""``python -m examples.check_demo.distance PORT``: an S3 on loopback, as far away as S3 is.

A proxy in a process of its own: each request arrives `LATENCY` later at the server at PORT, and
each connection carries `RATE` at most. A connection is made without delay, which flatters who makes
many.
"""

import asyncio
import subprocess
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Seconds to the first byte, and bytes per second of a connection: what S3's performance guidelines
#: have for large objects within a region (85 to 90 MB/s).
LATENCY, RATE = 0.020, 90_000_000

_PIECE = 64 * 1024


@contextmanager
def distant(endpoint: str) -> Iterator[str]:
    """Serve an endpoint through which the given one is far away."""
    command = [sys.executable, "-m", __name__, endpoint.rpartition(":")[2]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def _requests(reader: StreamReader, writer: StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        await asyncio.sleep(LATENCY)
        writer.write(piece)
        await writer.drain()
    writer.close()


async def _answers(reader: StreamReader, writer: StreamWriter) -> None:
    clock, ready = asyncio.get_running_loop().time, 0.0
    while piece := await reader.read(_PIECE):
        ready = max(ready, clock()) + len(piece) / RATE
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(ready - clock())
    writer.close()


async def _serve(port: int) -> None:
    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        answers, requests = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError):
            await asyncio.gather(_requests(reader, requests), _answers(answers, writer))

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
