"""How much memory a large object takes on its way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from .measure import progress
from .report import Mark, Result
from .server import Server

_GIB = 1024**3
_ROUNDS = 3


def measure(directory: str, server: Server) -> Iterator[Result]:
    """Measure the peak of a process that fetches 1 GiB, against one that reads and drops it."""
    key, root = server.put_zeros("memory/model.bin", _GIB), os.path.join(directory, "cache")
    environment = {**os.environ, "TMPCACHE_ROOT": root, "TMPCACHE_QUOTA": "2 GiB"}

    def peak(how: str) -> float:
        command = [sys.executable, "-m", "benchmarks.peak", how, key]
        return float(subprocess.check_output(command, env=environment))

    ours, bare = [], []
    for number in range(_ROUNDS):
        progress(f"  round {number + 1} of {_ROUNDS}")
        ours.append(peak("ours"))
        shutil.rmtree(root)
        bare.append(peak("bare"))
    mark = Mark("difference", 48 * 1024 * 1024)
    yield Result("memory", "1 GiB, against get_object", mark, ours, bare, unit="bytes")
