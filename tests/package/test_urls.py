"""An object may be given as one URL wherever a bucket and a key go."""

from __future__ import annotations

from pathlib import Path

import pytest

import tmpcache
from tmpcache.errors import ConfigError
from tmpcache.testing import Bucket


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("micr/a b%20c.txt", b"abc")
    bucket.put("micr/d.txt", b"d")
    return tmpcache.Cache(root, max_age=60)


def test_a_url_is_bucket_and_key(cache: tmpcache.Cache, bucket: Bucket) -> None:
    url = "s3://models/micr/a b%20c.txt"  # keys are not decoded
    assert cache.fetch(url).key == "micr/a b%20c.txt"
    assert cache.load(url, lambda path: path.read_bytes()) == b"abc"
    assert [path.size for path in cache.fetch_many([url, "s3://models/micr/d.txt"])] == [3, 1]
    assert [*cache.fetch_prefix("s3://models/micr/")] == ["micr/a b%20c.txt", "micr/d.txt"]
    assert len(cache.fetch_prefix("s3://models")) == 2
    assert cache.put("s3://models/new.txt", b"new").key == "new.txt"
    assert bucket.client.get_object(Bucket="models", Key="new.txt")["Body"].read() == b"new"
    with cache.scratch() as work:
        assert work.fetch(url).read_bytes() == b"abc"
    cache.evict(url)
    assert {entry.key for entry in cache.entries()} == {"micr/d.txt", "new.txt"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda cache: cache.fetch("https://models/a"), "names no object"),
        (lambda cache: cache.fetch("s3://models"), "names no object"),
        (lambda cache: cache.fetch("s3://models", "a"), "is a URL"),
        (lambda cache: cache.fetch_many("s3://models/a"), "no list of URLs"),
        (lambda cache: cache.fetch_many("models"), "no list of URLs"),
        (lambda cache: cache.fetch_many(["s3://a/b", "s3://c/d"]), "2 buckets"),
        (lambda cache: cache.fetch_prefix("models"), "names no object"),
        (lambda cache: cache.load("models", "a"), "no loader was given"),
        (lambda cache: cache.put("models", b"x"), "no source was given"),
    ],
)
def test_a_call_that_names_no_object_says_what_to_give(
    cache: tmpcache.Cache, call: object, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        call(cache)  # type: ignore[operator]


def test_a_whole_bucket_is_evicted_only_when_that_is_said(cache: tmpcache.Cache) -> None:
    """A key that is None by mistake would forget everything."""
    cache.fetch_prefix("models", "micr/")
    with pytest.raises(ConfigError, match="whole_bucket=True"):
        cache.evict("models", None)
    assert len([*cache.entries()]) == 2
    assert cache.evict("models", whole_bucket=True) > 0
    assert not [*cache.entries()]
    assert cache.evict("models") == 0
