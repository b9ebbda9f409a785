"""Cold and warm starts: a new process on the same disk, and the same process again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import tmpcache
from tmpcache import CachedFile
from tmpcache.testing import Bucket, Clock, ColdStart, ColdStartError, WarmStart


def fetched(key: str, max_age: float = 60) -> CachedFile:
    """What tests of cold starts have done in a fresh process."""
    return tmpcache.fetch("models", key, max_age=max_age)


def failing(kind: type[Exception], *args: object) -> None:
    raise kind(*args)


class Peculiar(Exception):
    """Goes into a pickle and does not come out."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def test_a_cold_start_is_another_process_on_the_same_disk(root: Path, bucket: Bucket) -> None:
    bucket.put("a.npz", b"a")
    clock = Clock()
    cold_start = ColdStart({"root": root, "clock": clock})
    path = cold_start(fetched, "a.npz")
    assert type(path) is type(Path())
    assert (path.read_bytes(), path.suffix) == (b"a", ".npz")
    assert cold_start(os.getpid) != os.getpid()
    assert cold_start(fetched, "a.npz", after=58) == path
    assert len(bucket.gets("a.npz")) == 1
    cold_start(fetched, "a.npz", after=1)
    assert [get.status for get in bucket.gets("a.npz")] == [200, 304]
    with tmpcache.Cache(root, clock=clock) as cache:
        assert cache.fetch("models", "a.npz", max_age=1).outcome is tmpcache.Outcome.HIT


def test_a_cold_start_remembers_nothing_and_may_be_source_text(root: Path, bucket: Bucket) -> None:
    bucket.put("a", b"a")
    cold_start = ColdStart({"root": root, "clock": Clock()})
    code = """
        import sys, tmpcache
        path = tmpcache.fetch(*args, max_age=60)
        return path.outcome.name, "tmpcache.origin.direct.connections" in sys.modules
    """
    assert cold_start(code, "models", "a") == ("FETCHED", True)
    assert cold_start(code, "models", "a") == ("HIT", False)
    assert cold_start("args") is None


def test_a_cold_start_finds_the_modules_that_are_found_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("answer = 42")
    monkeypatch.syspath_prepend(tmp_path)
    assert ColdStart()("import only_here; return only_here.answer") == 42


def test_what_a_cold_start_raises_is_raised_here() -> None:
    with pytest.raises(KeyError, match="no such check") as caught:
        ColdStart()(failing, KeyError, "no such check")
    [note] = caught.value.__notes__
    assert "In the fresh process:" in note
    assert ", in failing\n    raise kind(*args)" in note


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("import os; os._exit(0)", "ended with status 0, no result"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        ("return lambda: 0", "the result cannot be handed over"),
        (
            "import test_starts as t; raise t.Peculiar('a', 'b')",
            "test_starts.Peculiar: a",
        ),
        (lambda: 0, "cannot be handed to another process .*top of a module"),
    ],
)
def test_a_cold_start_without_a_result_says_why(work: Any, message: str) -> None:
    with pytest.raises(ColdStartError, match=message):
        ColdStart()(work)


def test_a_cold_start_that_takes_too_long_is_killed() -> None:
    with pytest.raises(TimeoutError, match=r"0\.2 seconds"):
        ColdStart()("import time; time.sleep(600)", timeout=0.2)


def test_a_warm_start_keeps_the_memory_and_drops_what_nobody_holds(
    root: Path, bucket: Bucket
) -> None:
    bucket.put("a", b"a")
    clock = Clock()
    warm_start = WarmStart(clock)
    with tmpcache.Cache(root, quota="4 MiB", clock=clock) as cache:
        cycle: list[Any] = [warm_start(cache.fetch, "models", "a")]
        cycle.append(cycle)
        del cycle
        assert warm_start(lambda: cache.usage().leased) == 0
        assert warm_start(lambda: cache.fetch("models", "a", max_age=60).outcome.name) == "HIT"
        later = warm_start(lambda: cache.fetch("models", "a", max_age=60).outcome.name, after=60)
        assert later == "REVALIDATED"


def test_time_passes_between_starts_although_no_test_says_how_much(
    root: Path, bucket: Bucket
) -> None:
    """A function without a ``max_age`` asks at each start, in tests as in production."""
    bucket.put("a.npz", b"a")
    clock = Clock()
    began = clock.now
    ColdStart({"root": root, "clock": clock})("import tmpcache; tmpcache.fetch('models', 'a.npz')")
    with tmpcache.Cache(root, clock=clock) as cache:
        handler = cache.invocation(lambda event, context: cache.fetch("models", "a.npz").size)
        for _ in range(2):
            WarmStart(clock)(handler, {}, None)
    assert [get.status for get in bucket.gets("a.npz")] == [200, 304, 304]
    assert clock.now == began + 3


def test_time_passes_only_where_there_is_a_clock() -> None:
    for start in (ColdStart(), WarmStart()):
        with pytest.raises(ValueError, match="needs a clock"):
            start(os.getpid, after=1)
