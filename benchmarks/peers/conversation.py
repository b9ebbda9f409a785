"""The harness's side of :mod:`.adapters.protocol`: one process, and what it says."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Mapping
from typing import Any, Self

_PIECE = 1024 * 1024


class PeerFailed(Exception):
    """A peer cannot do what it was asked for; the text says why."""


class PeerLacks(Exception):
    """A peer is not made for what it was asked for; the text says why in few words."""


class Conversation:
    """A process that runs an adapter, under `python`, from the top of the tree `tree`.

    What it writes to its standard error goes to the file `log`.
    """

    def __init__(
        self, python: str, adapter: str, environment: Mapping[str, str], tree: str, log: str
    ) -> None:
        self._log, self._rest = log, b""
        with open(log, "wb") as errors:
            self._process = subprocess.Popen(
                [python, "-m", f"benchmarks.peers.adapters.{adapter}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment},
                cwd=tree,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def versions(self, timeout: float = 60) -> dict[str, str]:
        """Return what the process says first, in at most `timeout` seconds."""
        versions: dict[str, str] = self._receive(timeout)["versions"]
        return versions

    def ask(self, timeout: float, **asked: Any) -> dict[str, Any]:
        """Return the answer to one question, in at most `timeout` seconds.

        Raises :class:`PeerFailed` if there is none, or if the answer is an error, and
        :class:`PeerLacks` if the answer is that this is not for the peer.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise PeerFailed(f"its process ended: {last_words(self._log)}") from error
        answer = self._receive(timeout)
        if "lacks" in answer:
            raise PeerLacks(answer["lacks"])
        if "error" in answer:
            raise PeerFailed(answer["error"])
        return answer

    def end(self) -> None:
        """Have the process end, gently if it can."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except BrokenPipeError:  # it has ended already, with something left to be read
                    continue
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _receive(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        descriptor, end = self._process.stdout.fileno(), time.monotonic() + timeout
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                self._process.kill()
                raise PeerFailed(f"no answer within {timeout:g} s")
            piece = os.read(descriptor, _PIECE)
            if not piece:
                raise PeerFailed(f"its process ended: {last_words(self._log)}")
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


def last_words(log: str) -> str:
    """Return the last line that a process has written into the file `log`."""
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().strip().splitlines()
    return lines[-1] if lines else "without a word"
