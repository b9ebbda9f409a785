"""s5cmd: a process for each call, and one for the whole bulk."""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import distribution

from .program import run
from .protocol import serve


class S5cmd:
    """Without the Python script that the package puts in front of the program."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._environment = {**os.environ, "S3_ENDPOINT_URL": os.environ["AWS_ENDPOINT_URL_S3"]}

    def fetch(self, bucket: str, key: str) -> str:
        """Copy, even if there is a copy."""
        self._run("cp", "--raw", f"s3://{bucket}/{key}", self._path(key))
        return self._path(key)

    def ask(self, bucket: str, key: str) -> str:
        """Copy if size or time of modification differ."""
        conditions = ("--no-clobber", "--if-size-differ", "--if-source-newer")
        self._run("cp", "--raw", *conditions, f"s3://{bucket}/{key}", self._path(key))
        return self._path(key)

    def fetch_many(self, bucket: str, keys: list[str], threads: int) -> list[str]:
        """Start one process that reads the commands and has `threads` workers."""
        commands = "".join(f"cp --raw s3://{bucket}/{key} {self._path(key)}\n" for key in keys)
        self._run("--numworkers", str(threads), "run", commands=commands)
        return [self._path(key) for key in keys]

    def _path(self, key: str) -> str:
        return os.path.join(self._directory, key.replace("/", "_"))

    def _run(self, *arguments: str, commands: str = "") -> None:
        self.peak = run([_PROGRAM, "--log", "error", *arguments], self._environment, commands)


def _program() -> str:
    files = distribution("s5cmd").files or []
    return next(str(file.locate()) for file in files if str(file) == "s5cmd/bin/s5cmd")


_PROGRAM = _program()

if __name__ == "__main__":
    told = subprocess.check_output([_PROGRAM, "version"], text=True)
    serve(S5cmd, s5cmd=told.split("-")[0].strip().lstrip("v"))
