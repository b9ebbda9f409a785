"""Dask workers that are warm before their first task.

``client.register_plugin(WarmCache("s3://models/micr/"))``: the first worker process on each machine
unpacks the pack of the prefix, the others wait for it. Workers that come later are warmed as well.
"""

from __future__ import annotations

import os
from typing import Any

from distributed import WorkerPlugin
from filelock import FileLock

import tmpcache


class WarmCache(WorkerPlugin):
    """Warms the cache of a worker's machine from a prefix, a pack or a manifest."""

    idempotent = True

    def __init__(self, url: str, max_seconds: float = 60) -> None:
        self.url, self.max_seconds = url, max_seconds
        self.name = f"warm {url}"

    def setup(self, worker: Any) -> None:
        """Warm the cache if this machine has nothing in it, also from another process."""
        cache = tmpcache.default_cache()
        shared = os.path.dirname(worker.local_directory)  # by Dask's workers of this machine
        with FileLock(os.path.join(shared, "warm.lock")):
            if not cache.usage().objects:
                cache.warm(self.url, max_seconds=self.max_seconds)
