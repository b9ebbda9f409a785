"""A bucket whose whole past and all rights are known to the model of the cache.

The server is that of the soak, in a thread. Its answers go wrong only while `World.down` is set.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from soak.s3 import S3, Fault
from soak.wire import Request

#: What is under this prefix is there from the start, always: the key itself.
TINY = "tiny/"


@dataclass(frozen=True)
class Version:
    """One version of an object."""

    number: int
    content: bytes

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.content, usedforsecurity=False).hexdigest()}"'

    @property
    def version_id(self) -> str:
        return f"v{self.number}"

    @property
    def size(self) -> int:
        return len(self.content)

    def body(self) -> bytes:
        return self.content


class World:
    """All objects, their past, and the rights of users."""

    def __init__(self) -> None:
        #: All versions of each key; None where it was deleted.
        self.history: dict[str, list[Version | None]] = defaultdict(list)
        #: Users and keys that do not go together.
        self.denied: set[tuple[str, str]] = set()
        #: Whether every request is answered by an error of the server's own.
        self.down = False

    def current(self, key: str) -> Version | None:
        """Return the object as it is now."""
        if key.startswith(TINY):
            return Version(0, key.encode())
        past = self.history.get(key)
        return past[-1] if past else None

    def change(self, key: str, content: bytes | None) -> None:
        """Replace or delete an object."""
        past = self.history[key]
        past.append(None if content is None else Version(len(past), content))

    # ---- as the server sees it ---------------------------------------------------------------

    def look(self, key: str, version_id: str | None) -> Version | None:
        if version_id is None:
            return self.current(key)
        past, number = self.history[key], int(version_id.removeprefix("v"))
        return past[number] if number < len(past) else None

    def put(self, key: str, body: bytes) -> Version:
        self.change(key, body)
        version = self.current(key)
        assert version is not None
        return version

    def under(self, prefix: str) -> Iterable[tuple[str, Version]]:
        for key in sorted(self.history):
            if key.startswith(prefix) and (version := self.current(key)) is not None:
                yield key, version

    def allows(self, access_key: str, key: str) -> bool:
        return (access_key, key) not in self.denied

    def fault(self, request: Request) -> Fault | None:
        return Fault.FAIL if self.down else None


class WorldServer:
    """The server for one world after the other, and a client for each user."""

    def __init__(self, users: Iterable[str]) -> None:
        self.world = World()
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._serving = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()
        assert self._serving.wait(10)
        self.clients = {user: self._client(user) for user in users}

    def _run(self, listener: socket.socket) -> None:
        try:
            asyncio.run(self._serve(listener))
        except asyncio.CancelledError:
            pass

    async def _serve(self, listener: socket.socket) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._serving.set()
        server = S3(_Present(self), lambda request: self.world.fault(request), lambda: 0.0)
        await server.serve(listener)

    def _client(self, user: str) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self._endpoint,
            region_name="us-east-1",
            aws_access_key_id=user,
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
        )

    def stop(self) -> None:
        """End the thread."""
        for client in self.clients.values():
            client.close()
        assert self._task is not None
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)


class _Present:
    """The world of the moment, as the server's store."""

    def __init__(self, server: WorldServer) -> None:
        self._server = server

    def look(self, key: str, version_id: str | None) -> Version | None:
        return self._server.world.look(key, version_id)

    def put(self, key: str, body: bytes) -> Version:
        return self._server.world.put(key, body)

    def under(self, prefix: str) -> Iterable[tuple[str, Version]]:
        return self._server.world.under(prefix)

    def allows(self, access_key: str, key: str) -> bool:
        return self._server.world.allows(access_key, key)
