"""A TCP proxy that gives one server a bad network, switched while connections are open.

It understands just enough HTTP to tell a response's headers from its body, so that a test can say
"the body breaks after 1,000 bytes". Everything else passes through unread.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

T = TypeVar("T")
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Trouble:
    """What is wrong with the network. The default is nothing."""

    body: Literal["close", "reset", "stall"] | None = None  #: what happens to a body …
    after: int = 0  #: … once this many bytes of it have passed
    times: float = float("inf")  #: how many bodies are broken; the next ones are not
    latency: float = 0.0  #: seconds added to each request
    rate: float | None = None  #: bytes per second of each connection


class _Response:
    """Where the response that passes through one connection has got to."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Note that a request went out; headers follow."""
        self.head: bytes | None = b""  # None once they are complete
        self.body = 0

    def take(self, data: bytes) -> int:
        """Note `data`; how many of its bytes belong to the headers."""
        if self.head is None:
            return 0
        before = len(self.head)
        end = (self.head + data).find(b"\r\n\r\n")
        if end < 0:
            self.head += data
            return len(data)
        self.head = None
        return end + 4 - before


class FaultProxy:
    """Forwards 127.0.0.1:`port` to `upstream`, with `trouble` on the way."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.trouble = Trouble()
        self._upstream = upstream
        self._left = 0.0
        self._struck = threading.Semaphore(0)
        self._links: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.accept()

    @property
    def endpoint(self) -> str:
        """The endpoint URL."""
        return f"http://127.0.0.1:{self.port}"

    def set(self, trouble: Trouble) -> None:
        """Apply `trouble` from now on, also to open connections."""

        async def switch() -> None:
            self.trouble, self._left = trouble, trouble.times

        self._do(switch())

    def heal(self) -> None:
        """Be a good network again. Bodies that are stalled stay so: their bytes were lost."""
        self.set(Trouble())
        self.accept()

    def refuse(self) -> None:
        """Stop listening: connecting fails, and open connections are reset."""

        async def close() -> None:
            if self._listener:
                self._loop.remove_reader(self._listener)
                self._listener.close()
                self._listener = None
            for link in self._links:
                link.cancel()
            await asyncio.gather(*self._links, return_exceptions=True)

        self._do(close())

    def accept(self) -> None:
        """Listen (again), always on the same port."""

        async def listen() -> None:
            if self._listener is None:
                self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
                self._listener.setblocking(False)
                self.port = self._listener.getsockname()[1]
                self._loop.add_reader(self._listener, self._take, self._listener)

        self._do(listen())

    def open_links(self) -> int:
        """Return how many connections there are now."""
        return len(self._links)

    def wait_struck(self, timeout: float = 30.0) -> None:
        """Return once a body has been broken that was not waited for yet."""
        assert self._struck.acquire(timeout=timeout), "no response body reached the fault"

    def stop(self) -> None:
        """Close everything."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[object, object, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    # -- in the loop ----------------------------------------------------------------------

    def _take(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return  # the client has gone
        link = self._loop.create_task(self._link(accepted))
        self._links.add(link)
        link.add_done_callback(self._links.discard)
        link.add_done_callback(partial(_close, accepted))

    async def _link(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted, limit=_CHUNK)
        writer.transport.set_write_buffer_limits(0)  # `drain` then means: handed to the kernel
        ends = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream, limit=_CHUNK)
            ends.append(up_writer)
            response = _Response()
            pumps = {
                asyncio.ensure_future(self._upward(reader, up_writer, response)),
                asyncio.ensure_future(self._downward(up_reader, writer, response)),
            }
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            _reset(writer)
        finally:
            for end in ends:
                end.transport.abort()

    async def _upward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: _Response
    ) -> None:
        while data := await reader.read(_CHUNK):
            response.begin()
            await asyncio.sleep(self.trouble.latency)
            writer.write(data)
            await writer.drain()

    async def _downward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, response: _Response
    ) -> None:
        broken = False
        while not broken and (data := await reader.read(self._at_once())):
            head = response.take(data)
            room = max(0, self.trouble.after - response.body)
            broken = bool(self.trouble.body and self._left > 0 and len(data) - head > room)
            passed = data[: head + room] if broken else data
            response.body += len(passed) - head
            writer.write(passed)
            await writer.drain()
            if self.trouble.rate:
                await asyncio.sleep(len(passed) / self.trouble.rate)
        if broken:
            await self._break(writer)

    def _at_once(self) -> int:
        """Return how many bytes to pass on in one go: a hundredth of a second's."""
        return _CHUNK if self.trouble.rate is None else max(1 << 12, int(self.trouble.rate / 100))

    async def _break(self, writer: asyncio.StreamWriter) -> None:
        self._left -= 1
        if self.trouble.body == "reset":
            _reset(writer)
        self._struck.release()
        if self.trouble.body == "stall":
            await asyncio.get_running_loop().create_future()  # until the client hangs up


def _close(sock: socket.socket, _: object) -> None:
    sock.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Make the coming close send RST instead of FIN."""
    sock: socket.socket | None = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
