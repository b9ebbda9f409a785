"""Writes go to S3 and into the cache, whole or not at all."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from integrations.conftest import MakeFs

from tmpcache import ReadOnlyError
from tmpcache.integrations.fsspec import TmpCacheFileSystem
from tmpcache.testing import Bucket


def content(bucket: Bucket, key: str) -> bytes:
    return bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()


def keys(bucket: Bucket) -> list[str]:
    listed = bucket.client.list_objects_v2(Bucket=bucket.name)
    return [one["Key"] for one in listed.get("Contents", ())]


def test_what_was_written_is_in_s3_and_read_from_the_cache(
    patient: TmpCacheFileSystem, bucket: Bucket, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"of a file")
    with patient.open("models/a", "wb", content_type="text/plain") as file:
        file.write(b"0123")
        file.seek(0)
        file.write(b"x")
    patient.pipe("models/b", b"piped")
    patient.put(str(tmp_path / "file"), "models/c")
    patient.copy("models/c", "models/d")
    bucket.server.forget()
    assert patient.cat(["models/a", "models/b", "models/c", "models/d"]) == {
        **{"models/a": b"x123", "models/b": b"piped"},
        **{"models/c": b"of a file", "models/d": b"of a file"},
    }
    assert bucket.server.requests == []
    assert content(bucket, "a") == b"x123"
    assert bucket.client.head_object(Bucket="models", Key="a")["ContentType"] == "text/plain"
    assert [content(bucket, key) for key in "bcd"] == [b"piped", b"of a file", b"of a file"]


def test_a_with_block_that_raises_uploads_nothing(fs: TmpCacheFileSystem, bucket: Bucket) -> None:
    with pytest.raises(ZeroDivisionError), fs.open("models/a", "wb") as file:
        file.write(b"half")
        raise ZeroDivisionError
    assert keys(bucket) == []


def test_a_file_that_is_never_closed_is_not_uploaded(
    fs: TmpCacheFileSystem, bucket: Bucket
) -> None:
    file = fs.open("models/a", "wb")
    file.write(b"half")
    del file
    gc.collect()
    assert keys(bucket) == []


def test_a_transaction_uploads_all_or_nothing(fs: TmpCacheFileSystem, bucket: Bucket) -> None:
    with pytest.raises(ZeroDivisionError), fs.transaction:
        fs.open("models/a", "wb").close()
        raise ZeroDivisionError
    assert keys(bucket) == []
    with fs.transaction:
        for key in ("a", "b"):
            with fs.open(f"models/{key}", "wb") as file:
                file.write(key.encode())
        assert keys(bucket) == []
    assert keys(bucket) == ["a", "b"]


def test_an_object_is_created_only_if_there_is_none(fs: TmpCacheFileSystem, bucket: Bucket) -> None:
    with pytest.raises(FileExistsError), fs.open("models/a", "xb") as file:
        file.write(b"mine")
        bucket.put("a", b"theirs")
    assert content(bucket, "a") == b"theirs"


def test_removed_objects_are_removed_from_s3_and_the_cache(
    patient: TmpCacheFileSystem, bucket: Bucket
) -> None:
    for key in ("a", "d/1", "d/sub/2", "d/", "e"):
        bucket.put(key, key.encode())
    patient.cat(["models/a", "models/d/1"])
    patient.rm("models/a")
    patient.rm("models/d", recursive=True)
    assert keys(bucket) == ["e"]
    assert [*patient.cache.entries()] == []
    assert not patient.exists("models/a")
    with pytest.raises(FileNotFoundError):
        patient.rm("models/d", recursive=True)
    patient.mv("models/e", "models/f")
    assert keys(bucket) == ["f"]


def test_a_file_system_that_is_read_only_changes_nothing(
    make_fs: MakeFs, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put("a", b"content")
    (tmp_path / "file").write_bytes(b"of a file")
    fs = make_fs(read_only=True)
    for write in (
        lambda: fs.open("models/a", "wb"),
        lambda: fs.pipe("models/a", b""),
        lambda: fs.put(str(tmp_path / "file"), "models/a"),
        lambda: fs.copy("models/a", "models/b"),
        lambda: fs.rm("models/a"),
    ):
        with pytest.raises(ReadOnlyError, match="read_only=True"):
            write()
    assert fs.cat("models/a") == b"content"
    assert keys(bucket) == ["a"]


def test_s3_stores_only_whole_objects(fs: TmpCacheFileSystem) -> None:
    for mode in ("ab", "r+b"):
        with pytest.raises(NotImplementedError, match="whole objects"):
            fs.open("models/a", mode)
