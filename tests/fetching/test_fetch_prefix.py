"""A listing revalidates copies for callers who may read them, and is linked as a tree."""

from __future__ import annotations

import os
import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from support.content import content
from support.iam import Iam, User
from support.shelf import Shelf

from tmpcache import Cache, Outcome
from tmpcache.errors import (
    AccessDeniedError,
    ConfigError,
    FetchManyError,
    ObjectNotFoundError,
    OriginUnavailableError,
)
from tmpcache.testing import Bucket
from tmpcache.testing.faults import SLOW_DOWN


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({f"micr/{number:04}.bin": b"%d" % number for number in range(1500)})


@pytest.fixture
def cache(root: Path, shelf: Shelf) -> Iterator[Cache]:
    with Cache(root, quota="64 MiB", origin=shelf) as cache:
        yield cache


def outcomes(tree: Any) -> Counter[str]:
    return Counter(path.outcome.value for path in tree.values())


def test_one_request_for_a_thousand_keys_confirms_what_is_here(cache: Cache, shelf: Shelf) -> None:
    shelf.objects["other"] = b"other"
    tree = cache.fetch_prefix("models", "micr/")
    assert (shelf.listings, len(tree), list(tree)) == (2, 1500, sorted(tree))
    assert tree["micr/0042.bin"].read_bytes() == b"42"
    assert tree["micr/0042.bin"].key == "micr/0042.bin"
    shelf.asked.clear()
    shelf.objects["micr/0007.bin"] = b"changed"
    shelf.objects["micr/new.bin"] = b"new"
    del shelf.objects["micr/0009.bin"]
    asked = cache.stats().asked
    tree = cache.fetch_prefix("models", "micr/")
    assert shelf.asked == Counter({"micr/0007.bin": 1, "micr/new.bin": 1})
    assert cache.stats().asked - asked == 2 + 2
    assert outcomes(tree) == {"revalidated": 1498, "fetched": 2}
    assert tree["micr/0007.bin"].read_bytes() == b"changed"
    assert "micr/0009.bin" not in tree
    # What a listing confirmed is as fresh as what a GET confirmed, in every process.
    shelf.asked.clear()
    assert cache.fetch("models", "micr/0001.bin", max_age=60).outcome is Outcome.HIT
    other = Cache(cache.root, origin=shelf)
    assert other.fetch("models", "micr/0001.bin", max_age=60).outcome is Outcome.HIT
    assert outcomes(other.fetch_prefix("models", "micr/")) == {"revalidated": 1500 - 1 + 1}
    assert shelf.asked == Counter()


def test_freshness_counts_from_the_listing(root: Path, shelf: Shelf) -> None:
    now = 1_800_000_000.0
    cache = Cache(root, origin=shelf, clock=lambda: now)
    cache.fetch_prefix("models", "micr/000")
    now += 100
    cache.fetch_prefix("models", "micr/000")
    now += 50
    other = Cache(root, origin=shelf, clock=lambda: now)
    for same in (cache, other):
        assert same.fetch("models", "micr/0001.bin", max_age=60).outcome is Outcome.HIT


def test_a_damaged_copy_is_fetched_although_its_etag_is_right(cache: Cache, shelf: Shelf) -> None:
    tree = cache.fetch_prefix("models", "micr/00")
    path = tree["micr/0003.bin"]
    os.chmod(path, 0o600)
    path.write_bytes(b"?")
    os.unlink(tree["micr/0004.bin"])
    again = cache.fetch_prefix("models", "micr/00")
    assert outcomes(again) == {"revalidated": 98, "fetched": 2}
    assert [path.read_bytes() for path in again.values()] == [b"%d" % n for n in range(100)]


def test_what_goes_after_the_listing_is_left_out(cache: Cache, shelf: Shelf) -> None:
    shelf.gate = lambda key, deadline: shelf.objects.pop("micr/0005.bin", None)
    tree = cache.fetch_prefix("models", "micr/00", threads=1)
    assert (len(tree), "micr/0005.bin" in tree) == (99, False)


def test_errors_of_objects_are_collected(cache: Cache, shelf: Shelf) -> None:
    shelf.denied.add("micr/0005.bin")
    with pytest.raises(FetchManyError, match="1 of 100 objects of s3://models/micr/00") as caught:
        cache.fetch_prefix("models", "micr/00")
    assert len([path for path in caught.value.results if path is not None]) == 99
    tree: Any = cache.fetch_prefix("models", "micr/00", return_exceptions=True)
    assert isinstance(tree["micr/0005.bin"], AccessDeniedError)
    assert cache.usage().reserved == 0


def test_the_mapping_cannot_be_changed(cache: Cache) -> None:
    tree: Any = cache.fetch_prefix("models", "micr/000")
    with pytest.raises(TypeError):
        tree["micr/0000.bin"] = None
    with pytest.raises(TypeError):
        tree.unlinked["x"] = "y"
    assert "10 objects" in repr(tree)
    assert dict(cache.fetch_prefix("models", "nothing/")) == {}


