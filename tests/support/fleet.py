"""Listings and packs written by hand, and what was asked of S3."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tmpcache.testing import Bucket, S3Server

#: Before the real time, so that the clock of these tests and not S3's dates a listing.
NOW = 1_700_000_000.0
PREFIX = "s3://models/micr/"
LISTING, PACK = "micr/.tmpcache-listing", "micr/.tmpcache-pack"


def listing(at: Any, etags: Any, **more: Any) -> bytes:
    """Return the bytes of a listing, which may be wrong in any way."""
    return json.dumps({"tmpcache-listing": 1, "at": at, "etags": etags, **more}).encode()


def put_objects(bucket: Bucket, count: int) -> dict[str, str]:
    """Store objects below the prefix; return their ETags by relative key."""
    return {
        f"{number:03}.npz": bucket.put(f"micr/{number:03}.npz", b"%03d" % number)
        for number in range(count)
    }


def keys(etags: dict[str, str]) -> list[str]:
    """Return the whole keys of what a listing names."""
    return [f"micr/{key}" for key in etags]


def asked(server: S3Server) -> Counter[str]:
    """Count the GETs since this was last called, by their path below the bucket."""
    counted = Counter(r.path.removeprefix("/models/") for r in server.gets())
    server.forget()
    return counted
