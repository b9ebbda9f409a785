"""Maps a function over all objects below a prefix, on all cores or on many machines; it resumes.

``python -m examples.batch_map s3://inbox/scans/ s3://inbox/words/`` counts words. Replace `measure`
by what you want of each object.

The keys are dealt into parts, by a hash of the key. The result of a part is one object, which is
named after the keys and ETags in it. So what is done is what is there: a run that was killed goes
on with the parts whose results are missing, and a later one does those whose objects have changed.

All processes of a machine share one cache. A part's files are leased while it is computed, so the
quota must have room for a part for each process.

Dask spreads the parts, over processes of this machine or, with a scheduler's address as the third
argument, over a cluster. Who can reach a Dask scheduler can run code on its workers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import boto3
from distributed import Client, as_completed
from rich.progress import track

import tmpcache

#: The keys and ETags of some objects.
Part = list[tuple[str, str]]
Todo = tuple[str, Part, str, str]
#: Objects in a part, roughly: enough that a result is worth a request, few enough for the quota.
SIZE = 100


def measure(path: tmpcache.CachedFile) -> Any:
    """Return what is wanted of an object, as JSON has it."""
    return len(path.read_bytes().split())


def main(source: str, target: str, scheduler: str | None = None) -> int:
    """Compute what is missing, and show how far it is; return how many parts failed."""
    todo = missing(source, target)
    if not todo:
        return 0
    failed = 0
    with _client(scheduler) as client:
        futures = client.map(compute, *zip(*todo, strict=True), retries=2)
        for future in track(as_completed(futures), "parts", len(futures)):
            if future.status == "error":
                failed += 1
                print(future.exception(), file=sys.stderr)
    return failed


def missing(source: str, target: str) -> list[Todo]:
    """Return the arguments of `compute` for each part whose result is not there."""
    (bucket, prefix), (into, below) = _split(source), _split(target)
    done = {key for key, _ in _listed(into, below)}
    parts = {f"{below}{_name(part)}.json": part for part in _parts([*_listed(bucket, prefix)])}
    return [(bucket, parts[key], into, key) for key in parts.keys() - done]


def _client(scheduler: str | None) -> Client:
    """Connect to a cluster, or start a process for each core of this machine."""
    if scheduler is not None:
        return Client(scheduler)
    return Client(threads_per_worker=1, dashboard_address="127.0.0.1:0")


def compute(bucket: str, part: Part, into: str, key: str) -> None:
    """Compute a part on a worker, and put its result."""
    paths = tmpcache.fetch_many(bucket, [name for name, _ in part], max_age=3600)
    found = {path.key: measure(path) for path in paths}
    tmpcache.put(into, key, json.dumps(found).encode()).release()


def _listed(bucket: str, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield key and ETag of each object below a prefix."""
    pages = boto3.client("s3").get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=prefix):
        yield from ((one["Key"], one["ETag"]) for one in page.get("Contents", ()))


def _parts(objects: Part) -> list[Part]:
    """Deal objects into parts. A new one changes one part, until there are twice as many."""
    count = 1 << max(0, len(objects) // SIZE).bit_length()
    dealt: dict[int, Part] = {}
    for key, etag in sorted(objects):
        number = int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) % count
        dealt.setdefault(number, []).append((key, etag))
    return [*dealt.values()]


def _name(part: Part) -> str:
    return blake2b(json.dumps(part).encode(), digest_size=16).hexdigest()


def _split(url: str) -> tuple[str, str]:
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, prefix


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
