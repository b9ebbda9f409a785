"""The life of a function under Lambda's own runtime client: cold, warm, frozen, killed, resumed."""

from __future__ import annotations

import fcntl
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.disk import allocated
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache.testing import Bucket, LambdaHarness

MIB = 1024 * 1024
PROGRESS_INTERVAL = 8 * MIB
BODY = random.Random(5).randbytes(64 * MIB)
#: Every connection brings this much, then nothing more.
STALLS = Trouble(body="stall", after=5 * MIB, rate=40e6)

APP = """
import threading
import tmpcache

def work(event):
    found = {}
    with tmpcache.scratch() as scratch:
        (scratch / "half").write_bytes(b"x")
        path = scratch.fetch("models", event["key"])
        found["outcome"], found["size"] = path.outcome.value, path.size
        found["again"] = tmpcache.fetch("models", event["key"]).outcome.value
        tmpcache.put("models", "out", b"done")
        if event.get("then") == "raise":
            raise ValueError("on purpose")
        if event.get("then") == "exit":
            raise SystemExit(3)
    found["fetched bytes"] = tmpcache.default_cache().stats().bytes_fetched
    found["threads"] = threading.active_count()
    return found

@tmpcache.invocation
def handler(event, context):
    return work(event)

def careless(event, context):
    return work(event)
"""


@pytest.fixture
def function(root: Path, bucket: Bucket, tmp_path: Path) -> Iterator[LambdaHarness]:
    (tmp_path / "app.py").write_text(APP)
    bucket.put("model", b"model")
    with LambdaHarness(
        "app.handler",
        directory=tmp_path,
        environ={"TMPCACHE_ROOT": str(root), "TMPCACHE_QUOTA": "200 MiB"},
    ) as harness:
        yield harness


def assert_tidy(root: Path, *, partials: int = 0) -> None:
    """Nothing is left that a live session does not own; no lock is held; ledger and disk agree."""
    scratch = root / "scratch"
    assert not scratch.exists() or len(os.listdir(scratch)) <= 1  # of the process that was killed
    left = list((root / "partial").iterdir())
    assert len(left) == partials
    for path in left:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    cache = tmpcache.Cache(root, quota="200 MiB")
    with cache.invocation():  # sweeps what the dead left
        assert cache.stats().asked == 0
    if scratch.exists():
        assert not [path for path in scratch.glob("*/*") if path.is_dir()]
    assert cache.usage().used == allocated(root)
    assert cache.usage().leased == 0
    assert cache.verify().damaged == ()
    cache.close()


def test_cold_warm_frozen_and_thawed(function: LambdaHarness, root: Path, bucket: Bucket) -> None:
    cold = function.invoke({"key": "model"})
    assert (cold.cold, cold.payload["outcome"], cold.payload["again"]) == (True, "fetched", "hit")
    assert_tidy(root)
    for _ in range(3):
        warm = function.invoke({"key": "model"})
        assert (warm.cold, warm.pid) == (False, cold.pid)
        assert (warm.payload["outcome"], warm.payload["again"]) == ("revalidated", "hit")
        assert warm.payload["threads"] == 1
        assert function.frozen
        assert_tidy(root)
    time.sleep(3)  # frozen for a while; the event is queued before it thaws
    bucket.put("model", b"newer")
    thawed = function.invoke({"key": "model"})
    assert (thawed.pid, thawed.payload["outcome"]) == (cold.pid, "fetched")
    assert_tidy(root)
    function.restart()
    again = function.invoke({"key": "model"})
    assert (again.cold, again.payload["outcome"]) == (True, "revalidated")
    assert_tidy(root)


@pytest.mark.parametrize("then", ["raise", "exit"])
def test_a_handler_that_fails_leaves_nothing(
    function: LambdaHarness, root: Path, then: str
) -> None:
    failed = function.invoke({"key": "model", "then": then})
    assert failed.failed
    assert_tidy(root)
    assert not list(root.glob("scratch/*"))
    assert function.invoke({"key": "model"}).payload["outcome"] == "revalidated"


def test_killed_in_the_middle_of_a_download_and_gone_on_with(
    root: Path, bucket: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    bucket.put("big", BODY)
    proxy.set(STALLS)
    with LambdaHarness(
        "app.careless",  # without the invocation's deadline: Lambda's axe falls
        directory=tmp_path,
        environ={"TMPCACHE_ROOT": str(root), "TMPCACHE_QUOTA": "200 MiB"},
    ) as function:
        killed = function.invoke({"key": "big"}, timeout=6)
        assert killed.failed
        assert function.pid is None
        (partial,) = (root / "partial").iterdir()
        content = partial.read_bytes()
        places = [slice(at, at + 65536) for at in range(0, len(BODY), 65536)]
        arrived = 65536 * sum(content[place] == BODY[place] for place in places)
        assert 2 * PROGRESS_INTERVAL < arrived < len(BODY)
        assert_tidy(root, partials=1)
        proxy.set(Trouble())
        bucket.server.forget()
        done = function.invoke({"key": "big"}, timeout=60)
    assert (done.cold, done.payload["outcome"], done.payload["size"]) == (True, "fetched", 64 * MIB)
    assert done.payload["fetched bytes"] <= 64 * MIB - arrived + PROGRESS_INTERVAL + 65536
    *rest, asked_again = bucket.gets("big")
    assert all(get.etag_required for get in rest)
    assert asked_again.status == 304
    assert_tidy(root)
    path = tmpcache.Cache(root, quota="200 MiB").fetch("models", "big")
    assert path.read_bytes() == BODY


def test_a_deadline_ends_a_download_before_lambda_does(
    function: LambdaHarness, root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("big", BODY)
    proxy.set(STALLS)
    late = function.invoke({"key": "big"}, timeout=6)
    assert late.failed
    assert late.payload["errorType"] == "DeadlineExceededError"
    assert late.duration < 6
    assert function.pid == late.pid, "the process lives on, warm"
    assert_tidy(root, partials=1)
    proxy.set(Trouble())
    done = function.invoke({"key": "big"}, timeout=60)
    assert (done.cold, done.payload["outcome"]) == (False, "fetched")
    assert_tidy(root)
