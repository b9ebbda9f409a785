"""A fresh hit in a process that has seen the object before."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tmpcache import Cache

from .measure import interleave
from .report import Mark, Result
from .server import BUCKET, Server

_FRESH = 3600


def measure(directory: str, server: Server) -> Iterator[Result]:
    """Measure `fetch` of a fresh copy against the least guard of a cache that is kept by hand."""
    key = server.put("hit/model.npz", os.urandom(10_240))
    with Cache(os.path.join(directory, "cache"), quota="100 MiB") as cache:
        path = str(cache.fetch(BUCKET, key))

        def ours() -> None:
            cache.fetch(BUCKET, key, max_age=_FRESH)

        def guard() -> None:
            if not os.path.exists(path):
                raise FileNotFoundError(path)

        taken, baseline = interleave(ours, guard, rounds=400, times=250, warm_up=20)
        assert cache.stats().hits == 420 * 250
    yield Result("hit", "fresh, against os.path.exists", Mark("ours", 8e-6), taken, baseline)
