"""What tmpcache adds to a request."""

from __future__ import annotations

import os
from collections.abc import Iterator

from botocore.exceptions import ClientError

from tmpcache import Cache

from .measure import interleave
from .report import Mark, Result
from .server import BUCKET, Server, client

_ROUNDS, _WARM_UP = 500, 25
_SIZE = 10_240


def measure(directory: str, server: Server) -> Iterator[Result]:
    """Measure asking and downloading against a bare client that does the same without a cache."""
    with Cache(os.path.join(directory, "cache"), quota="1 GiB") as cache:
        yield _asking(cache, server)
        yield _cold(cache, server, directory)


def _asking(cache: Cache, server: Server) -> Result:
    key, bare = server.put("wire/asked", os.urandom(_SIZE)), client()
    etag = cache.fetch(BUCKET, key).etag

    def ours() -> None:
        cache.fetch(BUCKET, key, max_age=0)

    def ask() -> None:
        try:
            bare.get_object(Bucket=BUCKET, Key=key, IfNoneMatch=etag)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 304:
                return
        raise AssertionError("asked with its ETag, the object was sent again")

    taken, baseline = interleave(ours, ask, rounds=_ROUNDS, warm_up=_WARM_UP)
    assert cache.stats().revalidated == _ROUNDS + _WARM_UP
    what = "asking hit (304), against get_object"
    return Result("wire", what, Mark("ratio", 0.40), taken, baseline)


def _cold(cache: Cache, server: Server, directory: str) -> Result:
    bare, target = client(), os.path.join(directory, "bare")
    os.mkdir(target)
    for number in range(_ROUNDS + _WARM_UP):
        server.put(f"wire/{number}", os.urandom(_SIZE))
    to_fetch, to_get = iter(range(_ROUNDS + _WARM_UP)), iter(range(_ROUNDS + _WARM_UP))
    before = cache.stats().fetched

    def ours() -> None:
        cache.fetch(BUCKET, f"wire/{next(to_fetch)}")

    def get() -> None:
        name = str(next(to_get))
        body = bare.get_object(Bucket=BUCKET, Key=f"wire/{name}")["Body"].read()
        with open(os.path.join(target, name), "wb") as file:
            file.write(body)

    taken, baseline = interleave(ours, get, rounds=_ROUNDS, warm_up=_WARM_UP)
    assert cache.stats().fetched == before + _ROUNDS + _WARM_UP
    what = "cold 10 KiB, against get_object and write"
    return Result("wire", what, Mark("ratio", 0.55), taken, baseline)
