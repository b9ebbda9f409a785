"""What a listing and a pack save one machine: confirmed copies, and a cold start 20 ms away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace

from tmpcache import Cache

from .fleet.bucket import BUCKET, URL, Bucket
from .fleet.caches import CountedOrigin, Writer
from .fleet.http_bucket import serving
from .fleet.measure import run
from .fleet.processes import running
from .fleet.timeline import Scenario
from .peers.works import LATENCY
from .report import Mark, Result
from .server import Server

_ROUNDS, _WARM_UP = 7, 2
_COLD = Scenario(machines=1, every=10.0)


def measure(directory: str, server: Server) -> Iterator[Result]:
    """Measure stale objects that a listing at hand confirms, and a cold process with a pack."""
    one, all_at_once = _confirmed(directory)
    yield Result("listing", "a stale object confirmed", Mark("ours", 40e-6), one)
    yield Result("listing", "200 stale objects at once", Mark("ours", 5e-3), all_at_once)
    yield _cold(directory)


def _confirmed(directory: str) -> tuple[list[float], list[float]]:
    """Return the seconds for one stale object after another, and those for all 200 at once."""
    bucket = Bucket(_COLD)
    writer = Writer(_COLD, bucket, tempfile.mkdtemp(dir=directory))
    machine = Cache(
        tempfile.mkdtemp(dir=directory),
        max_age=60,
        listings=[URL],
        clock=bucket.clock,
        origin=CountedOrigin(bucket),
    )
    one: list[float] = []
    at_once: list[float] = []
    with writer.cache, machine as cache:
        cache.fetch_many(BUCKET, bucket.keys)

        def written() -> None:
            """Let all copies be stale, and a new listing be at hand."""
            bucket.now += 100
            writer.write(1)
            cache.fetch(BUCKET, bucket.keys[0]).release()

        for number in range(_WARM_UP + _ROUNDS):
            written()
            began, asked = time.perf_counter(), bucket.asked.total()
            for key in bucket.keys[1:]:
                cache.fetch(BUCKET, key).release()
            took = time.perf_counter() - began
            written()
            asked += 3  # a LIST and a PUT of the writer, and a GET of the listing
            began = time.perf_counter()
            paths = cache.fetch_many(BUCKET, bucket.keys)
            took_at_once = time.perf_counter() - began
            assert bucket.asked.total() == asked, "the listing did not confirm all"
            del paths
            if number >= _WARM_UP:
                one.append(took / (len(bucket.keys) - 1))
                at_once.append(took_at_once)
    return one, at_once


def _cold(directory: str) -> Result:
    """Compare a process with an empty root that unpacks a pack with one that fetches all."""
    ways = replace(_COLD, listing=True, pack=True), _COLD
    seconds: tuple[list[float], list[float]] = [], []
    with serving(LATENCY) as far, running(1, far.endpoint) as processes:
        for number in range(1 + _ROUNDS):  # the first time imports what is needed
            for way, took in zip(ways, seconds, strict=True):
                done = run(way, far, processes, tempfile.mkdtemp(dir=directory))
                assert done.is_as_simulated, "it asked something else"
                if number:
                    took.append(done.seconds)
    ours, theirs = seconds
    return Result(
        "listing", "200 cold by pack against fetch_many", Mark("ratio", 0.25), ours, theirs
    )
