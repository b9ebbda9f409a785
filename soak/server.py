"""The server of a soak: objects that change all the time, and answers that go wrong."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from . import contents
from .board import Board
from .s3 import S3, Fault
from .wire import Request

#: How many answers of a thousand go wrong in which way.
_RATES = {
    Fault.THROTTLE: 15,
    Fault.FAIL: 5,
    Fault.DROP: 10,
    Fault.DELAY: 10,
    Fault.CUT: 30,
    Fault.STALL: 7,
    Fault.CORRUPT: 10,
}


@dataclass(frozen=True)
class _Object:
    key: str
    version: int

    @property
    def etag(self) -> str:
        return contents.etag_of(self.key, self.version)

    @property
    def version_id(self) -> str:
        return f"v{self.version}"

    @property
    def size(self) -> int:
        return contents.size_of(self.key, self.version)

    def body(self) -> bytes:
        return _body(self.key, self.version)


@lru_cache(maxsize=32)
def _body(key: str, version: int) -> bytes:
    return contents.body_of(key, version)


class _Store:
    def __init__(self) -> None:
        #: Versions of the objects that were put.
        self._put: dict[str, int] = {}
        self._keys = {kind: contents.all_keys(kind) for kind in contents.KINDS}

    def look(self, key: str, version_id: str | None) -> _Object | None:
        if contents.kind_of(key) not in contents.KINDS:
            return None
        version = self._version(key)
        if version_id is not None:
            version = int(version_id.removeprefix("v"))
        if version is None or not contents.exists(key, version):
            return None
        return _Object(key, version)

    def _version(self, key: str) -> int | None:
        if contents.kind_of(key) == "put":
            return self._put.get(key)
        return contents.version_at(key, time.time())

    def put(self, key: str, body: bytes) -> _Object:
        version = int(contents.first_line(body).split("|")[1])
        if body != contents.body_of(key, version):
            raise ValueError(f"what was put as {key} is no content of it")
        self._put[key] = version
        return _Object(key, version)

    def under(self, prefix: str) -> Iterable[tuple[str, _Object]]:
        for key in self._keys[contents.kind_of(prefix)]:
            if key.startswith(prefix) and (found := self.look(key, None)) is not None:
                yield key, found

    def allows(self, access_key: str, key: str) -> bool:
        return not contents.is_denied(access_key, key)


def start(seed: str, board: Board) -> tuple[int, int]:
    """Fork the server; its process id and port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port: int = listener.getsockname()[1]
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            asyncio.run(_server(seed, board).serve(listener))
        finally:
            os._exit(1)
    listener.close()
    return pid, port


def _server(seed: str, board: Board) -> S3:
    dice = random.Random(f"{seed} server")
    faults, weights = list(_RATES), list(_RATES.values())
    none = 1000 - sum(weights)

    def fault(_: Request) -> Fault | None:
        return None if board.honest else dice.choices([None, *faults], [none, *weights])[0]

    return S3(_Store(), fault, lambda: dice.uniform(0.05, 2.0))
