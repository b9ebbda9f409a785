"""A rate limit for each container, whose limits are an object in S3.

Each container lets each caller through so many times a second, without asking anybody: the buckets
of tokens are in its memory. What a caller may do is in one JSON object,
``{"default": {"rate": 5, "burst": 10}, "alice": {"rate": 50, "burst": 100}}``. A change of it is
seen within MAX_AGE seconds, and it is parsed again only then.

With n containers a caller gets n times its rate at most: this protects what a container has (its
CPU, its connections), not a quota that is sold. For that, count in DynamoDB.
"""

from __future__ import annotations

import json
import os
import time
from collections import OrderedDict
from threading import Lock
from typing import Any

import tmpcache

BUCKET, KEY = os.environ.get("LIMITS_BUCKET", ""), "limits.json"
MAX_AGE = 30.0
#: Callers that are remembered. One that is forgotten has its whole burst again.
MAX_CALLERS = 10_000
now = time.monotonic


def parse(file: tmpcache.CachedFile) -> dict[str, dict[str, float]]:
    """Return rate (calls a second) and burst (calls) of each caller that has its own."""
    return dict(json.loads(file.read_bytes()))


class Limiter:
    """Token buckets: a call takes a token, and tokens grow back at the caller's rate."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when
        self._lock = Lock()

    def allows(self, caller: str, rate: float, burst: float, now: float) -> bool:
        """Take a token of the caller; return whether there was one.

        >>> limiter = Limiter()
        >>> [limiter.allows("alice", rate=1, burst=2, now=now) for now in (0, 0, 0, 1, 1)]
        [True, True, False, True, False]
        """
        with self._lock:
            tokens, at = self._buckets.pop(caller, (burst, now))
            tokens = min(burst, tokens + (now - at) * rate)
            self._buckets[caller] = max(tokens - 1, 0) if tokens >= 1 else tokens, now
            while len(self._buckets) > MAX_CALLERS:
                self._buckets.popitem(last=False)
        return tokens >= 1


limiter = Limiter()


@tmpcache.invocation
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer 200 or 429 to the caller that API Gateway has authenticated."""
    caller = event["requestContext"]["authorizer"]["principalId"]
    limits = tmpcache.load(BUCKET, KEY, parse, max_age=MAX_AGE, stale_if_error=86_400)
    limit = limits.get(caller, limits["default"])
    if not limiter.allows(caller, limit["rate"], limit["burst"], now()):
        return {"statusCode": 429, "headers": {"retry-after": "1"}, "body": ""}
    return {"statusCode": 200, "body": "hello"}
