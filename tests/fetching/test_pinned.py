"""A fetch whose caller knows the SHA-256 of the content."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import tmpcache
from tmpcache import IntegrityError, Outcome
from tmpcache.errors import ConfigError
from tmpcache.store import sha256 as hashing
from tmpcache.testing import Bucket

ONE, TWO = b"one" * 1000, b"two" * 1000
SHA_ONE, SHA_TWO = (hashlib.sha256(body).hexdigest() for body in (ONE, TWO))


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("m.bin", ONE)
    return tmpcache.Cache(root)


def test_a_pinned_hit_never_asks(
    cache: tmpcache.Cache, bucket: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cache.fetch("models", "m.bin", sha256=SHA_ONE)
    bucket.put("m.bin", TWO)
    bucket.server.forget()
    again = cache.fetch("models", "m.bin", sha256=f"sha256:{SHA_ONE.upper()}")
    assert (first.outcome, again.outcome, again.read_bytes()) == (
        Outcome.FETCHED,
        Outcome.HIT,
        ONE,
    )

    def never(*arguments: object) -> str:
        raise AssertionError("another process has hashed it already")

    monkeypatch.setattr(hashing, "computed", never)
    assert tmpcache.Cache(root).fetch("models", "m.bin", sha256=SHA_ONE).read_bytes() == ONE
    assert not bucket.server.requests


def test_only_what_is_returned_counts_as_a_hit(cache: tmpcache.Cache, bucket: Bucket) -> None:
    cache.fetch("models", "m.bin")
    bucket.put("m.bin", TWO)
    for _ in range(2):  # the first finds a copy with another hash
        cache.fetch("models", "m.bin", sha256=SHA_TWO)
    stats = cache.stats()
    assert (stats.fetched, stats.hits) == (2, 1)


def test_another_content_is_an_error_and_not_kept(cache: tmpcache.Cache) -> None:
    with pytest.raises(IntegrityError, match=f"{SHA_ONE}, but {SHA_TWO}"):
        cache.fetch("models", "m.bin", sha256=SHA_TWO)
    assert not [*cache.entries()]
    assert not [*(cache.root / "blobs").iterdir()]


def test_a_copy_that_others_use_stays_when_a_pin_is_wrong(cache: tmpcache.Cache) -> None:
    cache.fetch("models", "m.bin")
    with pytest.raises(IntegrityError):
        cache.fetch("models", "m.bin", sha256=SHA_TWO)
    assert len([*cache.entries()]) == 1


def test_a_copy_of_an_older_version_is_replaced(cache: tmpcache.Cache, bucket: Bucket) -> None:
    cache.fetch("models", "m.bin")
    bucket.put("m.bin", TWO)
    file = cache.fetch("models", "m.bin", max_age=3600, sha256=SHA_TWO)
    assert (file.outcome, file.read_bytes()) == (Outcome.FETCHED, TWO)


def test_a_pin_gives_no_permission(
    cache: tmpcache.Cache, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.fetch("models", "m.bin", sha256=SHA_ONE)
    bucket.server.forget()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAANOTHER")
    other = tmpcache.Cache(cache.root)
    assert other.fetch("models", "m.bin", sha256=SHA_ONE).outcome is not Outcome.HIT
    assert len(bucket.server.requests) == 1


@pytest.mark.parametrize("odd", ["", "abc", "g" * 64, 5, b"a" * 64, SHA_ONE + "0"])
def test_what_is_no_hash_is_refused(cache: tmpcache.Cache, odd: object) -> None:
    with pytest.raises(ConfigError, match="64 hexadecimal"):
        cache.fetch("models", "m.bin", sha256=odd)  # type: ignore[arg-type]
