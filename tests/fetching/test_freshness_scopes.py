"""A hit never bypasses IAM: freshness that one caller earned is not served to another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from support.content import content, holders
from support.iam import Iam, User
from support.origins import of_user, through_each_origin
from support.processes import spawn
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError, ObjectNotFoundError, OriginUnavailableError
from tmpcache.testing import Bucket

pytestmark = through_each_origin

BODY = content("body", 300_000)
OTHER = content("other", 300_000)


@dataclass
class Callers:
    """Alice may read both objects, Bob only the shared one. They share a machine and a root."""

    iam: Iam
    root: Path
    origin: str
    alice: User
    bob: User
    caches: list[Cache] = field(default_factory=list)

    def cache(self, user: User, **settings: Any) -> Cache:
        """A cache of this user, as a process of theirs would have one."""
        asking = of_user(self.origin, user)
        cache = Cache(self.root, quota="64 MiB", **{"max_age": 3600, **asking, **settings})
        self.caches.append(cache)
        return cache


@pytest.fixture
def callers(
    bucket: Bucket, proxy: FaultProxy, iam: Iam, root: Path, origin: str, short_read_timeout: None
) -> Iterator[Callers]:
    bucket.put("shared", BODY)
    bucket.put("alice", OTHER)
    get = ("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket")
    alice = iam.user(
        "alice", actions=get, resources=("arn:aws:s3:::models/*", "arn:aws:s3:::models")
    )
    bob = iam.user("bob", actions=get, resources=("arn:aws:s3:::models/shared",))
    iam.enforce()
    bucket.server.forget()
    callers = Callers(iam, root, origin, alice, bob)
    yield callers
    for cache in callers.caches:
        cache.close()


def test_the_second_caller_asks_first_and_pays_no_body(bucket: Bucket, callers: Callers) -> None:
    alice, bob = callers.cache(callers.alice), callers.cache(callers.bob)
    outcomes = [cache.fetch("models", "shared").outcome for cache in (alice, bob, bob, alice)]
    assert outcomes == [Outcome.FETCHED, Outcome.REVALIDATED, Outcome.HIT, Outcome.HIT]
    assert [(get.status, get.sent) for get in bucket.gets("shared")] == [(200, len(BODY)), (304, 0)]


def test_a_copy_does_not_open_what_iam_closes(bucket: Bucket, callers: Callers) -> None:
    alice, bob = callers.cache(callers.alice), callers.cache(callers.bob, stale_if_error=3600)
    path = alice.fetch("models", "alice")
    for _ in range(2):
        with pytest.raises(AccessDeniedError, match="s3://models/alice"):
            bob.fetch("models", "alice")
    assert alice.fetch("models", "alice").outcome is Outcome.HIT
    assert path.read_bytes() == OTHER


def test_a_right_that_was_taken_back_ends_freshness(bucket: Bucket, callers: Callers) -> None:
    bob = callers.cache(callers.bob)
    bob.fetch("models", "shared").release()
    callers.iam.allow("bob", actions=("s3:GetObject",), resources=("arn:aws:s3:::none/*",))
    with pytest.raises(AccessDeniedError):
        bob.fetch("models", "shared", max_age=0)
    for cache in (bob, callers.cache(callers.bob)):  # in this process, and in a later one
        with pytest.raises(AccessDeniedError):
            cache.fetch("models", "shared", stale_if_error=3600)


def test_a_new_version_is_confirmed_to_nobody_but_who_was_given_it(
    bucket: Bucket, callers: Callers
) -> None:
    alice, bob = callers.cache(callers.alice), callers.cache(callers.bob)
    for cache in (alice, bob):
        cache.fetch("models", "shared").release()
    with callers.iam.lifted():
        bucket.put("shared", OTHER)
    assert alice.fetch("models", "shared", max_age=0).outcome is Outcome.FETCHED
    later = callers.cache(callers.bob)  # a process of Bob's that remembers nothing
    assert later.fetch("models", "shared").outcome is Outcome.REVALIDATED


def test_an_outage_is_bridged_for_those_only_who_were_let_in(
    bucket: Bucket, callers: Callers, proxy: FaultProxy
) -> None:
    alice = callers.cache(callers.alice, max_age=0, stale_if_error=3600)
    bob = callers.cache(callers.bob, max_age=0, stale_if_error=3600)
    alice.fetch("models", "shared").release()
    proxy.set(Trouble(body="reset"))
    with callers.iam.lifted():
        bucket.put("shared", OTHER)  # so that there is a body to break
    assert alice.fetch("models", "shared").outcome is Outcome.STALE
    with pytest.raises(OriginUnavailableError):
        bob.fetch("models", "shared")


def test_a_version_is_not_open_to_others_either(bucket: Bucket, callers: Callers) -> None:
    with callers.iam.lifted():
        bucket.client.put_bucket_versioning(
            Bucket="models", VersioningConfiguration={"Status": "Enabled"}
        )
        stored = bucket.client.put_object(Bucket="models", Key="alice", Body=BODY)
    alice, bob = callers.cache(callers.alice), callers.cache(callers.bob)
    version = stored["VersionId"]
    assert alice.fetch("models", "alice", version_id=version).read_bytes() == BODY
    with pytest.raises(AccessDeniedError):
        bob.fetch("models", "alice", version_id=version)


@pytest.mark.parametrize("key", ["shared", "alice"])
def test_who_waits_for_another_callers_download_still_asks(
    bucket: Bucket, callers: Callers, proxy: FaultProxy, key: str
) -> None:
    alice, bob = callers.cache(callers.alice), callers.cache(callers.bob, lock_timeout=30)
    proxy.set(Trouble(body="stall", after=100_000, times=1))  # Alice's body; the time-out ends it
    fetcher = Thread(target=lambda: alice.fetch("models", key).release())
    fetcher.start()
    proxy.wait_struck()
    if key == "alice":
        with pytest.raises(AccessDeniedError):
            bob.fetch("models", key)
    else:
        path = bob.fetch("models", key)
        assert path.read_bytes() == BODY
    fetcher.join()
    asked = [get for get in bucket.gets(key) if callers.bob.key_id in get.headers["authorization"]]
    assert [get.status for get in asked] == [403 if key == "alice" else 304]


def test_an_object_deleted_for_one_is_deleted_for_all(bucket: Bucket, callers: Callers) -> None:
    """404 is about the object, not about who asks: nobody is served what S3 no longer has."""
    alice, bob = callers.cache(callers.alice, max_age=0), callers.cache(callers.bob)
    alice.fetch("models", "shared").release()
    with callers.iam.lifted():
        bucket.delete("shared")
    with pytest.raises(ObjectNotFoundError):
        alice.fetch("models", "shared")
    assert list(bob.entries()) == []


def test_another_endpoint_is_another_origin(
    bucket: Bucket, proxy: FaultProxy, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bucket and key elsewhere is another object, whoever asks."""
    bucket.put("a", BODY)
    here = tmpcache.Cache(root, max_age=3600)
    assert here.fetch("models", "a").outcome is Outcome.FETCHED
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", bucket.server.endpoint)
    there = tmpcache.Cache(root, max_age=3600)
    assert there.fetch("models", "a").outcome is Outcome.FETCHED
    assert {entry.etag for entry in there.entries()} == {here.fetch("models", "a").etag}
    assert there.usage().blobs == 1


def test_the_environment_of_a_process_says_who_asks(bucket: Bucket, root: Path) -> None:
    """With nothing in memory to go by: each process is told who it is by its environment."""
    bucket.put("a", BODY)
    code = """
        os.environ.update(environ)
        import tmpcache
        say(tmpcache.Cache(root, max_age=3600).fetch("models", "a").outcome.name)
    """
    outcomes = []
    for key_id, token in [("A", ""), ("A", ""), ("B", ""), ("A", "token"), ("A", "token")]:
        environ = {"AWS_ACCESS_KEY_ID": key_id, "AWS_SESSION_TOKEN": token}
        with spawn(code, environ=environ, root=str(root)) as child:
            outcomes.append(child.hear())
    assert outcomes == ["FETCHED", "HIT", "REVALIDATED", "REVALIDATED", "HIT"]


def test_no_credential_reaches_the_disk(bucket: Bucket, callers: Callers) -> None:
    cache = callers.cache(callers.alice)
    cache.fetch("models", "shared").release()
    with pytest.raises(AccessDeniedError):
        callers.cache(callers.bob).fetch("models", "alice")
    for user in (callers.alice, callers.bob):
        for text in (user.key_id, user.secret):
            assert holders(callers.root, text.encode()) == []
