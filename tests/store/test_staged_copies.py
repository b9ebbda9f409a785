"""Copies that are not in the tables yet are copies like any other."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from support.content import assert_accounts_balance
from support.processes import spawn

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError, ObjectNotFoundError
from tmpcache.store.index import Index
from tmpcache.testing import Bucket, Clock
from tmpcache.testing.faults import ACCESS_DENIED


def rows(root: Path, table: str) -> int:
    """How many rows a table of the index has."""
    with sqlite3.connect(root / "index.sqlite") as index:
        count: int = index.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    index.close()
    return count


@pytest.fixture
def staged(cache: Cache, bucket: Bucket, root: Path) -> Cache:
    """A cache with three copies, all of them staged."""
    for key, body in (("a", b"one"), ("b", b"two"), ("c.txt", b"three")):
        bucket.put(key, body)
        cache.fetch("models", key).release()
    assert (rows(root, "staged"), rows(root, "objects"), rows(root, "blobs")) == (3, 0, 0)
    return cache


def test_another_process_is_served_what_is_staged(
    staged: Cache, bucket: Bucket, root: Path
) -> None:
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="256 MiB")
        path = cache.fetch("models", "c.txt", max_age=60)
        say([path.outcome.name, path.read_bytes().decode(), path.suffix])
    """
    with spawn(code, root=str(root)) as other:
        assert other.hear() == ["HIT", "three", ".txt"]
    assert len(bucket.gets("c.txt")) == 1  # the one that brought it


def test_other_credentials_must_ask_for_what_is_staged(
    staged: Cache, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    with tmpcache.Cache(root, quota="256 MiB", max_age=60) as other:
        assert other.fetch("models", "a").outcome is Outcome.REVALIDATED
        assert other.fetch("models", "a").outcome is Outcome.HIT


def test_the_account_counts_what_is_staged(staged: Cache, root: Path) -> None:
    usage = staged.usage()
    assert rows(root, "staged") == 3  # counting merges nothing
    assert (usage.objects, usage.blobs, usage.blob_bytes) == (3, 3, 3 * 4096)
    assert_accounts_balance(staged)
    held = staged.fetch("models", "a", max_age=60)
    assert staged.usage().leased == 4096
    held.release()


def test_what_is_staged_is_listed(staged: Cache) -> None:
    assert [(entry.key, entry.size) for entry in staged.entries()] == [
        ("a", 3),
        ("b", 3),
        ("c.txt", 5),
    ]


@pytest.mark.parametrize(
    ("clean", "left"),
    [
        (lambda cache: cache.evict("models", "a"), {"b", "c.txt"}),
        (lambda cache: cache.evict("models", whole_bucket=True), set()),
        (lambda cache: cache.clear(), set()),
        (lambda cache: cache.gc(), {"a", "b", "c.txt"}),
        (lambda cache: cache.verify(), {"a", "b", "c.txt"}),
    ],
    ids=["evict one", "evict all", "clear", "gc", "verify"],
)
def test_what_is_staged_is_cleaned_like_the_rest(
    staged: Cache, clean: Callable[[Cache], object], left: set[str]
) -> None:
    clean(staged)
    assert {entry.key for entry in staged.entries()} == left
    assert len(list(staged.root.glob("blobs/*"))) == len(left)
    assert_accounts_balance(staged)


def test_what_is_staged_is_merged_before_anything_is_evicted(
    staged: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a transaction of its own: how much log one with evictions needs is reckoned without it."""
    seen, transaction = [], Index.transaction

    def counted(index: Index) -> AbstractContextManager[None]:
        seen.append(index.one("SELECT count(*) FROM staged")[0])
        return transaction(index)

    monkeypatch.setattr(Index, "transaction", counted)
    staged.evict("models", "a")
    staged.evict("models", "b")
    assert seen == [3, 0, 0]


def test_damage_to_what_is_staged_is_a_miss(staged: Cache, root: Path) -> None:
    for path in root.glob("blobs/*"):
        path.unlink()
    assert staged.fetch("models", "a", max_age=60).read_bytes() == b"one"
    assert staged.stats().damaged == {"missing": 1}
    assert len(staged.verify().damaged) == 2
    assert_accounts_balance(staged)


def test_a_new_version_takes_the_place_of_what_is_staged(
    staged: Cache, bucket: Bucket, root: Path
) -> None:
    bucket.put("a", b"another")
    assert staged.fetch("models", "a").read_bytes() == b"another"
    assert staged.fetch("models", "a", max_age=60).outcome is Outcome.HIT
    with tmpcache.Cache(root, quota="256 MiB", max_age=60) as other:
        assert other.fetch("models", "a").read_bytes() == b"another"
    assert staged.usage().objects == 3
    assert staged.gc() == 4096  # what is superseded
    assert_accounts_balance(staged)


def test_a_copy_from_the_future_gives_way(bucket: Bucket, root: Path) -> None:
    """A clock was wrong for a while: what it said must not hold for as long as it was ahead."""
    clock = Clock()
    bucket.put("a", b"from the future")
    with tmpcache.Cache(root, quota="64 MiB", clock=clock) as cache:
        clock.advance(1_000_000)
        cache.fetch("models", "a").release()
        clock.advance(-1_000_000)
        bucket.put("a", b"of today")
        assert cache.fetch("models", "a").read_bytes() == b"of today"
        assert [entry.size for entry in cache.entries()] == [len(b"of today")]


def test_an_object_of_the_same_bytes_shares_what_is_staged(staged: Cache, bucket: Bucket) -> None:
    bucket.put("like a", b"one")
    assert staged.fetch("models", "like a").samefile(staged.fetch("models", "a"))
    assert (staged.usage().objects, staged.usage().blobs) == (4, 3)
    assert_accounts_balance(staged)


def test_a_refusal_counts_for_what_is_staged(staged: Cache, bucket: Bucket, root: Path) -> None:
    bucket.inject("a", ACCESS_DENIED, times=1)
    bucket.delete("b")
    with pytest.raises(AccessDeniedError):
        staged.fetch("models", "a")
    with pytest.raises(ObjectNotFoundError):
        staged.fetch("models", "b")
    with tmpcache.Cache(root, quota="256 MiB", max_age=60) as other:
        assert other.fetch("models", "a").outcome is Outcome.REVALIDATED
        with pytest.raises(ObjectNotFoundError):
            other.fetch("models", "b")


def test_not_too_much_is_staged(cache: Cache, bucket: Bucket, root: Path) -> None:
    most = 0
    for number in range(100):
        bucket.put(f"{number}", b"%d" % number)
        cache.fetch("models", f"{number}").release()
        most = max(most, rows(root, "staged"))
    assert 16 <= most < 64
    assert cache.usage().objects == 100


def test_the_uses_of_what_is_staged_decide_what_is_evicted(bucket: Bucket, root: Path) -> None:
    clock = Clock()
    with tmpcache.Cache(root, quota="64 MiB", max_age=3600, clock=clock) as cache:
        for key in "abc":
            bucket.put(key, key.encode() * 200 * 2**10)
            clock.advance(1)
            cache.fetch("models", key).release()
        clock.advance(1)
        cache.fetch("models", "a").release()
        assert rows(root, "staged") == 3
        size = 60 * 2**20
        while not cache.make_room(size):
            size += 100 * 2**10
        assert {entry.key for entry in cache.entries()} == {"a", "c"}
