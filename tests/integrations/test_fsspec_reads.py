"""Reads come from a local copy that stays as long as somebody needs it."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path
from typing import Any

import fsspec
import pytest
from integrations.conftest import MakeFs

import tmpcache
from tmpcache import ConfigError
from tmpcache.integrations.fsspec import TmpCacheFileSystem, kept_leases
from tmpcache.testing import Bucket


def test_fsspec_finds_the_file_system_by_its_name(options: dict[str, Any], bucket: Bucket) -> None:
    bucket.put("a", b"content")
    with fsspec.open("tmpcache://models/a", **options) as file:
        assert file.read() == b"content"
    assert fsspec.get_filesystem_class("tmpcache") is TmpCacheFileSystem


def test_without_options_the_default_cache_is_used(
    bucket: Bucket, root: Path, tmp_path: Path
) -> None:
    bucket.put("a", b"content")
    tmpcache.configure(root=root, quota="256 MiB")
    fs = fsspec.filesystem("tmpcache")
    assert fs.cat("models/a") == b"content"
    assert fs.cache is tmpcache.default_cache()
    tmpcache.configure(root=tmp_path / "other", quota="256 MiB")
    assert fs.cache is tmpcache.default_cache()
    tmpcache.default_cache().close()
    TmpCacheFileSystem.clear_instance_cache()


def test_a_file_is_asked_for_when_it_is_opened_and_never_again(
    fs: TmpCacheFileSystem, bucket: Bucket
) -> None:
    bucket.put("a", b"0123456789")
    for expected in (200, 304):
        bucket.server.forget()
        with fs.open("models/a") as file:
            assert file.read(2) == b"01"
            file.seek(-2, 2)
            assert file.read() == b"89"
            assert (file.size, file.mode, file.readable()) == (10, "rb", True)
        assert [get.status for get in bucket.gets("a")] == [expected]
    with fs.open("models/a", "r") as text:
        assert text.read() == "0123456789"


def test_an_open_file_cannot_be_evicted_and_a_closed_one_can(
    fs: TmpCacheFileSystem, bucket: Bucket
) -> None:
    bucket.put("a", b"x" * 100_000)
    file = fs.open("models/a")
    assert fs.cache.usage().leased > 0
    file.close()
    assert fs.cache.usage().leased == 0


def test_an_open_file_pickles_as_its_name_and_position(
    fs: TmpCacheFileSystem, bucket: Bucket
) -> None:
    bucket.put("a", b"0123456789")
    with fs.open("models/a") as file:
        file.seek(4)
        with pickle.loads(pickle.dumps(file)) as again:
            assert again.read() == b"456789"


def test_ranges_count_as_in_a_slice_and_each_file_is_asked_for_once(
    fs: TmpCacheFileSystem, bucket: Bucket
) -> None:
    content = b"0123456789"
    bucket.put("a", content)
    ranges = [(None, None), (2, 4), (-3, None), (0, -2), (8, 99), (5, 3)]
    for start, end in ranges:
        assert fs.cat_file("models/a", start, end) == content[start:end]
    bucket.server.forget()
    starts, ends = map(list, zip(*ranges, strict=True))
    assert fs.cat_ranges(["models/a"] * 6, starts, ends) == [content[s:e] for s, e in ranges]
    assert len(bucket.gets("a")) == 1
    (error,) = fs.cat_ranges(["models/none"], 0, 1)
    assert isinstance(error, FileNotFoundError)


def test_open_local_keeps_its_files_until_release(fs: TmpCacheFileSystem, bucket: Bucket) -> None:
    for key in ("d/1", "d/2"):
        bucket.put(key, key.encode() * 10_000)
    bucket.server.forget()
    url, options = "tmpcache://models/d/*", fs.storage_options
    paths = fsspec.open_local(url, **options)
    gc.collect()
    assert [Path(path).read_bytes()[:3] for path in paths] == [b"d/1", b"d/2"]
    assert len([get for get in bucket.server.gets() if "/d/" in get.path]) == 2
    assert fs.cache.usage().leased == fs.cache.usage().blob_bytes
    assert fs.release() == 2
    assert fs.cache.usage().leased == 0
    assert isinstance(fsspec.open_local("tmpcache://models/d/1", **options), str)
    assert fs.open_local(["models/d/1", "models/d/2"]) == paths
    assert fs.open_local("models/d/1") == paths[0]
    assert fs.release() == 4


def test_open_local_keeps_a_bounded_number_of_files(
    fs: TmpCacheFileSystem, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_leases, "MAX_KEPT", 2)
    for key in ("1", "2", "3"):
        bucket.put(key, key.encode() * 10_000)
    for key in ("1", "2", "3"):
        fs.open_local(f"models/{key}")
    assert fs.release() == 2
    assert len(fs.open_local([f"models/{key}" for key in ("1", "2", "3")])) == 3
    assert fs.release() == 3  # all of one call


def test_files_that_open_local_keeps_make_room_for_later_ones(
    make_fs: MakeFs, bucket: Bucket
) -> None:
    fs = make_fs(quota="2 MiB")
    for key in ("1", "2", "3", "4"):
        bucket.put(key, key.encode() * 700_000)
    fs.open_local("models/1")
    paths = fs.open_local(["models/2", "models/3"])
    assert isinstance(paths, list)
    assert [Path(path).stat().st_size for path in paths] == [700_000] * 2
    with fs.open("models/4") as file:
        assert file.size == 700_000
    assert fs.release() == 0


def test_many_files_are_opened_with_their_compression_and_as_text(
    fs: TmpCacheFileSystem, bucket: Bucket
) -> None:
    import gzip

    for key in ("1.gz", "2.gz"):
        bucket.put(key, gzip.compress(key.encode()))
    files = fsspec.open_files(
        "tmpcache://models/*.gz", "rt", compression="infer", **fs.storage_options
    )
    with files as opened:
        assert [file.read() for file in opened] == ["1.gz", "2.gz"]


def test_a_tree_is_copied_to_files_that_may_be_changed(
    fs: TmpCacheFileSystem, bucket: Bucket, tmp_path: Path
) -> None:
    for key in ("d/1", "d/sub/2"):
        bucket.put(key, key.encode())
    fs.get("models/d", str(tmp_path / "here"), recursive=True)
    (tmp_path / "here/1").write_bytes(b"changed")
    assert (tmp_path / "here/sub/2").read_bytes() == b"d/sub/2"
    assert fs.cat("models/d/1") == b"d/1"


def test_file_systems_with_the_same_options_share_a_cache(make_fs: MakeFs, bucket: Bucket) -> None:
    one, other = make_fs(), make_fs(skip_instance_cache=True)
    assert one is not other
    assert one.cache is other.cache
    assert make_fs(max_age=1).cache is not one.cache


def test_an_option_that_is_not_known_is_refused(make_fs: MakeFs) -> None:
    with pytest.raises(ConfigError, match="no storage option 'max_agee': there are read_only and"):
        make_fs(max_agee=3)