def test_what_cannot_be_listed(cache: Cache, root: Path, bucket: Bucket) -> None:
    for name, prefix in (("", "a"), ("models", None), ("models", 3), (None, "a")):
        with pytest.raises(ConfigError):
            cache.fetch_prefix(name, prefix)  # type: ignore[arg-type]
    real = Cache(root.parent / "real", quota="8 MiB", stale_if_error=3600)
    with pytest.raises(ObjectNotFoundError, match="no such bucket"):
        real.fetch_prefix("nothing", "a/")
    bucket.put("a/1", b"1")
    real.fetch_prefix("models", "a/")
    bucket.server.inject("/models", SLOW_DOWN)
    with pytest.raises(OriginUnavailableError):
        real.fetch_prefix("models", "a/")


# ---- credentials


def client_of(user: User) -> Any:
    return boto3.client(
        "s3", aws_access_key_id=user.key_id, aws_secret_access_key=user.secret
    )  # fmt: skip


def test_the_right_to_list_is_not_the_right_to_read(bucket: Bucket, iam: Iam, root: Path) -> None:
    for number in range(5):
        bucket.put(f"a/{number}", b"%d" % number)
    everything = ("arn:aws:s3:::models/*", "arn:aws:s3:::models")
    users = {
        name: iam.user(name, actions=actions, resources=everything)
        for name, actions in {
            "reader": ("s3:GetObject", "s3:ListBucket"),
            "second": ("s3:GetObject", "s3:ListBucket"),
            "lister": ("s3:ListBucket",),
            "getter": ("s3:GetObject",),
        }.items()
    }
    iam.enforce()
    caches = {name: Cache(root, client=client_of(user)) for name, user in users.items()}
    caches["reader"].fetch_prefix("models", "a/")
    server = bucket.server

    def asked(name: str) -> tuple[dict[object, int], list[int]]:
        server.forget()
        tree = caches[name].fetch_prefix("models", "a/", return_exceptions=True)
        told = Counter(getattr(one, "outcome", type(one)) for one in tree.values())
        return told, [request.status for request in server.requests]

    assert asked("reader") == ({Outcome.REVALIDATED: 5}, [200])
    # Another one has to hear of each object from S3 itself, once.
    assert asked("second") == ({Outcome.REVALIDATED: 5}, [200] + [304] * 5)
    assert asked("second") == ({Outcome.REVALIDATED: 5}, [200])
    # Who may only list gets nothing, however often, and whatever is allowed to be stale.
    for _ in range(2):
        assert asked("lister") == ({AccessDeniedError: 5}, [200] + [403] * 5)
    with pytest.raises(FetchManyError):
        caches["lister"].fetch_prefix("models", "a/", stale_if_error=3600)
    with pytest.raises(AccessDeniedError):
        caches["lister"].fetch("models", "a/1", max_age=3600)
    with pytest.raises(AccessDeniedError, match="have s3:ListBucket on it"):
        caches["getter"].fetch_prefix("models", "a/")
    # A changed object has to be given again before a listing counts.
    with iam.lifted():
        bucket.put("a/1", b"new")
    assert asked("reader") == ({Outcome.REVALIDATED: 4, Outcome.FETCHED: 1}, [200, 200])
    assert asked("second") == ({Outcome.REVALIDATED: 5}, [200, 304])


# ---- the tree


def test_a_tree_of_links_mirrors_the_prefix(cache: Cache, shelf: Shelf, tmp_path: Path) -> None:
    shelf.objects = {"m/a.txt": b"a", "m/b/c.txt": b"c", "m/b/d/e": b"e", "m/dir/": b"", "m/": b""}
    tree = cache.fetch_prefix("models", "m/", into=tmp_path / "new" / "tree")
    top = tmp_path / "new" / "tree"
    found = {str(path.relative_to(top)) for path in top.rglob("*")}
    assert found == {"a.txt", "b", "b/c.txt", "b/d", "b/d/e", "dir"}
    assert (top / "dir").is_dir()
    assert (top / "b/c.txt").samefile(tree["m/b/c.txt"])
    assert tree.unlinked == {}
    assert cache.fetch_prefix("models", "m/", into=top).unlinked == {}, "all is there already"
    cache.fetch_prefix("models", "m/b/d/", into=tmp_path / "part")
    assert os.listdir(tmp_path / "part") == ["e"]
    cache.fetch_prefix("models", "m/a", into=str(tmp_path / "cut"))
    assert os.listdir(tmp_path / "cut") == ["a.txt"]


def test_a_scratch_directory_keeps_what_is_linked_into_it(cache: Cache, shelf: Shelf) -> None:
    with cache.scratch() as work:
        tree = cache.fetch_prefix("models", "micr/000", into=work)
        del tree
        cache.clear()
        assert (work / "0007.bin").read_bytes() == b"7"
        assert cache.usage().blobs == 10
    assert cache.usage().leased == 0


