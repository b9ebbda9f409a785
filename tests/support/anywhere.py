"""Kills a process, or lets another one run, before any line of the package.

SIGKILL does not wait for a convenient moment. Here it strikes before line 1, 2, 3, … of what the
package executes, so that no window is too small to be hit. The objects come from memory: it is the
disk that is under test.
"""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from collections.abc import Callable
from functools import cache
from types import FrameType
from typing import Any, Unpack

import tmpcache
from support.content import content
from tmpcache.origin import GetOptions, Reply

_PACKAGE = os.path.dirname(tmpcache.__file__)


class MemoryOrigin:
    """An origin of made-up objects. Their keys begin with their size, as in `5000-small`."""

    name = "memory"
    scope = "someone"

    def __init__(self) -> None:
        self.version = 0  #: another one makes every object another

    def content(self, key: str) -> bytes:
        """Return the bytes of an object now."""
        return _content(key, self.version)

    def get(
        self,
        bucket: str,
        key: str,
        version_id: str | None = None,
        **options: Unpack[GetOptions],
    ) -> Reply | None:
        """Return the object from `start` on, or None if it is what `if_none_match` says."""
        body = self.content(key)
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        if etag == options.get("if_none_match"):
            return None
        start = options.get("start", 0)
        return Reply(_Body(body[start:]), etag, len(body), None, start)

    def close(self) -> None:
        """Do nothing: nothing is open."""


@cache
def _content(key: str, version: int) -> bytes:
    return content((key, version), int(key.partition("-")[0]))


class _Body:
    def __init__(self, rest: bytes) -> None:
        self._rest = rest

    def read(self, buffer: memoryview, /) -> memoryview:
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return buffer[:count]

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


def strike_at(line: int, blow: Callable[[], object]) -> None:
    """Call `blow` before the `line`-th line of the package that this thread comes to."""
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                sys.settrace(None)
                blow()
        return trace

    sys.settrace(trace)


def forked(call: Callable[[], object]) -> int:
    """Call `call` in a forked process; return its exit status, 1 with a traceback if it raises."""
    child = os.fork()
    if child == 0:
        try:
            call()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
