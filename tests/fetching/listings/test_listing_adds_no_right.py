"""A listing never adds permission: it confirms only what S3 gave these credentials before."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fleet import LISTING, NOW, PREFIX, asked, listing, put_objects
from support.iam import Iam, User
from support.origins import through_each_origin

from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError
from tmpcache.testing import Bucket, Clock

pytestmark = through_each_origin

ALL, NONE = "arn:aws:s3:::models/*", "arn:aws:s3:::models/none"
READ = ("s3:GetObject",)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW)


@pytest.fixture
def etags(bucket: Bucket) -> dict[str, str]:
    etags = put_objects(bucket, 3)
    bucket.put(LISTING, listing(NOW, etags))
    return etags


def be(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in user.environ.items():
        monkeypatch.setenv(name, value)


def cache_of(user: User, root: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Cache:
    be(user, monkeypatch)
    cache = Cache(root, max_age=30, listings=[PREFIX], clock=clock)
    assert cache._origin.scope  # it is this user's from now on
    return cache


def test_of_two_users_on_one_root_none_profits_from_the_other(
    origin: str,
    iam: Iam,
    etags: dict[str, str],
    bucket: Bucket,
    root: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = iam.user("reader", actions=READ, resources=(ALL,))
    only_listing = f"arn:aws:s3:::models/{LISTING}"
    lister = iam.user("lister", actions=READ, resources=(only_listing,))
    iam.enforce()
    with cache_of(reader, root, clock, monkeypatch) as cache:
        cache.fetch("models", "micr/001.npz")
        clock.advance(10)
        assert cache.fetch("models", "micr/001.npz").outcome is Outcome.HIT
    with cache_of(lister, root, clock, monkeypatch) as cache:
        for _ in range(2):
            with pytest.raises(AccessDeniedError):
                cache.fetch("models", "micr/001.npz")
            found = cache.fetch_many("models", ["micr/001.npz"], return_exceptions=True)
            assert isinstance(found[0], AccessDeniedError)


def test_credentials_that_may_not_read_the_listing_do_without(
    origin: str,
    iam: Iam,
    etags: dict[str, str],
    bucket: Bucket,
    root: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    privileged = iam.user("privileged", actions=READ, resources=(ALL,))
    objects = tuple(f"arn:aws:s3:::models/micr/{key}" for key in etags)
    plain = iam.user("plain", actions=READ, resources=objects)
    iam.enforce()
    with cache_of(privileged, root, clock, monkeypatch) as cache:
        cache.fetch("models", "micr/001.npz")
    with cache_of(plain, root, clock, monkeypatch) as cache:
        cache.fetch("models", "micr/001.npz")
        clock.advance(40)
        with iam.lifted():
            bucket.put(LISTING, listing(clock.now, etags))
    with cache_of(privileged, root, clock, monkeypatch) as cache:  # it has the listing
        assert cache.fetch("models", "micr/001.npz").outcome is Outcome.HIT
    with cache_of(plain, root, clock, monkeypatch) as cache:
        asked(bucket.server)
        assert cache.fetch("models", "micr/001.npz").outcome is Outcome.REVALIDATED
        assert asked(bucket.server) == {LISTING: 1, "micr/001.npz": 1}


def test_credentials_that_are_replaced_are_others(
    origin: str,
    iam: Iam,
    etags: dict[str, str],
    bucket: Bucket,
    root: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = iam.user("first", actions=READ, resources=(ALL,))
    third = iam.user("third", actions=READ, resources=(NONE,))
    iam.enforce()
    with cache_of(first, root, clock, monkeypatch) as cache:
        cache.fetch("models", "micr/001.npz")
        clock.advance(40)
        with iam.lifted():
            bucket.put(LISTING, listing(clock.now, etags))
        assert cache.fetch("models", "micr/001.npz").outcome is Outcome.HIT
        be(third, monkeypatch)
        cache.close()
        other = Cache(root, max_age=30, listings=[PREFIX], clock=clock)
        with pytest.raises(AccessDeniedError):
            other.fetch("models", "micr/001.npz")


def test_a_right_that_is_withdrawn_ends_after_twelve_hours(
    origin: str,
    iam: Iam,
    etags: dict[str, str],
    bucket: Bucket,
    root: Path,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = iam.user("user", actions=READ, resources=(ALL,))
    iam.enforce()
    with cache_of(user, root, clock, monkeypatch) as cache:
        cache.fetch("models", "micr/001.npz")
        iam.allow("user", actions=READ, resources=(f"arn:aws:s3:::models/{LISTING}",))
        served = 0
        with pytest.raises(AccessDeniedError):
            for _ in range(14 * 60):
                clock.advance(60)
                with iam.lifted():
                    bucket.put(LISTING, listing(clock.now, etags))
                cache.fetch("models", "micr/001.npz")
                served += 1
                clock.advance(540)
        assert clock.now - NOW <= 12 * 3600 + 60
        assert served >= 70
        clock.advance(60)
        with iam.lifted():
            bucket.put(LISTING, listing(clock.now, etags))
        with pytest.raises(AccessDeniedError):  # and no listing gives it back
            cache.fetch("models", "micr/001.npz")
