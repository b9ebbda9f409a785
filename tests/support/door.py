"""One object that is closed to some callers, and caches that ask for it.

`door` and `caches` are fixtures of tests/origin.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3

from support.handmade import Answer, Asked, HandmadeS3, error, etag_of, handmade, object_answer
from tmpcache import Cache, Outcome

BODY = b"for those who may read it"


class Door:
    """One object behind a door: `denied` are the access key ids that it stays closed to."""

    def __init__(self, server: HandmadeS3) -> None:
        self.server = server
        self.denied: set[str] = set()
        self.is_down = False
        #: Answers wait until this is set.
        self.opens = threading.Event()
        self.opens.set()

    def askers(self) -> list[str]:
        """Return who signed the requests so far, in order."""
        return [asked.who for asked in self.server.asked()]


@contextmanager
def running_door() -> Iterator[Door]:
    """Serve the object while the block runs."""

    def answer(asked: Asked) -> Answer:
        made.opens.wait(30)
        if made.is_down:
            return error(503, "SlowDown")
        if asked.who in made.denied:
            return error(403, "AccessDenied")
        if "list-type" in asked.query:
            etag = etag_of(BODY).replace('"', "&quot;")
            entry = f"<Key>a</Key><ETag>{etag}</ETag><Size>{len(BODY)}</Size>"
            text = (
                "<ListBucketResult><IsTruncated>false</IsTruncated>"
                f"<Contents>{entry}</Contents></ListBucketResult>"
            )
            return Answer(200, text.encode())
        if asked.method == "PUT":
            return Answer(200, b"", {"ETag": etag_of(asked.body)})
        return object_answer(asked, BODY)

    with handmade(answer) as server:
        made = Door(server)
        yield made


class Caches:
    """Caches over one directory."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self._root, self._stack = root, stack

    def __call__(self, **settings: Any) -> Cache:
        cache = Cache(self._root, quota="4 MiB", **{"max_age": 3600, **settings})
        return self._stack.enter_context(cache)


def outcome(cache: Cache, **options: Any) -> Outcome:
    return cache.fetch("models", "a", **options).outcome


def new_client() -> Any:
    """Return a client with credentials of its own: boto3's default session shares them."""
    return boto3.session.Session().client("s3")


class Context:
    """What Lambda gives a function with so many seconds left."""

    def __init__(self, seconds: float) -> None:
        self.milliseconds = int(seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return self.milliseconds
