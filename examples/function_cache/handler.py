"""GET, PUT and DELETE of /items/{key}: one JSON object in S3 holds all items.

Readers ask S3 at most every MAX_AGE seconds and parse the object again only when it has changed.
Writers race with `if_match`: who loses reads the new state and tries again.
"""

from __future__ import annotations

import json
import os
import random
import time
from typing import Any
from urllib.parse import unquote

import tmpcache
from tmpcache.invocations.decorator import is_ping_or_scheduled

BUCKET, KEY = os.environ.get("STATE_BUCKET", ""), "state.json"
MAX_AGE = float(os.environ.get("STATE_MAX_AGE", "5"))
#: Tries of one writer. With n writers at a time, the unluckiest needs n.
TRIES = 8


def parse(file: tmpcache.CachedFile) -> dict[str, Any]:
    """Return all items; called once for each content of the object."""
    return dict(json.loads(file.read_bytes()))


def read() -> dict[str, Any]:
    """Return all items, at most MAX_AGE seconds old; of the last hour if S3 is unreachable."""
    try:
        return tmpcache.load(BUCKET, KEY, parse, max_age=MAX_AGE, stale_if_error=3600)
    except tmpcache.ObjectNotFoundError:
        return {}


def write(key: str, value: Any) -> None:
    """Set an item, or delete it with None. Raise `ObjectChangedError` if others always win."""
    for tries_left in reversed(range(TRIES)):
        try:
            with tmpcache.fetch(BUCKET, KEY, max_age=0) as file:
                items, etag, must_be_new = parse(file), file.etag, None
        except tmpcache.ObjectNotFoundError:
            items, etag, must_be_new = {}, None, "*"
        changed = {**items, key: value}
        body = json.dumps({name: one for name, one in changed.items() if one is not None})
        try:
            tmpcache.put(BUCKET, KEY, body.encode(), if_match=etag, if_none_match=must_be_new)
        except tmpcache.ObjectChangedError:
            if not tries_left:
                raise
            time.sleep(random.uniform(0, 0.05 * (TRIES - tries_left)))
        else:
            return


@tmpcache.invocation(ping=is_ping_or_scheduled)  # a schedule keeps the function warm
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer a request of API Gateway (HTTP API, payload format 2.0)."""
    method = event["requestContext"]["http"]["method"]
    key = unquote(event["rawPath"].removeprefix("/items/"))
    if method == "GET":
        items = read()
        return answer(200, items[key]) if key in items else answer(404, {"error": "no such item"})
    try:
        value = None if method == "DELETE" else json.loads(event.get("body") or "")
    except ValueError:
        return answer(400, {"error": "the body is not JSON"})
    try:
        write(key, value)
    except tmpcache.ObjectChangedError:
        return answer(409, {"error": "others wrote at the same time: try again"})
    return answer(204)


def answer(status: int, body: Any = None) -> dict[str, Any]:
    """Return what API Gateway expects."""
    headers = {"content-type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body) if body else ""}
