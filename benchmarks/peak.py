"""``python -m benchmarks.peak ours|bare KEY``: get an object, tell the peak memory in bytes."""

from __future__ import annotations

import re
import resource
import sys

from .server import BUCKET

_CHUNK = 1024 * 1024


def fetch_one(key: str) -> None:
    """Have tmpcache bring the object in."""
    import tmpcache

    tmpcache.fetch(BUCKET, key)


def read(key: str) -> None:
    """Read the object with boto3 alone, and keep nothing."""
    import boto3

    body = boto3.client("s3").get_object(Bucket=BUCKET, Key=key)["Body"]
    while body.read(_CHUNK):
        pass


def peak() -> int:
    """Return the most memory that this program has had, in bytes.

    Linux counts into ``ru_maxrss`` what the parent occupied when it started this process, so its
    own high-water mark is better.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            found = re.search(r"VmHWM:\s*(\d+) kB", status.read())
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: in bytes
    assert found is not None
    return int(found[1]) * 1024


if __name__ == "__main__":
    {"ours": fetch_one, "bare": read}[sys.argv[1]](sys.argv[2])
    print(peak())
