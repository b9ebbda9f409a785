"""What the log is told, and what events cost where nobody listens."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from support.content import content
from support.processes import spawn

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.events import (
    Event,
)
from tmpcache.testing import Bucket
from tmpcache.testing.faults import SLOW_DOWN, Fault

MIB = 1 << 20


def test_the_log_has_rare_events_at_info_and_all_at_debug(
    root: Path, bucket: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    cache = Cache(root, quota="4 MiB")
    for key in ("a", "b"):
        bucket.put(key, content(key, 2 * MIB))
    caplog.set_level(logging.INFO, "tmpcache")
    cache.fetch("models", "a")
    cache.fetch("models", "b")
    assert [record.getMessage() for record in caplog.records if record.name == "tmpcache"] == [
        "evicted 1 file, 2097152 bytes: room for s3://models/b"
    ]
    caplog.set_level(logging.DEBUG, "tmpcache")
    caplog.clear()
    cache.fetch("models", "a")
    lines = [record.getMessage() for record in caplog.records if record.name == "tmpcache"]
    assert [line.split(" in ")[0] for line in lines][-2:] == [
        "evicted 1 file, 2097152 bytes: room for s3://models/a",
        "s3://models/a fetched: 2097152 bytes",
    ]


def test_no_credentials_are_in_the_log(
    root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-very-secret-key")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-very-secret-token")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    bucket.put("a", b"x")
    bucket.inject("a", SLOW_DOWN, times=1)
    log = io.StringIO()
    logger, handler = logging.getLogger("tmpcache"), logging.StreamHandler(log)
    logger.addHandler(handler)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    try:
        cache = Cache(root, quota="4 MiB", stale_if_error=60)
        cache.fetch("models", "a")
        bucket.inject("a", Fault(status=HTTPStatus.INTERNAL_SERVER_ERROR, code="InternalError"))
        cache.fetch("models", "a")
    finally:
        logger.removeHandler(handler)
        monkeypatch.undo()
        logger.manager._clear_cache()  # type: ignore[attr-defined]
    assert "served stale" in log.getvalue()
    assert "a-very-secret" not in log.getvalue()


def opcodes(call: Callable[[], object]) -> int:
    """Return how many instructions of the interpreter a call takes."""
    count = 0

    def trace(frame: Any, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


def test_a_hit_takes_no_instruction_more_with_hooks_and_is_no_event(
    root: Path,
    bucket: Bucket,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else it depends on the time between two hits whether the index's place is looked at.
    monkeypatch.setattr("tmpcache.store.index._TRUSTED", 3600.0)
    bucket.put("a", b"x")
    cache = Cache(root, quota="4 MiB", max_age=3600, clock=lambda: 1_800_000_000.0)
    cache.fetch("models", "a")

    def from_memory() -> None:
        assert cache.fetch("models", "a").outcome is Outcome.HIT

    def from_index() -> None:
        cache._fetcher.remembered.clear()
        assert cache.fetch("models", "a").outcome is Outcome.HIT

    from_index()
    opcodes(from_memory)  # Python 3.12 counts none the first time
    before = [opcodes(from_memory), min(opcodes(from_index) for _ in range(5))]
    caplog.set_level(logging.DEBUG, "tmpcache")
    caplog.clear()
    told: list[Event] = []
    with tmpcache.subscribe(told.append):
        now = [opcodes(from_memory), min(opcodes(from_index) for _ in range(5))]
    assert now == before
    assert not told
    assert not caplog.records


def test_where_nobody_listens_no_event_is_made(root: Path, bucket: Bucket) -> None:
    """The default level is WARNING: what each fetch does is not worth an import of 5 ms."""
    bucket.put("a", b"x")
    with spawn(
        """
        import logging, tmpcache
        cache = tmpcache.Cache(root, quota="4 MiB", origin="direct")
        outcomes = [cache.fetch("models", "a").outcome.value for _ in range(2)]
        say([outcomes, "tmpcache.events" in sys.modules])
        """,
        root=str(root),
    ) as child:
        assert child.hear() == [["fetched", "revalidated"], False]
