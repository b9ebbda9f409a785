"""The same as `examples.batch_map`, with Ray instead of Dask.

``python -m examples.ray_map s3://inbox/scans/ s3://inbox/words/``: what the two have computed, they
need not compute again. The third argument is the address of a Ray cluster, whose workers have this
package, and TMPCACHE_ROOT in their environment.
"""

from __future__ import annotations

import sys

import ray
from rich.progress import Progress

from .batch_map import compute, missing


def main(source: str, target: str, address: str | None = None) -> int:
    """Compute what is missing, and show how far it is; return how many parts failed."""
    todo = missing(source, target)
    if not todo:
        return 0
    ray.init(address, ignore_reinit_error=True)
    task = ray.remote(max_retries=2, retry_exceptions=True)(compute)
    waiting, failed = [task.remote(*one) for one in todo], 0
    with Progress() as progress:
        shown = progress.add_task("parts", total=len(todo))
        while waiting:
            [done], waiting = ray.wait(waiting)
            try:
                ray.get(done)
            except ray.exceptions.RayTaskError as error:
                failed += 1
                print(error, file=sys.stderr)
            progress.advance(shown)
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
