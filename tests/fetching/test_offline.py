"""A cache that is offline serves what these credentials have been given, and asks nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

import tmpcache
from tmpcache import NotCachedError, Outcome
from tmpcache.errors import ConfigError, OriginUnavailableError
from tmpcache.testing import Bucket


@pytest.fixture
def online(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("a.bin", b"a")
    bucket.put("b.bin", b"b")
    cache = tmpcache.Cache(root)
    cache.fetch("models", "a.bin")
    bucket.server.forget()
    return cache


@pytest.fixture(params=["auto", "boto3", "obstore"])
def offline(request: pytest.FixtureRequest, online: tmpcache.Cache, root: Path) -> tmpcache.Cache:
    return tmpcache.Cache(root, offline=True, origin=request.param)


def test_it_serves_what_is_cached_however_old_and_sends_no_request(
    offline: tmpcache.Cache, bucket: Bucket
) -> None:
    file = offline.fetch("models", "a.bin")
    assert (file.read_bytes(), file.outcome) == (b"a", Outcome.STALE)
    assert offline.fetch("models", "a.bin", max_age=3600).outcome is Outcome.HIT
    assert [one.read_bytes() for one in offline.fetch_many("models", ["a.bin"])] == [b"a"]
    assert offline.load("models", "a.bin", Path.read_bytes) == b"a"
    with offline.scratch() as work:
        assert work.fetch("models", "a.bin").read_bytes() == b"a"
    assert not bucket.server.requests


def test_it_says_what_is_not_cached(offline: tmpcache.Cache, bucket: Bucket) -> None:
    for call in (
        lambda: offline.fetch("models", "b.bin"),
        lambda: offline.fetch_prefix("models", ""),
        lambda: offline.put("models", "c.bin", b"c"),
    ):
        with pytest.raises(NotCachedError, match="TMPCACHE_OFFLINE") as caught:
            call()
        assert isinstance(caught.value, OriginUnavailableError)
    found = offline.fetch_many("models", ["a.bin", "b.bin"], return_exceptions=True)
    assert isinstance(found[1], NotCachedError)
    assert not bucket.server.requests


def test_it_serves_nothing_to_credentials_that_were_given_nothing(
    online: tmpcache.Cache, root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAANOTHER")
    other = tmpcache.Cache(root, offline=True)
    with pytest.raises(NotCachedError):
        other.fetch("models", "a.bin")
    assert other.peek("models", "a.bin") is None
    assert not bucket.server.requests


@pytest.mark.parametrize(("text", "is_offline"), [("1", True), ("on", True), ("0", False)])
def test_the_environment_says_whether_a_cache_is_offline(
    online: tmpcache.Cache,
    root: Path,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    is_offline: bool,
) -> None:
    monkeypatch.setenv("TMPCACHE_OFFLINE", text)
    tmpcache.Cache(root).fetch("models", "a.bin")
    assert len(bucket.server.requests) == (0 if is_offline else 1)
    monkeypatch.setenv("TMPCACHE_OFFLINE", "perhaps")
    with pytest.raises(ConfigError, match="TMPCACHE_OFFLINE"):
        tmpcache.Cache(root)
    with pytest.raises(ConfigError, match="offline="):
        tmpcache.Cache(root, offline="yes")  # type: ignore[arg-type]


def test_peek_asks_nobody_and_keeps_the_file(online: tmpcache.Cache, bucket: Bucket) -> None:
    assert tmpcache.Cache(online.root).peek("s3://models/b.bin") is None
    file = tmpcache.Cache(online.root).peek("models", "a.bin")
    assert file is not None
    online.clear()
    assert (file.read_bytes(), file.outcome) == (b"a", Outcome.HIT)
    assert not bucket.server.requests


def test_peek_finds_no_damaged_copy(online: tmpcache.Cache, bucket: Bucket) -> None:
    path = online.fetch("models", "a.bin")
    Path(path).unlink()
    assert online.peek("models", "a.bin") is None
