"""Two users of a real object store share one directory: none profits from the other's rights.

Whatever sends the requests.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from support.content import content, holders
from support.iam import User
from support.origins import of_user, through_each_origin
from support.processes import spawn
from support.swift import Swift, SwiftNotAvailable, running_swift

from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError
from tmpcache.origin import Unchanged

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

pytestmark = through_each_origin

BUCKET = "models"
BODY = content("shared", 300_000)
SECRET = content("private", 300_000)
READABLE_BY_BOTH = {"GrantRead": 'id="test:user2"', "GrantFullControl": 'id="test:user1"'}
#: Every way to be lenient: none of them may stand in for a right.
LENIENT: list[dict[str, float]] = [
    {},
    {"max_age": 0},
    {"max_age": 3600},
    {"stale_if_error": 3600},
    {"max_age": 0, "stale_if_error": 3600},
]


@pytest.fixture(scope="module")
def swift() -> Iterator[Swift]:
    try:
        with running_swift() as swift:
            yield swift
    except SwiftNotAvailable as reason:
        pytest.skip(str(reason))


class Noting:
    """An origin that notes what its store answers, as the status that it stands for."""

    def __init__(self, origin: Any, answers: list[int]) -> None:
        self._origin, self._answers = origin, answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._origin, name)

    def get(self, *args: Any, **options: Any) -> Any:
        try:
            reply = self._origin.get(*args, **options)
        except AccessDeniedError:
            self._answers.append(403)
            raise
        self._answers.append(304 if isinstance(reply, Unchanged) else 200)
        return reply


@dataclass
class Roles:
    """The owner may read `shared` and `private`, the guest only `shared`; one root for both."""

    swift: Swift
    origin: str
    root: Path
    client: S3Client
    caches: list[Cache] = field(default_factory=list)
    answers: dict[str, list[int]] = field(default_factory=dict)

    def cache(self, user: User, **settings: Any) -> Cache:
        """A cache of this user; what S3 answers its GETs is noted under the key id."""
        answers = self.answers.setdefault(user.key_id, [])
        asks: dict[str, Any]
        if self.origin == "boto3":
            asks = {"client": self._client(user, answers)}
        else:
            with mock.patch.dict(os.environ, self.swift.environ(user)):
                asks = of_user(self.origin, user)
            asks["origin"] = Noting(asks["origin"], answers)
        cache = Cache(self.root, quota="64 MiB", **asks, **{"max_age": 3600, **settings})
        self.caches.append(cache)
        return cache

    def _client(self, user: User, answers: list[int]) -> S3Client:
        client = self.swift.client(user)

        def note(response_dict: dict[str, Any], **_: object) -> None:
            answers.append(response_dict["status_code"])

        client.meta.events.register("before-parse.s3.GetObject", note)
        return client

    def both(self, **settings: Any) -> tuple[Cache, Cache]:
        """The owner's cache and the guest's."""
        return self.cache(self.swift.owner, **settings), self.cache(self.swift.guest, **settings)

    def elsewhere(self, user: User, key: str, calls: list[tuple[str, dict[str, float]]]) -> Any:
        """What became of the calls in a fresh process that its environment makes `user`."""
        code = """
            os.environ.update(environ)
            from tmpcache import Cache
            from tmpcache.errors import TmpCacheError
            cache = Cache(root, quota="64 MiB", max_age=3600)
            heard = []
            for call, options in calls:
                try:
                    if call == "fetch":
                        heard.append(cache.fetch(bucket, key, **options).outcome.name)
                    else:
                        loaded = cache.load(bucket, key, lambda path: path.read_bytes(), **options)
                        heard.append(len(loaded))
                except TmpCacheError as error:
                    heard.append(type(error).__name__)
            say([heard, cache.stats().bytes_fetched])
        """
        with spawn(
            code,
            environ=dict(self.swift.environ(user)),
            root=str(self.root),
            bucket=BUCKET,
            key=key,
            calls=calls,
        ) as child:
            return child.hear()


@pytest.fixture
def roles(swift: Swift, origin: str, root: Path) -> Iterator[Roles]:
    client = swift.client(swift.owner)
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET)
    client.put_object(Bucket=BUCKET, Key="shared", Body=BODY)
    client.put_object_acl(Bucket=BUCKET, Key="shared", **READABLE_BY_BOTH)  # type: ignore[arg-type]
    client.put_object(Bucket=BUCKET, Key="private", Body=SECRET)
    roles = Roles(swift, origin, root, client)
    yield roles
    for cache in roles.caches:
        cache.close()


def never(path: Path) -> bytes:
    """A loader for those who must not get as far as loading."""
    raise AssertionError(f"was handed {path}")


def read(path: Path) -> bytes:
    return path.read_bytes()


def test_what_one_may_not_read_is_not_had_from_the_other(roles: Roles) -> None:
    owner, guest = roles.both()
    outcomes = [owner.fetch(BUCKET, "private").outcome for _ in range(2)]
    assert outcomes == [Outcome.FETCHED, Outcome.HIT]
    for options in LENIENT:
        with pytest.raises(AccessDeniedError, match="s3://models/private"):
            guest.fetch(BUCKET, "private", **options)  # type: ignore[arg-type]
        with pytest.raises(AccessDeniedError, match="s3://models/private"):
            guest.load(BUCKET, "private", never, **options)  # type: ignore[arg-type]
    assert roles.answers == {
        roles.swift.owner.key_id: [200],
        roles.swift.guest.key_id: [403] * 2 * len(LENIENT),
    }
    assert guest.stats().bytes_fetched == 0
    path = owner.fetch(BUCKET, "private")
    assert (path.outcome, path.read_bytes()) == (Outcome.HIT, SECRET), "the owner lost nothing"


def test_memory_is_not_open_to_the_other(roles: Roles) -> None:
    """Both caches are in this process, and what the owner loaded is too."""
    owner, guest = roles.both()
    loaded = owner.load(BUCKET, "private", read)
    assert owner.load(BUCKET, "private", read) is loaded
    for options in LENIENT:
        with pytest.raises(AccessDeniedError):
            guest.load(BUCKET, "private", read, **options)  # type: ignore[arg-type]
    assert owner.load(BUCKET, "private", read) is loaded
    assert loaded == SECRET


def test_a_fresh_process_is_who_its_environment_says(roles: Roles) -> None:
    mine, others = roles.swift.owner, roles.swift.guest
    fetch, load = [(call, LENIENT[0]) for call in ("fetch", "load")]
    assert roles.elsewhere(mine, "private", [fetch, fetch, load]) == [
        ["FETCHED", "HIT", len(SECRET)],
        len(SECRET),
    ]
    calls = [(call, options) for options in LENIENT for call in ("fetch", "load")]
    assert roles.elsewhere(others, "private", calls) == [["AccessDeniedError"] * len(calls), 0]
    assert roles.elsewhere(mine, "private", [fetch, load]) == [["HIT", len(SECRET)], 0]
    with pytest.raises(AccessDeniedError):  # a client here is no better off than a process there
        roles.cache(others, stale_if_error=3600).fetch(BUCKET, "private")


def test_what_both_may_read_is_downloaded_once(roles: Roles) -> None:
    owner, guest = roles.both()
    outcomes = [cache.fetch(BUCKET, "shared").outcome for cache in (owner, guest, guest, owner)]
    assert outcomes == [Outcome.FETCHED, Outcome.REVALIDATED, Outcome.HIT, Outcome.HIT]
    assert roles.answers == {roles.swift.owner.key_id: [200], roles.swift.guest.key_id: [304]}
    assert (owner.stats().bytes_fetched, guest.stats().bytes_fetched) == (len(BODY), 0)
    assert guest.load(BUCKET, "shared", read) == BODY
    assert len(holders(roles.root, BODY)) == 1


def test_processes_of_both_download_once(roles: Roles) -> None:
    fetch: tuple[str, dict[str, float]] = ("fetch", {})
    heard = [
        roles.elsewhere(user, "shared", [fetch, fetch])
        for user in (roles.swift.owner, roles.swift.guest, roles.swift.guest)
    ]
    assert heard == [
        [["FETCHED", "HIT"], len(BODY)],
        [["REVALIDATED", "HIT"], 0],
        [["HIT", "HIT"], 0],  # what the process before was told holds for this one
    ]


def test_a_grant_that_is_taken_back_ends_freshness(roles: Roles) -> None:
    owner, guest = roles.both(stale_if_error=3600)
    for cache in (owner, guest):
        cache.fetch(BUCKET, "shared").release()
    roles.client.put_object_acl(
        Bucket=BUCKET, Key="shared", GrantFullControl=READABLE_BY_BOTH["GrantFullControl"]
    )
    with pytest.raises(AccessDeniedError):
        guest.fetch(BUCKET, "shared", max_age=0)
    for cache in (guest, roles.cache(roles.swift.guest, stale_if_error=3600)):
        with pytest.raises(AccessDeniedError):
            cache.fetch(BUCKET, "shared")
    assert owner.fetch(BUCKET, "shared").outcome is Outcome.HIT


def test_a_key_id_without_its_secret_opens_nothing(roles: Roles) -> None:
    owner = roles.cache(roles.swift.owner)
    for key in ("shared", "private"):
        owner.fetch(BUCKET, key).release()
    for name in (roles.swift.owner.key_id, roles.swift.guest.key_id, "test:nobody"):
        impostor = roles.cache(User(name, "guessed"), stale_if_error=3600)
        for key in ("shared", "private"):
            with pytest.raises(AccessDeniedError, match="SignatureDoesNotMatch"):
                impostor.fetch(BUCKET, key)
            with pytest.raises(AccessDeniedError, match="SignatureDoesNotMatch"):
                impostor.load(BUCKET, key, never)
    calls: list[tuple[str, dict[str, float]]] = [("fetch", {}), ("load", {"stale_if_error": 3600})]
    heard, _ = roles.elsewhere(User(roles.swift.owner.key_id, "guessed"), "private", calls)
    assert heard == ["AccessDeniedError", "AccessDeniedError"]
    outcomes = [owner.fetch(BUCKET, key).outcome for key in ("shared", "private")]
    assert outcomes == [Outcome.HIT, Outcome.HIT]
