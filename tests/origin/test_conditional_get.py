"""One conditional GET for each fetch, and answers that are never given from the cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support.content import (
    assert_accounts_balance,
    assert_nothing_is_left,
    content,
)
from support.iam import Iam
from support.origins import through_each_origin
from support.proxy import FaultProxy, Trouble

from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError, ObjectNotFoundError
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED, Fault

pytestmark = through_each_origin

BODY = content("body", 700_000)
OTHER = content("other", 650_000)


@pytest.fixture
def timeout_cache(root: Path, proxy: FaultProxy, short_read_timeout: None) -> Cache:
    """A cache behind the proxy that takes a second of silence for a broken connection."""
    return Cache(root, quota="256 MiB")


# ---- one conditional GET ----------------------------------------------------------------------


def test_each_fetch_costs_one_conditional_get_and_nothing_else(
    bucket: Bucket, cache: Cache
) -> None:
    first = bucket.put("a", BODY)
    assert cache.fetch("models", "a").outcome is Outcome.FETCHED
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED
    second = bucket.put("a", OTHER)
    bucket.server.forget()
    assert cache.fetch("models", "a").outcome is Outcome.FETCHED
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED
    assert cache.fetch("models", "a", max_age=60).outcome is Outcome.HIT
    asked = [(r.method, r.etag_asked, r.status) for r in bucket.server.requests]
    assert asked == [("GET", first, 200), ("GET", second, 304)]


def test_the_etag_belongs_to_the_bytes(bucket: Bucket, cache: Cache) -> None:
    """The object is replaced as soon as its GET has been read by the server."""
    bucket.put("a", BODY)
    bucket.inject("a", Fault(before=lambda: bucket.put("a", OTHER)), times=1)
    path = cache.fetch("models", "a")
    assert path.etag == f'"{hashlib.md5(path.read_bytes()).hexdigest()}"'
    assert path.read_bytes() == OTHER


def test_a_replaced_object_is_fetched_and_the_old_path_keeps_its_bytes(
    bucket: Bucket, cache: Cache
) -> None:
    bucket.put("a", BODY)
    old = cache.fetch("models", "a")
    etag = bucket.put("a", OTHER)
    new = cache.fetch("models", "a")
    assert (new.outcome, new.etag, new.size) == (Outcome.FETCHED, etag, len(OTHER))
    assert (old.read_bytes(), new.read_bytes()) == (BODY, OTHER)


def test_an_empty_object_is_an_object(bucket: Bucket, cache: Cache) -> None:
    etag = bucket.put("empty.json", b"")
    path = cache.fetch("models", "empty.json")
    assert (path.outcome, path.size, path.etag) == (Outcome.FETCHED, 0, etag)
    assert path.read_bytes() == b""
    assert cache.fetch("models", "empty.json").outcome is Outcome.REVALIDATED
    assert all(get.range is None for get in bucket.gets("empty.json"))


def test_a_version_is_asked_for_once(bucket: Bucket, cache: Cache) -> None:
    bucket.client.put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Enabled"}
    )
    version = bucket.client.put_object(Bucket="models", Key="a", Body=BODY)["VersionId"]
    bucket.put("a", OTHER)
    bucket.server.forget()
    old = cache.fetch("models", "a", version_id=version)
    assert (old.read_bytes(), old.version_id) == (BODY, version)
    assert cache.fetch("models", "a", version_id=version).outcome is Outcome.HIT
    assert cache.fetch("models", "a").read_bytes() == OTHER
    assert len(bucket.gets("a")) == 2


# ---- answers that are never given from the cache ----------------------------------------------


def test_a_missing_bucket_says_so(bucket: Bucket, cache: Cache) -> None:
    with pytest.raises(ObjectNotFoundError, match=r"s3://no-such-bucket/a\.npz.*bucket") as caught:
        cache.fetch("no-such-bucket", "a.npz")
    assert isinstance(caught.value, FileNotFoundError)
    assert (caught.value.bucket, caught.value.key) == ("no-such-bucket", "a.npz")


def test_a_missing_key_says_so(bucket: Bucket, cache: Cache) -> None:
    with pytest.raises(ObjectNotFoundError, match=r"s3://models/a\.npz.*check bucket and key"):
        cache.fetch("models", "a.npz")
    assert_accounts_balance(cache)


def test_a_deleted_object_is_gone_for_every_later_fetch(bucket: Bucket, cache: Cache) -> None:
    bucket.put("a", BODY)
    cache.fetch("models", "a").release()
    bucket.delete("a")
    for max_age in (0, 3600):  # the second must not revive what the first was told
        with pytest.raises(ObjectNotFoundError):
            cache.fetch("models", "a", max_age=max_age, stale_if_error=3600)
    assert list(cache.entries()) == []


def test_a_denied_object_is_never_answered_from_the_cache(bucket: Bucket, cache: Cache) -> None:
    bucket.put("a", BODY)
    cache.fetch("models", "a").release()
    bucket.inject("a", ACCESS_DENIED)
    for max_age in (0, 3600):
        with pytest.raises(AccessDeniedError, match=r"s3://models/a.*s3:GetObject") as caught:
            cache.fetch("models", "a", max_age=max_age, stale_if_error=3600)
        assert isinstance(caught.value, PermissionError)
    bucket.server.heal()
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED


def test_an_object_that_is_denied_during_its_download_leaves_nothing(
    bucket: Bucket, timeout_cache: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="reset", after=100_000, times=1))
    bucket.inject("a", ACCESS_DENIED, skip=1)
    with pytest.raises(AccessDeniedError):
        timeout_cache.fetch("models", "a")
    assert len(bucket.gets("a")) == 2
    assert_nothing_is_left(timeout_cache, BODY)


def test_a_user_without_the_right_is_denied(
    bucket: Bucket, iam: Iam, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", BODY)
    bucket.put("b", BODY)
    user = iam.user("u", actions=("s3:GetObject",), resources=("arn:aws:s3:::models/a",))
    iam.enforce()
    for name, value in user.environ.items():
        monkeypatch.setenv(name, value)
    cache = Cache(root)
    assert cache.fetch("models", "a").outcome is Outcome.FETCHED
    with pytest.raises(AccessDeniedError, match=r"s3://models/b"):
        cache.fetch("models", "b")


def test_wrong_credentials_are_named_as_the_reason(
    bucket: Bucket, iam: Iam, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", BODY)
    user = iam.user("u", actions=("s3:*",), resources=("*",))
    iam.enforce()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user.key_id)
    with pytest.raises(AccessDeniedError, match="secret key does not fit"):
        Cache(root).fetch("models", "a")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAUNKNOWN")
    with pytest.raises(AccessDeniedError, match="does not know this access key"):
        Cache(root).fetch("models", "a")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AccessDeniedError, match="no AWS credentials"):
        Cache(root).fetch("models", "a")
