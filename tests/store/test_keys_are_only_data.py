"""A key is only data: whatever it says, no name on disk is built from it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.content import assert_accounts_balance, content
from support.origins import through_each_origin

import tmpcache
from tmpcache import Cache, Outcome
from tmpcache.errors import ConfigError
from tmpcache.testing import Bucket

pytestmark = through_each_origin

#: Keys and the suffix that their files may have. Each has a text in it that no other file has.
KEYS = {
    "zebra": "",
    "zebra.npz": ".npz",
    "zebra/model.tar.gz": ".tar.gz",
    "zebra/v1.2/data": "",
    "zebra." + "x" * 300: "",
    "zebra." + "x" * 16: "." + "x" * 16,
    "zebra.p/df": "",
    "zebra.p df": "",
    "zebra.": "",
    ".zebra": "",
    "zebra/": "",
    "/zebra.bin": ".bin",
    "zebra//zebra.bin": ".bin",
    "..": "",
    "../zebra.bin": ".bin",
    "../../../../../../tmp/zebra.bin": ".bin",
    "zebra/../../../zebra": "",
    "./zebra": "",
    "zebra/.": "",
    "zebra/..": "",
    "~/zebra": "",
    "$HOME/zebra`id`": "",
    "zebra;rm -rf *": "",
    "zebra?versionId=1&x=%2e%2e%2f#y": "",
    "zebra+a b%20c": "",
    "zebra\\..\\zebra.exe": ".exe",
    "zebra\nzebra.txt": ".txt",
    "zebra\r\nX-Header: zebra.txt": ".txt",
    "zebra\x7f\x1b[31m.txt": ".txt",
    "zebra" + "é" * 509: "",
    "zebra/" + "🦓" * 250 + ".onnx": ".onnx",
    "zebra.Ünïcode": "",
    "index.sqlite": ".sqlite",
    "CACHEDIR.TAG": ".TAG",
    "-": "",
}
#: moto's URL patterns do not take these, and S3 does.
_CONTROL = re.compile(r"[\n\r]")


def store(bucket: Bucket, key: str, body: bytes) -> None:
    if _CONTROL.search(key):
        bucket.server.serve(bucket.path(key), body, "canned")
    else:
        bucket.put(key, body)


def tree(directory: Path, *, without: Path) -> set[Path]:
    """Everything under a directory but for one of its parts."""
    return {path for path in directory.rglob("*") if not path.is_relative_to(without)}


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key)[1:30])
def test_a_key_is_fetched_and_never_becomes_a_name(
    bucket: Bucket, tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "a" / "b" / "cache"
    root.parent.mkdir(parents=True)
    before = tree(tmp_path, without=root)
    body = content(key, 5000)
    store(bucket, key, body)
    with tmpcache.Cache(root, quota="2 MiB") as cache:
        path = cache.fetch("models", key)
        assert (path.read_bytes(), path.key) == (body, key)
        assert cache.fetch("models", key).outcome is Outcome.REVALIDATED
        assert "".join(Path(path.name.lower()).suffixes) == KEYS[key].lower()
        assert [entry.key for entry in cache.entries()] == [key]
        assert cache.evict("models", key) == 0  # still held
        path.release()
        assert cache.clear() > 0
    assert tree(tmp_path, without=root) == before
    names = [found.name for found in root.rglob("*")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,80}", name) for name in [*names, path.name])
    assert not any("zebra" in name for name in [*names, path.name])
    assert [get.status for get in bucket.gets(key)] == [200, 304]


@pytest.fixture
def one_cache(bucket: Bucket, root: Path) -> Cache:
    return tmpcache.Cache(root, quota="4 MiB")


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(key=st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_each_key_gets_its_own_bytes(bucket: Bucket, one_cache: Cache, key: str) -> None:
    body = key.encode() * 3
    bucket.server.serve(bucket.path(key), body, body.hex())
    path = one_cache.fetch("models", key)
    assert (path.read_bytes(), path.etag) == (body, f'"{body.hex()}"')
    assert path.resolve().is_relative_to(one_cache.root.resolve())
    assert re.fullmatch(r"[0-9a-f]{32}(-\d+)?(\.[A-Za-z0-9_-]{1,16}){0,2}", path.name)


@pytest.mark.parametrize("key", ["", "zebra\udcff", "\ud83e"], ids=ascii)
def test_a_key_that_cannot_be_is_refused_before_anything_is_asked(
    bucket: Bucket, cache: Cache, key: str
) -> None:
    for bucket_name, name in (("models", key), (key, "a")):
        with pytest.raises(ConfigError, match="is not"):
            cache.fetch(bucket_name, name)
    with pytest.raises(ConfigError, match="is not"):
        cache.fetch("models", "a", version_id=key or "\udcff")
    assert bucket.server.requests == []


@pytest.mark.parametrize("key", [b"a", 7, Path("a")], ids=repr)
def test_a_key_is_text(bucket: Bucket, cache: Cache, key: object) -> None:
    with pytest.raises(ConfigError, match="key="):
        cache.fetch("models", key)  # type: ignore[arg-type]


def test_a_nul_does_not_end_a_key(bucket: Bucket, cache: Cache) -> None:
    bucket.put("zebra", b"another")
    bucket.server.serve(bucket.path("zebra\0.npz"), b"nul", "tag")
    path = cache.fetch("models", "zebra\0.npz")
    assert (path.read_bytes(), path.suffix) == (b"nul", ".npz")
    assert [entry.key for entry in cache.entries()] == ["zebra\0.npz"]


def test_a_bucket_that_cannot_be_is_refused(bucket: Bucket, cache: Cache) -> None:
    for name in ("", "../models", "a b", "models/a"):
        with pytest.raises(ConfigError):
            cache.fetch(name, "a")
    assert bucket.server.requests == []


def test_two_keys_with_the_same_content_share_one_file(bucket: Bucket, cache: Cache) -> None:
    body = content("shared", 300_000)
    bucket.put("a/one.npz", body)
    bucket.put("b/two.npz", body)
    one, two = cache.fetch("models", "a/one.npz"), cache.fetch("models", "b/two.npz")
    assert one == two
    assert (one.key, two.key) == ("a/one.npz", "b/two.npz")
    usage = cache.usage()
    assert (usage.objects, usage.blobs) == (2, 1)
    assert_accounts_balance(cache)
    one.release()
    two.release()
    assert cache.evict("models", "a/one.npz") == 0
    assert cache.fetch("models", "b/two.npz").outcome is Outcome.REVALIDATED


def test_keys_that_look_alike_are_different_objects(bucket: Bucket, cache: Cache) -> None:
    keys = ["k", "K", "k/", "/k", "k ", "k%20", "k+", "é", "e\u0301"]
    for key in keys:
        bucket.put(key, key.encode())
    paths = [cache.fetch("models", key) for key in keys]
    assert [path.read_bytes().decode() for path in paths] == keys
    assert len(set(paths)) == len(keys)
