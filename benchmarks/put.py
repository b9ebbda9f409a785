"""What an upload costs beside s3transfer's, which keeps no copy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from unittest import mock

from tmpcache import Cache

from .measure import interleave
from .report import Mark, Result
from .server import BUCKET, Server, client, sink

_LARGE, _SMALL = 256 * 1024 * 1024, 10_240
_ORIGINS = ("direct", "boto3", "obstore")


def measure(directory: str, server: Server) -> Iterator[Result]:
    """Measure puts of a large and of a small file against ``upload_file``, in turn."""
    with sink() as endpoint, mock.patch.dict(os.environ, AWS_ENDPOINT_URL_S3=endpoint):
        yield from _puts(directory, "256 MiB", _LARGE, Mark("ratio", 1.1), rounds=7)
        yield from _puts(directory, "10 KiB", _SMALL, Mark("ratio", 1.1), rounds=70)


def _puts(directory: str, size: str, count: int, mark: Mark, rounds: int) -> Iterator[Result]:
    source, bare = os.path.join(directory, "source"), client()
    with open(source, "wb") as file:
        for _ in range(0, count, _SMALL):
            file.write(os.urandom(_SMALL))
        file.truncate(count)
    names = [name for name in _ORIGINS if name != "obstore" or find_spec("obstore")]
    with ExitStack() as stack:
        caches = [
            stack.enter_context(
                Cache(os.path.join(directory, f"{size} {name}"), quota="1 GiB", origin=name)
            )
            for name in names
        ]
        puts = [lambda cache=cache: cache.put(BUCKET, "put", source).release() for cache in caches]
        baseline, *taken = interleave(
            lambda: bare.upload_file(source, BUCKET, "put"), *puts, rounds=rounds, warm_up=1
        )
    for name, seconds in zip(names, taken, strict=True):
        yield Result("put", f"{size}, {name}, against upload_file", mark, seconds, baseline)
