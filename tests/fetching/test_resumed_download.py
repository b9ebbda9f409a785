"""A large download that a process did not finish is resumed by the next one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.content import content, holders
from support.disk import allocated
from support.origins import through_each_origin
from support.processes import spawn, wait_until
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache import Cache
from tmpcache.errors import AccessDeniedError, OriginUnavailableError
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED, IGNORE_RANGE, SLOW_DOWN

pytestmark = through_each_origin

MIB = 1 << 20
BODY = content("large", 20 * MIB)
QUOTA = 64 * MIB


@pytest.fixture
def cache(root: Path, proxy: FaultProxy) -> Iterator[Cache]:
    """A cache behind the proxy, with room for the object three times."""
    with tmpcache.Cache(root, quota=QUOTA) as cache:
        yield cache


@pytest.fixture
def etag(bucket: Bucket, cache: Cache, proxy: FaultProxy) -> str:
    """The object's; a process was killed when most of the object had arrived."""
    etag = bucket.put("a", BODY)
    proxy.set(Trouble(body="stall", after=6 * MIB, rate=50e6))  # on every connection it opens
    code = """
        import tmpcache
        tmpcache.Cache(root, quota=quota).fetch("models", "a")
    """
    with spawn(code, root=str(cache.root), quota=QUOTA) as child:
        proxy.wait_struck()
        wait_until(lambda: arrived(cache.root) > 11.5 * MIB)
        child.kill()
    proxy.heal()
    bucket.server.forget()
    return etag


def arrived(root: Path) -> int:
    """How many bytes of the object are in files under the root, each in its place."""
    step = 64 * 1024
    files = [path.read_bytes() for path in root.rglob("*") if path.is_file()]
    places = range(0, len(BODY), step)
    return step * sum(
        file[at : at + step] == BODY[at : at + step] for at in places for file in files
    )


def test_what_a_killed_process_brought_in_is_not_brought_again(
    bucket: Bucket, cache: Cache, etag: str
) -> None:
    path = cache.fetch("models", "a")
    assert (path.read_bytes(), path.etag) == (BODY, etag)
    gets = bucket.gets("a")
    assert {(get.status, get.etag_required) for get in gets} == {(206, etag)}
    assert sum(get.sent for get in gets) <= 12 * MIB
    assert holders(cache.root, BODY) == [path]
    assert cache.usage().used == allocated(cache.root)


def test_what_was_left_counts_and_goes_when_its_room_is_needed(
    bucket: Bucket, cache: Cache, etag: str
) -> None:
    bucket.put("b", content("b", 1000))
    cache.fetch("models", "b").release()
    usage = cache.usage()
    assert usage.reserved >= 8 * MIB
    assert allocated(cache.root) <= usage.used <= usage.quota
    bucket.put("c", content("c", usage.quota - 6 * MIB))
    cache.fetch("models", "c").release()
    assert holders(cache.root, BODY) == []
    assert cache.usage().used == allocated(cache.root)


def test_another_version_is_not_built_upon_the_old_one(
    bucket: Bucket, cache: Cache, etag: str
) -> None:
    new = bucket.put("a", content("new", len(BODY)))
    path = cache.fetch("models", "a")
    assert (path.read_bytes(), path.etag) == (content("new", len(BODY)), new)
    first, second, *parts = [get.status for get in bucket.gets("a")]
    assert (first, second, {*parts} - {206}) == (412, 200, set())
    assert holders(cache.root, BODY) == []


@pytest.mark.parametrize("damage", ["changed", "cut", "emptied"])
def test_a_part_that_was_damaged_meanwhile_is_not_built_upon(
    bucket: Bucket, cache: Cache, etag: str, damage: str
) -> None:
    (part,) = holders(cache.root, BODY)
    with open(part, "r+b") as file:
        if damage == "changed":
            file.seek(5 * MIB)
            file.write(b"damage")
        else:
            file.truncate(5 * MIB if damage == "cut" else 0)
    assert cache.fetch("models", "a").read_bytes() == BODY


def test_a_store_that_ignores_ranges_sends_everything_again(
    bucket: Bucket, cache: Cache, etag: str
) -> None:
    bucket.inject("a", IGNORE_RANGE)
    assert cache.fetch("models", "a").read_bytes() == BODY


def test_what_was_left_opens_nothing_to_who_is_denied(
    bucket: Bucket, cache: Cache, etag: str
) -> None:
    bucket.inject("a", ACCESS_DENIED)
    with pytest.raises(AccessDeniedError):
        cache.fetch("models", "a", stale_if_error=3600)
    bucket.server.heal()
    assert cache.fetch("models", "a").read_bytes() == BODY


def test_a_download_that_was_given_up_is_gone_on_with(
    bucket: Bucket, cache: Cache, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="close", after=9 * MIB, times=1))
    bucket.inject("a", SLOW_DOWN, skip=1)
    with pytest.raises(OriginUnavailableError, match="s3://models/a"):
        cache.fetch("models", "a")
    assert allocated(cache.root) <= cache.usage().used
    bucket.server.heal()
    bucket.server.forget()
    assert cache.fetch("models", "a").read_bytes() == BODY
    assert sum(get.sent for get in bucket.gets("a")) <= 12 * MIB
