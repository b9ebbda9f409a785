"""What the file system says of names, and what that costs."""

from __future__ import annotations

from typing import Any

import pytest
from integrations.conftest import MakeFs

from tmpcache import AccessDeniedError, Cache, ConfigError, ObjectNotFoundError
from tmpcache.integrations.fsspec import TmpCacheFileSystem
from tmpcache.testing import Bucket, Clock
from tmpcache.testing.faults import ACCESS_DENIED


def sent(bucket: Bucket) -> list[str]:
    """Return the methods and what they were about, of all requests."""
    kinds = [f"{r.method} {'LIST' if 'list-type' in r.query else r.path}" for r in _all(bucket)]
    bucket.server.forget()
    return kinds


def _all(bucket: Bucket) -> list[Any]:
    return bucket.server.requests


@pytest.fixture
def tree(bucket: Bucket) -> Bucket:
    for key in ("a.txt", "a-b.txt", "dir/1", "dir/2", "dir/sub/3", "marked/", "marked/4"):
        bucket.put(key, key.encode())
    return bucket


def test_a_directory_is_listed_with_one_request(fs: TmpCacheFileSystem, tree: Bucket) -> None:
    assert fs.ls("models", detail=False) == [
        *("models/a-b.txt", "models/a.txt", "models/dir", "models/marked")
    ]
    assert sent(tree) == ["GET LIST"]
    assert [(one["name"], one["type"], one["size"]) for one in fs.ls("tmpcache://models/dir/")] == [
        ("models/dir/1", "file", 5),
        ("models/dir/2", "file", 5),
        ("models/dir/sub", "directory", 0),
    ]


def test_a_marker_of_a_directory_is_not_an_entry_of_it(
    fs: TmpCacheFileSystem, tree: Bucket
) -> None:
    assert fs.ls("models/marked", detail=False) == ["models/marked/4"]
    assert fs.find("models/marked") == ["models/marked/4"]


def test_an_object_is_known_by_one_head_and_a_cached_one_by_a_304(
    fs: TmpCacheFileSystem, tree: Bucket
) -> None:
    before = fs.info("models/a.txt")
    assert sent(tree) == ["HEAD /models/a.txt"]
    fs.cat("models/a.txt")
    tree.server.forget()
    assert fs.info("models/a.txt") == before
    assert [request.status for request in tree.server.requests] == [304]
    assert before["size"] == 5
    assert before["ETag"] == fs.ls("models/a.txt")[0]["ETag"]
    assert fs.checksum("models/a.txt") == fs.checksum("models/a.txt")


def test_everything_below_is_found_with_one_request(fs: TmpCacheFileSystem, tree: Bucket) -> None:
    assert fs.find("models/dir") == ["models/dir/1", "models/dir/2", "models/dir/sub/3"]
    assert sent(tree) == ["GET LIST"]
    with_directories = fs.find("models/dir", withdirs=True, detail=True)
    assert [name for name, one in with_directories.items() if one["type"] == "directory"] == [
        "models/dir",
        "models/dir/sub",
    ]
    assert fs.find("models/dir", maxdepth=1) == ["models/dir/1", "models/dir/2"]
    assert fs.find("models/a.txt") == ["models/a.txt"]
    assert fs.find("models/none") == []


def test_a_pattern_costs_one_request_whatever_it_matches(
    fs: TmpCacheFileSystem, tree: Bucket
) -> None:
    found = fs.glob("models/dir/*")
    assert found == ["models/dir/1", "models/dir/2", "models/dir/sub"]
    assert not any(fs.isdir(name) for name in found[:2])  # as fsspec asks about each of them
    assert sent(tree) == ["GET LIST"]
    assert fs.glob("models/**/3") == ["models/dir/sub/3"]


def test_listings_are_kept_for_max_age_and_until_the_next_write(
    make_fs: MakeFs, tree: Bucket
) -> None:
    clock = Clock()
    fs = make_fs(max_age=60, clock=clock)
    fs.glob("models/dir/*")
    fs.find("models")
    tree.server.forget()
    assert fs.glob("models/dir/*")
    assert fs.find("models")
    assert fs.isdir("models/dir")
    assert fs.info("models/dir/1")["size"] == 5
    assert sent(tree) == []
    fs.ls("models/dir", refresh=True)
    assert sent(tree) == ["GET LIST"]
    fs.pipe("models/dir/0", b"new")
    tree.server.forget()
    assert "models/dir/0" in fs.ls("models/dir", detail=False)
    assert sent(tree) == ["GET LIST"]
    clock.advance(60)
    fs.ls("models/dir")
    assert sent(tree) == ["GET LIST"]


def test_a_listing_is_for_the_credentials_that_were_allowed_to_list(
    patient: TmpCacheFileSystem, tree: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.ls("models/dir")
    sent(tree)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    patient.cache.close()  # whose next request reads the environment anew
    patient.ls("models/dir")
    assert sent(tree) == ["GET LIST"]


def test_buckets_are_directories(fs: TmpCacheFileSystem, tree: Bucket) -> None:
    tree.server.bucket("other")
    assert fs.ls("", detail=False) == ["models", "other"]
    assert fs.isdir("models")
    assert fs.isdir("other")
    assert fs.ls("other") == []
    assert not fs.exists("nosuch")
    with pytest.raises(FileNotFoundError):
        fs.ls("nosuch")
    with pytest.raises(IsADirectoryError):
        fs.open("models")


def test_errors_are_those_of_tmpcache_and_the_builtins(
    fs: TmpCacheFileSystem, tree: Bucket
) -> None:
    for call in (fs.info, fs.open, fs.ls, fs.cat_file):
        with pytest.raises(FileNotFoundError) as caught:
            call("models/none")
        assert isinstance(caught.value, ObjectNotFoundError)
    tree.inject("a.txt", ACCESS_DENIED)
    with pytest.raises(PermissionError) as denied:
        fs.open("models/a.txt")
    assert isinstance(denied.value, AccessDeniedError)


def test_an_object_that_was_deleted_is_gone_whatever_the_cache_has(
    fs: TmpCacheFileSystem, tree: Bucket
) -> None:
    fs.cat("models/a.txt")
    tree.delete("a.txt")
    assert not fs.exists("models/a.txt")


def test_an_origin_of_the_users_own_is_listed_by_itself(
    make_fs: MakeFs, tree: Bucket, cache: Cache
) -> None:
    class Other:
        """Not S3's class, as an origin of the user's own is not."""

        def __init__(self) -> None:
            self.get, self.list, self.close = cache._origin.get, cache._origin.list, lambda: None  # type: ignore[attr-defined]

        name, scope = "other", "me"

    fs = make_fs(origin=Other())
    assert fs.ls("models/dir", detail=False) == ["models/dir/1", "models/dir/2", "models/dir/sub"]
    assert fs.info("models/dir/1")["size"] == 5
    assert fs.cat("models/dir/1") == b"dir/1"
    with pytest.raises(FileNotFoundError):
        fs.info("models/dir/9")
    with pytest.raises(ConfigError, match="cannot delete"):
        fs.rm("models/dir/1")


def test_an_offline_file_system_reads_what_it_has(make_fs: MakeFs, tree: Bucket) -> None:
    make_fs().cat("models/a.txt")
    tree.server.forget()
    fs = make_fs(offline=True)
    assert fs.cat("models/a.txt") == b"a.txt"
    assert fs.info("models/a.txt")["size"] == 5
    with pytest.raises(ConnectionError, match="offline"):
        fs.ls("models")
    assert sent(tree) == []
