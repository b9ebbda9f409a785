"""Whatever the origin and the network do: whole files, true answers, nothing left behind."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
from support.content import (
    assert_accounts_balance,
    assert_crosses_a_process_pool,
    assert_nothing_is_left,
    content,
    holders,
)
from support.iam import Iam
from support.origins import through_each_origin
from support.proxy import FaultProxy, Trouble

from tmpcache import Cache, Outcome
from tmpcache.errors import (
    AccessDeniedError,
    ObjectChangedError,
    ObjectNotFoundError,
    OriginUnavailableError,
    TmpCacheError,
)
from tmpcache.testing import Bucket
from tmpcache.testing.faults import (
    ACCESS_DENIED,
    CHECKSUM_ON_304,
    IGNORE_IF_MATCH,
    IGNORE_IF_NONE_MATCH,
    IGNORE_RANGE,
    INTERNAL_ERROR,
    NO_ETAG,
    SLOW_DOWN,
    WRONG_CONTENT_RANGE,
    Fault,
)

pytestmark = through_each_origin

BODY = content("body", 700_000)
OTHER = content("other", 650_000)
Break = Literal["close", "reset", "stall"]
BREAKS: list[Break] = ["close", "reset", "stall"]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def impatient(root: Path, proxy: FaultProxy, short_patience: None) -> Cache:
    """A cache behind the proxy that takes two seconds of silence for a broken connection."""
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
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="reset", after=100_000, times=1))
    bucket.inject("a", ACCESS_DENIED, skip=1)
    with pytest.raises(AccessDeniedError):
        impatient.fetch("models", "a")
    assert len(bucket.gets("a")) == 2
    assert_nothing_is_left(impatient, BODY)


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


# ---- an origin that cannot be asked -----------------------------------------------------------


def test_nobody_listens(root: Path) -> None:
    with pytest.raises(OriginUnavailableError, match=r"s3://models/a.*cannot be reached") as caught:
        Cache(root).fetch("models", "a", stale_if_error=3600)
    assert isinstance(caught.value, ConnectionError)


def test_a_known_copy_bridges_an_outage_if_it_may(
    bucket: Bucket, cache: Cache, proxy: FaultProxy
) -> None:
    etag = bucket.put("a", BODY)
    cache.fetch("models", "a").release()
    proxy.refuse()
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "a")
    path = cache.fetch("models", "a", stale_if_error=60)
    assert (path.outcome, path.etag, path.read_bytes()) == (Outcome.STALE, etag, BODY)
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "b", stale_if_error=60)
    proxy.heal()
    assert cache.fetch("models", "a", stale_if_error=60).outcome is Outcome.REVALIDATED


def test_a_copy_that_is_too_old_bridges_nothing(bucket: Bucket, root: Path) -> None:
    clock = Clock()
    cache = Cache(root, max_age=10, stale_if_error=20, clock=clock)
    bucket.put("a", BODY)
    cache.fetch("models", "a").release()
    bucket.inject("a", SLOW_DOWN)
    outcomes = []
    for _ in range(3):
        clock.now += 9.9
        outcomes.append(cache.fetch("models", "a").outcome)
    assert outcomes == [Outcome.HIT, Outcome.STALE, Outcome.STALE]
    clock.now += 0.4
    with pytest.raises(OriginUnavailableError):
        cache.fetch("models", "a")


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR], ids=["503", "500"])
def test_a_failing_origin_is_asked_again_and_heals(
    bucket: Bucket, root: Path, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
    bucket.put("a", BODY)
    bucket.inject("a", fault, times=2)
    assert Cache(root).fetch("models", "a").read_bytes() == BODY
    assert [get.status for get in bucket.gets("a")] == [fault.status, fault.status, 200]


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR], ids=["503", "500"])
def test_an_origin_that_fails_for_ever_is_unavailable(
    bucket: Bucket, cache: Cache, fault: Fault
) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", fault)
    with pytest.raises(OriginUnavailableError, match=f"s3://models/a.*{fault.code}.*try later"):
        cache.fetch("models", "a", stale_if_error=60)
    bucket.server.heal()
    cache.fetch("models", "a").release()
    bucket.inject("a", fault)
    assert cache.fetch("models", "a", stale_if_error=60).outcome is Outcome.STALE


# ---- bodies that break ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "stall"])
def test_a_broken_body_goes_on_where_it_broke(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy, how: Break
) -> None:
    etag = bucket.put("a", BODY)
    proxy.set(Trouble(body=how, after=300_000, times=2))
    path = impatient.fetch("models", "a")
    assert (path.read_bytes(), path.etag) == (BODY, etag)
    first, *others = bucket.gets("a")
    assert (first.range, first.etag_required) == (None, None)
    assert others
    assert all((get.status, get.etag_required) == (206, etag) for get in others)
    assert_accounts_balance(impatient)
    assert holders(impatient.root, BODY) == [path]


def test_a_connection_that_is_reset_is_no_reason_to_give_up(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    """A reset also takes back bytes that arrived and were not read yet: perhaps all of them."""
    etag = bucket.put("a", BODY)
    proxy.set(Trouble(body="reset", after=300_000, times=3))
    path = impatient.fetch("models", "a")
    assert (path.read_bytes(), path.etag) == (BODY, etag)
    assert all(get.etag_required == etag for get in bucket.gets("a") if get.range)
    assert_accounts_balance(impatient)


@pytest.mark.parametrize("how", BREAKS)
def test_a_body_that_always_breaks_leaves_nothing(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy, how: Break
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body=how, after=10_000))
    with pytest.raises(OriginUnavailableError, match=r"s3://models/a.* of 700000 bytes"):
        impatient.fetch("models", "a")
    assert_nothing_is_left(impatient, BODY)
    proxy.heal()
    assert impatient.fetch("models", "a").read_bytes() == BODY


def test_a_body_that_always_breaks_is_answered_with_the_known_copy(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    impatient.fetch("models", "a").release()
    bucket.put("a", OTHER)
    proxy.set(Trouble(body="close", after=10_000))
    path = impatient.fetch("models", "a", stale_if_error=60)
    assert (path.outcome, path.read_bytes()) == (Outcome.STALE, BODY)
    assert holders(impatient.root, OTHER) == []


def test_a_download_that_gets_on_may_break_as_often_as_it_likes(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    body = content("long", 12 << 20)
    bucket.put("a", body)
    proxy.set(Trouble(body="close", after=(3 << 19) + 1))
    assert impatient.fetch("models", "a").read_bytes() == body
    assert len(bucket.gets("a")) >= 8


def test_a_503_between_two_halves_of_a_body_is_no_reason_to_start_over(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    bucket.inject("a", SLOW_DOWN, skip=1, times=2)
    assert impatient.fetch("models", "a").read_bytes() == BODY
    assert [(get.status, bool(get.range)) for get in bucket.gets("a")] == [
        (200, False),
        (503, True),
        (503, True),
        (206, True),
    ]


# ---- objects that change while they are read --------------------------------------------------


def replace(bucket: Bucket) -> Callable[[], object]:
    """Something that stores yet another content under the key `a` each time it runs."""
    versions = iter(range(1000))
    return lambda: bucket.put("a", content(next(versions), 700_000))


def test_an_object_replaced_during_its_download_is_read_again(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    old = bucket.put("a", BODY)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    bucket.inject("a", Fault(before=lambda: bucket.put("a", OTHER)), skip=1, times=1)
    path = impatient.fetch("models", "a")
    assert path.read_bytes() == OTHER
    assert path.etag == f'"{hashlib.md5(OTHER).hexdigest()}"'
    asked = [(get.status, get.etag_required) for get in bucket.gets("a")]
    assert asked == [(200, None), (412, old), (200, None)]
    assert holders(impatient.root, BODY) == []
    assert_accounts_balance(impatient)


def test_an_object_replaced_again_and_again_is_given_up(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="close", after=300_000))
    bucket.inject("a", Fault(before=replace(bucket)), skip=1)
    with pytest.raises(ObjectChangedError, match=r"s3://models/a.*replaced"):
        impatient.fetch("models", "a", stale_if_error=60)
    assert_nothing_is_left(impatient, BODY)
    assert len(bucket.gets("a")) == 4  # two starts, two attempts to go on


def test_a_store_that_ignores_if_match_cannot_mix_two_versions(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", IGNORE_IF_MATCH)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    assert impatient.fetch("models", "a").read_bytes() == BODY
    bucket.put("a", content("of the same length", len(BODY)))
    proxy.set(Trouble(body="close", after=300_000, times=1))
    bucket.inject("a", Fault(before=replace(bucket)), skip=1, times=1)
    assert impatient.fetch("models", "a").read_bytes() == content(0, 700_000)


# ---- stores that are not quite S3 -------------------------------------------------------------


def test_a_304_with_a_checksum_header_is_a_304(bucket: Bucket, cache: Cache) -> None:
    bucket.put("a", BODY)
    cache.fetch("models", "a").release()
    bucket.inject("a", CHECKSUM_ON_304)
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED


def test_a_200_with_the_known_etag_is_as_good_as_a_304(bucket: Bucket, cache: Cache) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", IGNORE_IF_NONE_MATCH)
    cache.fetch("models", "a").release()
    assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED
    assert cache.stats().bytes_fetched == len(BODY)


def test_a_store_that_ignores_ranges_sends_everything_again(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", IGNORE_RANGE)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    assert impatient.fetch("models", "a").read_bytes() == BODY
    assert [get.status for get in bucket.gets("a")] == [200, 200]


def test_a_part_from_elsewhere_in_the_object_is_not_taken(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    bucket.inject("a", WRONG_CONTENT_RANGE)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    assert impatient.fetch("models", "a").read_bytes() == BODY
    assert [bool(get.range) for get in bucket.gets("a")] == [False, True, False]


def test_without_an_etag_nothing_is_assumed(
    bucket: Bucket, impatient: Cache, proxy: FaultProxy
) -> None:
    """Neither that the copy is still right, nor that two halves belong together."""
    bucket.put("a", BODY)
    bucket.inject("a", NO_ETAG)
    proxy.set(Trouble(body="close", after=300_000, times=1))
    for _ in range(2):
        path = impatient.fetch("models", "a")
        assert (path.outcome, path.etag, path.read_bytes()) == (Outcome.FETCHED, "", BODY)
    assert all((get.range, get.etag_asked) == (None, None) for get in bucket.gets("a"))


# ---- what the errors say ----------------------------------------------------------------------


@pytest.mark.parametrize("fault", [SLOW_DOWN, INTERNAL_ERROR, ACCESS_DENIED], ids=lambda f: f.code)
def test_every_error_names_the_object_and_crosses_a_process_pool(
    bucket: Bucket, cache: Cache, fault: Fault
) -> None:
    bucket.put("a b.npz", BODY)
    bucket.inject("a b.npz", fault)
    with pytest.raises(TmpCacheError, match=r"s3://models/a b\.npz") as caught:
        cache.fetch("models", "a b.npz")
    assert_crosses_a_process_pool(caught.value)


def test_no_thread_is_left_behind(bucket: Bucket, impatient: Cache, proxy: FaultProxy) -> None:
    bucket.put("a", BODY)
    before = set(threading.enumerate())
    impatient.fetch("models", "a").release()
    proxy.set(Trouble(body="close", after=10_000))
    bucket.put("a", OTHER)
    with pytest.raises(OriginUnavailableError):
        impatient.fetch("models", "a")
    ours = {thread for thread in threading.enumerate() if "process_request" not in thread.name}
    assert ours <= before
