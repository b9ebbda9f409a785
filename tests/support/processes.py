"""Python snippets in processes of their own.

A snippet talks to the test over pipes with `say` and `hear`, so that tests wait for what happened
and never for time to pass:

    child = spawn("say(os.getpid()); hear(); ...", root=str(root))
    pid = child.hear()
    child.say()
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

_PRELUDE = """\
import json, os, sys
from support.child import become, hear, say
globals().update(json.loads(sys.argv[1]))
"""


class Child:
    """One process that runs a snippet."""

    def __init__(self, code: str, names: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PRELUDE + textwrap.dedent(code), json.dumps(names)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._heard = b""

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def say(self, line: str = "go") -> None:
        """Let the snippet's `hear` return."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def hear(self, timeout: float = 60.0) -> Any:
        """Return the next value that the snippet said. Fails if it died or kept silent."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._heard:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                assert ready, f"process {self.pid} said nothing for {timeout} seconds"
                data = os.read(self._process.stdout.fileno(), 1 << 16)
                assert data, f"process {self.pid} ended with {self._process.wait()}"
                self._heard += data
        line, self._heard = self._heard.split(b"\n", 1)
        return json.loads(line)

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """Send SIGSTOP; return once no thread of the process runs."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Send SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Send SIGKILL; return once the process is gone."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout: float = 60.0) -> int:
        """Return the exit status, once the snippet has ended by itself."""
        return self._process.wait(timeout)

    def close(self) -> None:
        """End the process, however it is, and close the pipes."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


@contextmanager
def spawn(code: str, **names: Any) -> Iterator[Child]:
    """Run a snippet that sees `names`, `say` and `hear`; killed at the end of `with`."""
    with crowd(1, code, **names) as (child,):
        yield child


@contextmanager
def crowd(count: int, code: str, **names: Any) -> Iterator[Sequence[Child]]:
    """Start `count` processes with the same snippet; each sees its number as `index`."""
    children: list[Child] = []
    try:
        for index in range(count):
            children.append(Child(code, {**names, "index": index}))
        yield children
    finally:
        for child in children:
            child.close()


def release(children: Iterable[Child]) -> None:
    """Wait until each child has said it is ready, then let all go at once."""
    waiting = list(children)
    for child in waiting:
        child.hear()
    for child in waiting:
        child.say()


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    """Return once another process has come as far as `condition` says."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)
