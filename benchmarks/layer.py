"""What the layer for Lambda adds to a cold start, under Lambda's own runtime client.

Each sample is a process: from its start until it has posted its first response. It runs
``awslambdaric`` in an environment that has boto3, as Lambda's has, and no tmpcache; that comes from
the layer, unpacked on ``PYTHONPATH`` as Lambda has it in ``/opt/python``.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from release.layer import build
from tmpcache.testing.lambda_harness import ENVIRONMENT
from tmpcache.testing.runtime_api import Event
from tmpcache.testing.sandbox import Sandbox

from .measure import alternate
from .peers.environments import interpreter
from .peers.roster import Peer
from .report import Mark, Result
from .server import BUCKET, Server

KEY = "layer/model.npz"
SIZE = 10_240
_RUNTIME = Peer("Lambda's runtime", "lambda", ("awslambdaric==4.2.2", "boto3==1.44.5"), "")
_TIME_LIMIT = 60.0

_NOTHING = f"def handler(event, context): return {SIZE}"
_BOTO3 = f"""
import boto3
s3 = boto3.client("s3")
def handler(event, context):
    return len(s3.get_object(Bucket={BUCKET!r}, Key={KEY!r})["Body"].read())
"""


def fetching(outcome: str) -> str:
    """Return the code of a function that fetches, and fails if the outcome is another one."""
    return f"""
import tmpcache
def handler(event, context):
    path = tmpcache.fetch({BUCKET!r}, {KEY!r}, max_age=3600)
    return path.size if path.outcome.value == {outcome!r} else path.outcome.value
"""


@dataclass(frozen=True, slots=True)
class Function:
    """A function's code, and the layer that it has."""

    python: str
    directory: Path
    layer: Path

    def first_response(self, code: str, tmp: str | None = None) -> float:
        """Return the seconds from the start of a process to its first response.

        `tmp` is the function's temporary directory; without one, it is empty.
        """
        (self.directory / "app.py").write_text(code)
        with tempfile.TemporaryDirectory(dir=self.directory) as empty:
            start = time.monotonic()
            sandbox = Sandbox(
                [self.python, "-m", "awslambdaric", "app.handler"],
                self._environment(tmp or empty),
                str(self.directory),
                freezing=False,
            )
            try:
                return self._response(sandbox) - start
            finally:
                sandbox.close()

    def _response(self, sandbox: Sandbox) -> float:
        """Return when the process responded to its first event."""
        answer = None
        if sandbox.wait_for_init(_TIME_LIMIT):
            answer = sandbox.run(Event("first", b"{}", time.time() + _TIME_LIMIT), _TIME_LIMIT)
        if answer is None or answer.payload != SIZE:
            told = "\n".join(sandbox.new_log_lines())
            raise RuntimeError(f"the function failed: {answer or sandbox.init_error}\n{told}")
        return answer.at

    def _environment(self, tmp: str) -> dict[str, str]:
        return {
            **os.environ,
            **ENVIRONMENT,
            "LAMBDA_TASK_ROOT": str(self.directory),
            "PYTHONPATH": os.pathsep.join([str(self.directory), str(self.layer)]),
            "PYTHONDONTWRITEBYTECODE": "1",  # nobody writes into /opt
            "TMPDIR": tmp,
        }


def measure(directory: str, server: Server, environments: str) -> Iterator[Result]:
    """Measure first responses: of a function alone, with the layer, and with boto3."""
    server.put(KEY, os.urandom(SIZE))
    here = Path(directory)
    layer = build(here, {"aarch64": "arm64"}.get(platform.machine(), platform.machine()))
    python = interpreter(_RUNTIME, environments)
    function = Function(python, here, unpacked(layer, here / "opt"))
    source = Function(python, here, without_bytecode(function.layer, here / "source"))
    tmp = tempfile.mkdtemp(dir=here)
    function.first_response(fetching("fetched"), tmp)
    nothing, hit, compiling, miss, boto3 = alternate(
        partial(function.first_response, _NOTHING),
        partial(function.first_response, fetching("hit"), tmp),
        partial(source.first_response, fetching("hit"), tmp),
        partial(function.first_response, fetching("fetched")),
        partial(function.first_response, _BOTO3),
        rounds=20,
        warm_up=2,
    )
    size = [float(layer.stat().st_size)]
    yield Result("layer", f"size of {layer.name}", Mark("ours", 4 * 2**20), size, unit="bytes")
    yield Result("layer", "hit, against no tmpcache", Mark("difference", 40e-3), hit, nothing)
    yield Result("layer", "hit, against get_object", Mark("ratio", 0.5), hit, boto3)
    yield Result("layer", "first object, against get_object", Mark("ratio", 0.6), miss, boto3)
    yield Result("layer", "hit, against no bytecode", Mark("ratio", 0.9), hit, compiling)


def unpacked(layer: Path, directory: Path) -> Path:
    """Unpack a layer; return what Lambda has in ``/opt/python``."""
    zipfile.ZipFile(layer).extractall(directory)
    return directory / "python"


def without_bytecode(layer: Path, directory: Path) -> Path:
    """Copy an unpacked layer without its bytecode; return the copy."""
    shutil.copytree(layer, directory, ignore=shutil.ignore_patterns("__pycache__"))
    return directory
