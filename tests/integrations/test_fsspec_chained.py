"""``tmpcache::s3://bucket/key``: the options of s3fs, the objects through tmpcache.

fsspec asks the class of ``s3://`` to take the URL apart, so a program with chained URLs has s3fs.
Here a class of that protocol stands for it, which can do nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec import AbstractFileSystem
from fsspec.registry import _registry
from integrations.conftest import MakeFs

from tmpcache import ConfigError
from tmpcache.integrations.fsspec import TmpCacheFileSystem
from tmpcache.testing import Bucket


class S3(AbstractFileSystem):  # type: ignore[misc]
    protocol = ("s3", "s3a")

    def __init__(self, *_: Any, **options: Any) -> None:
        raise AssertionError("objects come through tmpcache's own origin")

    @staticmethod
    def _get_kwargs_from_urls(url: str) -> dict[str, Any]:
        return {"version_aware": True} if "?versionId=" in url else {}  # as s3fs does


@pytest.fixture(autouse=True)
def s3_protocol(make_fs: MakeFs) -> Iterator[None]:
    fsspec.register_implementation("s3", S3, clobber=True)
    yield
    _registry.pop("s3")


def url_to_fs(url: str, **options: Any) -> tuple[TmpCacheFileSystem, str]:
    found: tuple[TmpCacheFileSystem, str] = fsspec.url_to_fs(url, **options)
    return found


def test_a_chained_url_is_read_through_the_cache(root: Path, bucket: Bucket) -> None:
    bucket.put("d/a", b"content")
    options: dict[str, Any] = {"tmpcache": {"root": str(root), "max_age": 60}}
    for asked in (1, 0):
        bucket.server.forget()
        with fsspec.open("tmpcache::s3://models/d/a", **options) as file:
            assert file.read() == b"content"
        assert len(bucket.gets("d/a")) == asked
    fs, path = url_to_fs("tmpcache::s3://models/d/a", **options)
    assert path == "models/d/a"
    other, _ = url_to_fs("tmpcache::s3://models/d/b", **options)
    assert other.cache is fs.cache  # although fsspec makes a file system for each URL
    assert fs.glob("tmpcache::s3://models/d/*") == ["models/d/a"]


def test_the_options_of_s3fs_say_whom_to_ask(
    root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    bucket.put("a", b"content")
    s3 = {
        **{"key": "other", "secret": "secret", "endpoint_url": bucket.server.endpoint},
        **{"client_kwargs": {"region_name": "eu-west-1"}, "config_kwargs": {"retries": {}}},
        **{"requester_pays": True, "default_block_size": 1 << 20, "anon": False},
    }
    options: dict[str, Any] = {"tmpcache": {"root": str(root)}, "s3": s3}
    with fsspec.open("tmpcache::s3://models/a", **options) as file:
        assert file.read() == b"content"
    (get,) = bucket.gets("a")
    assert "Credential=other/" in get.headers["authorization"]
    assert "/eu-west-1/s3/" in get.headers["authorization"]
    assert get.headers["x-amz-request-payer"] == "requester"


def test_anonymous_requests_are_not_signed(root: Path, bucket: Bucket) -> None:
    bucket.client.put_object(Bucket="models", Key="a", Body=b"content", ACL="public-read")
    options: dict[str, Any] = {"tmpcache": {"root": str(root)}, "s3": {"anon": True}}
    with fsspec.open("tmpcache::s3://models/a", **options) as file:
        assert file.read() == b"content"
    (get,) = bucket.gets("a")
    assert "authorization" not in get.headers


def test_a_version_in_the_url_is_that_version_and_never_asked_for_again(
    root: Path, bucket: Bucket
) -> None:
    bucket.client.put_bucket_versioning(
        Bucket="models", VersioningConfiguration={"Status": "Enabled"}
    )
    old = bucket.client.put_object(Bucket="models", Key="a", Body=b"old")["VersionId"]
    bucket.put("a", b"new")
    options: dict[str, Any] = {"tmpcache": {"root": str(root)}}
    for asked in (1, 0):
        bucket.server.forget()
        with fsspec.open(f"tmpcache::s3://models/a?versionId={old}", **options) as file:
            assert file.read() == b"old"
        assert len(bucket.gets("a")) == asked
    with pytest.raises(FileNotFoundError):
        fsspec.open("tmpcache::s3://models/b?versionId=x", **options).open()


@pytest.mark.parametrize(
    "given", [{"session": object()}, {"client_kwargs": {"config": None}}, {"acl": "public-read"}]
)
def test_an_option_of_s3fs_that_means_nothing_here_is_refused(
    given: dict[str, Any], root: Path
) -> None:
    with pytest.raises(ConfigError, match="of s3fs is not known to tmpcache: leave it out, or"):
        url_to_fs("tmpcache::s3://models/a", tmpcache={"root": str(root)}, s3=given)


def test_another_protocol_is_refused() -> None:
    with pytest.raises(ConfigError, match="use filecache::memory://"):
        url_to_fs("tmpcache::memory://models/a")
