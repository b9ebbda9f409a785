"""The example of a rate limit whose limits are an object in S3."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tmpcache
from examples import rate_limit
from tmpcache.testing import Bucket, Clock
from tmpcache.testing.faults import INTERNAL_ERROR


@pytest.fixture
def clock(root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    bucket.put("limits.json", limits(default=2))
    monkeypatch.setattr(rate_limit, "BUCKET", "models")
    monkeypatch.setattr(rate_limit, "limiter", rate_limit.Limiter())
    monkeypatch.setattr(rate_limit, "now", clock)
    monkeypatch.setattr(tmpcache, "_default", tmpcache.Cache(root, clock=clock))
    return clock


def limits(**bursts: int) -> bytes:
    return json.dumps(
        {name: {"rate": 1, "burst": burst} for name, burst in bursts.items()}
    ).encode()


def statuses(caller: str, calls: int) -> list[int]:
    event = {"requestContext": {"authorizer": {"principalId": caller}}}
    return [rate_limit.handler(event, None)["statusCode"] for _ in range(calls)]


def test_a_caller_that_calls_too_often_is_refused_until_tokens_grow_back(
    clock: Clock, bucket: Bucket
) -> None:
    assert statuses("alice", 4) == [200, 200, 429, 429]
    assert statuses("bob", 1) == [200]
    clock.advance(1)
    assert statuses("alice", 2) == [200, 429]
    assert len(bucket.gets("limits.json")) == 1


def test_changed_limits_are_seen_and_an_outage_leaves_them(clock: Clock, bucket: Bucket) -> None:
    assert statuses("alice", 3) == [200, 200, 429]
    bucket.put("limits.json", limits(default=2, alice=5))
    clock.advance(31)
    assert statuses("alice", 6) == [200] * 5 + [429]
    bucket.inject("limits.json", INTERNAL_ERROR)
    clock.advance(3600)
    assert statuses("alice", 6) == [200] * 5 + [429]


def test_few_callers_are_remembered(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_CALLERS", 2)
    for caller in "abc":
        statuses(caller, 1)
    assert len(rate_limit.limiter._buckets) == 2
