"""A function that warms its cache in Lambda's init phase, which has ten seconds.

WARM_FROM is the URL of a prefix with a listing and a pack, such as ``s3://models/micr/``: two
requests for all that is in the pack. What does not come in time is fetched when it is wanted.
"""

from __future__ import annotations

import os
from typing import Any

import tmpcache

WARM_FROM = os.environ["WARM_FROM"]
tmpcache.configure(max_age=300, listings=[WARM_FROM])
warmed = tmpcache.warm(WARM_FROM, max_seconds=5)


@tmpcache.invocation
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return the size of an object, whose key is in the event, and how it was come by."""
    path = tmpcache.fetch(f"{WARM_FROM}{event['key']}")
    return {"size": path.size, "outcome": path.outcome.value, "warmed": warmed.fetched}