LONG = "x" * 300
KEYS: dict[str, str] = {
    "../out": "not a name",
    "a/../../out": "not a name",
    "/etc/out": "not a name",
    "a//b": "not a name",
    "a/./b": "not a name",
    "..": "not a name",
    "nul\0/b": "not a name",
    "c/nul\0": "not a name",
    LONG: "too long",
    f"{LONG}/b": "too long",
    "file/below": "a file or a link",
    "full/": "not a name",
    "link/out": "a file or a link",
    "link/in/out": "a file or a link",
    "mine": "something else",
}


def test_no_key_gets_out_of_the_directory_or_over_what_is_there(
    cache: Cache, shelf: Shelf, tmp_path: Path
) -> None:
    fine = {"file": b"f", "fine/a": b"a", "-rf *": b"r", "new\nline": b"n", "ü/€": b"e"}
    shelf.objects = {key: content(key, 20) for key in KEYS} | fine
    top, outside = tmp_path / "top", tmp_path / "outside"
    top.mkdir()
    outside.mkdir()
    (top / "link").symlink_to(outside)
    (top / "mine").write_text("mine")
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache.root)}
    tree = cache.fetch_prefix("models", "", into=top)
    assert {path for path in tree if path not in fine} == KEYS.keys(), "they are in the mapping"
    assert tree["../out"].read_bytes() == content("../out", 20)
    assert tree.unlinked.keys() == KEYS.keys()
    for key, reason in KEYS.items():
        assert reason in tree.unlinked[key], key
    for key in fine:
        assert (top / key).read_bytes() == fine[key]
    assert (top / "mine").read_text() == "mine"
    after = {path for path in tmp_path.rglob("*") if not path.is_relative_to(cache.root)}
    assert {path for path in after - before if not path.is_relative_to(top)} == set()
    assert os.listdir(outside) == []


def test_a_directory_elsewhere_gets_copies(cache: Cache, shelf: Shelf, small_disk: Any) -> None:
    top = small_disk("size=4m")
    tree = cache.fetch_prefix("models", "micr/000", into=top)
    assert tree.unlinked == {}
    assert (top / "0003.bin").read_bytes() == b"3"
    assert (top / "0003.bin").stat().st_mode & 0o777 == 0o444
    assert not (top / "0003.bin").samefile(tree["micr/0003.bin"])
    shelf.objects["micr/0001-large"] = content("large", 6 << 20)
    tree = cache.fetch_prefix("models", "micr/0001", into=top)
    assert "space" in tree.unlinked["micr/0001-large"]
    assert not (top / "0001-large").exists()


def test_a_file_in_place_of_the_directory_is_told_before_anything_is_fetched(
    cache: Cache, shelf: Shelf, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="File exists"):
        cache.fetch_prefix("models", "micr/", into=tmp_path / "file")
    assert (shelf.listings, shelf.asked) == (0, Counter())


def test_copies_for_programs_that_refuse_hard_links(
    root: Path, bucket: Bucket, tmp_path: Path
) -> None:
    """onnx issues 7686 and 7717."""
    cache = Cache(root)
    bucket.put("net/model.onnx", b"graph")
    bucket.put("net/sub/model.onnx.data", os.urandom(100_000))
    plain = tmp_path / "plain"
    with cache.scratch() as work:
        for top in (work, plain):
            tree = cache.fetch_prefix("models", "net/", into=top, links="copy")
            assert tree.unlinked == {}
            for key, path in tree.items():
                copy = top / key.removeprefix("net/")
                assert copy.read_bytes() == path.read_bytes()
                assert (copy.stat().st_nlink, copy.stat().st_mode & 0o777) == (1, 0o444)
        again = cache.fetch_prefix("models", "net/", into=plain, links="copy")
        assert again.unlinked == {}, "all is there already"
        bucket.put("net/model.onnx", b"other")
        changed = cache.fetch_prefix("models", "net/", into=plain, links="copy")
        assert changed.unlinked == {"net/model.onnx": "something else has its name"}
        cache.fetch_prefix("models", "net/", into=plain / "hard")
        assert (plain / "hard" / "model.onnx").stat().st_nlink == 2
    with pytest.raises(ConfigError, match="'hard' nor 'copy'"):
        cache.fetch_prefix("models", "net/", into=plain, links="soft")


def test_a_prefix_pickles_as_plain_paths(root: Path, bucket: Bucket, tmp_path: Path) -> None:
    cache = Cache(root)
    bucket.put("net/a//b", b"x")
    bucket.put("net/c", b"y")
    tree = cache.fetch_prefix("models", "net/", into=tmp_path / "tree")
    assert tree.unlinked
    again = pickle.loads(pickle.dumps(tree))
    assert dict(again) == dict(tree)
    assert {type(path) for path in again.values()} == {type(Path())}
    assert len(again) == 2
    assert (dict(again.unlinked), again.missing) == (dict(tree.unlinked), tree.missing)
