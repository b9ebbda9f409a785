"""The command line as a process of its own, in a pipe or in a pseudo-terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import NamedTuple

COMMAND = [sys.executable, "-m", "tmpcache"]


class Result(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of stdout."""
        return self.out.splitlines()

    @property
    def rows(self) -> list[list[str]]:
        """The columns of each line of stdout."""
        return [line.split("\t") for line in self.lines]


def run(*arguments: object, input: str = "", **env: str) -> Result:
    """Run a command whose streams are pipes."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=input,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
    )
    return Result(done.returncode, done.stdout, done.stderr)


class Terminal:
    """A command in a pseudo-terminal of 100 columns."""

    def __init__(self, *arguments: object, **env: str) -> None:
        self._master, slave = pty.openpty()
        self._heard = b""
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40", **env},
            preexec_fn=_take_terminal,
        )
        os.close(slave)

    def type(self, keys: str) -> None:
        """Type keys; the terminal makes signals of some."""
        os.write(self._master, keys.encode())

    def read_until(self, text: str, start: int = 0) -> str:
        """Return what was shown so far, once `text` is in it behind `start`."""
        while text not in self.shown[start:]:
            assert self._read(), f"{text!r} was never shown: {self.shown!r}"
        return self.shown

    def finish(self) -> tuple[int, str]:
        """Return the exit code and all that was shown."""
        while self._read():
            pass
        os.close(self._master)
        return self.process.wait(60), self.shown

    def _read(self) -> bytes:
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # Linux: the last process has closed the terminal
            data = b""
        self._heard += data
        return data

    @property
    def shown(self) -> str:
        """What was shown so far, without colours and cursor movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw).replace("\r\n", "\n")

    @property
    def raw(self) -> str:
        """What was written so far."""
        return self._heard.decode(errors="replace")


def _take_terminal() -> None:
    import fcntl
    import termios

    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
