"""What a fresh process pays before it has its first file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from .measure import interleave, progress
from .report import Mark, Result
from .server import BUCKET, Server

_KEY = "startup/model.npz"
_NOTHING = "pass"
_IMPORT = "import tmpcache"
_FIRST_HIT = f"import tmpcache; path = tmpcache.fetch({BUCKET!r}, {_KEY!r}, max_age=3600)"
#: What a first hit has no need for, and cannot afford.
_HEAVY = ("boto3", "botocore", "filelock")
_FIRST_MISS = (
    f"import tempfile, tmpcache; place = tempfile.TemporaryDirectory(); "
    f"path = tmpcache.Cache(place.name).fetch({BUCKET!r}, {_KEY!r})"
)
_BOTO3 = (
    f"import boto3; boto3.client('s3').get_object(Bucket={BUCKET!r}, Key={_KEY!r})['Body'].read()"
)
_TELL = f"{_FIRST_HIT}; import sys; print(path.outcome.value, *sys.modules)"


def measure(directory: str, server: Server) -> Iterator[Result]:
    """Measure processes that import tmpcache, and that hit, against processes that do nothing."""
    server.put(_KEY, os.urandom(10_240))
    environment = {**os.environ, "TMPCACHE_ROOT": os.path.join(directory, "cache")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled once, by the next line

    def run(code: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    run(_FIRST_HIT)
    outcome, *modules = run(_TELL).split()
    assert outcome == "hit", f"the second process was answered with {outcome}"
    heavy = sorted(set(_HEAVY).intersection(modules))
    if heavy:
        progress(f"  a first hit imports {', '.join(heavy)}")
    nothing, imported, first_hit = interleave(
        *(lambda code=code: run(code) for code in (_NOTHING, _IMPORT, _FIRST_HIT)),
        rounds=60,
        warm_up=3,
    )
    miss, boto3 = interleave(
        *(lambda code=code: run(code) for code in (_FIRST_MISS, _BOTO3)), rounds=15, warm_up=2
    )
    yield Result("startup", "first object, against get_object", Mark("ratio", 0.35), miss, boto3)
    yield Result("startup", "import tmpcache", Mark("difference", 15e-3), imported, nothing)
    yield Result("startup", "first hit", Mark("difference", 25e-3), first_hit, nothing)
    yield Result(
        "startup",
        f"first hit imports {', '.join(_HEAVY)}",
        Mark("ours", 0),
        [float(len(heavy))],
        unit="modules",
    )
