"""What is put is cached as S3 has it, and a failed upload changes nothing."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from support.origins import through_each_origin

import tmpcache
from tmpcache import Outcome
from tmpcache.errors import (
    AccessDeniedError,
    ConfigError,
    ObjectChangedError,
    OriginUnavailableError,
    QuotaExceededError,
    TmpCacheError,
)
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED, INTERNAL_ERROR

pytestmark = through_each_origin

MIB = 1024 * 1024


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("model", b"one")
    return tmpcache.Cache(root, quota="200 MiB")


@pytest.mark.parametrize("kind", ["bytes", "path", "text path", "file", "pipe"])
def test_put_uploads_and_then_hits(
    cache: tmpcache.Cache, bucket: Bucket, tmp_path: Path, kind: str
) -> None:
    body = b"report" * 1000
    file = tmp_path / "report.json"
    file.write_bytes(body)

    class Pipe(io.RawIOBase):
        """Cannot tell how long it is."""

        def __init__(self) -> None:
            self.rest = body

        def read(self, size: int = -1) -> bytes:
            chunk, self.rest = self.rest[:size], self.rest[size:]
            return chunk

    with file.open("rb") as opened:
        source = {
            "bytes": body,
            "path": file,
            "text path": str(file),
            "file": opened,
            "pipe": Pipe(),
        }[kind]
        path = cache.put("models", "out/report.json", source)  # type: ignore[arg-type]
    assert path.read_bytes() == body
    assert path.suffix == ".json"
    there = bucket.client.get_object(Bucket="models", Key="out/report.json")
    assert (there["Body"].read(), there["ETag"]) == (body, path.etag)
    bucket.server.forget()
    assert cache.fetch("models", "out/report.json", max_age=60).outcome is Outcome.HIT
    assert bucket.server.requests == []
    assert cache.fetch("models", "out/report.json").outcome is Outcome.REVALIDATED
    bucket.put("out/report.json", b"newer")
    assert cache.fetch("models", "out/report.json").read_bytes() == b"newer"


def test_a_large_source_goes_in_parts(cache: tmpcache.Cache, bucket: Bucket) -> None:
    body = bytes(range(256)) * (40 * MIB // 256)
    bucket.server.forget()
    path = cache.put("models", "big", body)
    puts = [request for request in bucket.server.requests if request.method == "PUT"]
    assert len(puts) == 5
    assert path.etag.endswith('-5"')
    assert cache.fetch("models", "big").outcome is Outcome.REVALIDATED
    assert bucket.client.get_object(Bucket="models", Key="big")["Body"].read() == body


def test_writers_that_race(cache: tmpcache.Cache, bucket: Bucket) -> None:
    first = cache.put("models", "lock", b"mine", if_none_match="*")
    with pytest.raises(ObjectChangedError):
        cache.put("models", "lock", b"yours", if_none_match="*")
    assert cache.fetch("models", "lock").read_bytes() == b"mine"
    second = cache.put("models", "lock", b"again", if_match=first.etag)
    with pytest.raises(ObjectChangedError):
        cache.put("models", "lock", b"late", if_match=first.etag)
    assert cache.fetch("models", "lock").etag == second.etag


def test_a_failed_upload_changes_nothing(cache: tmpcache.Cache, root: Path, bucket: Bucket) -> None:
    before = cache.fetch("models", "model")
    for fault, error in (
        (ACCESS_DENIED, AccessDeniedError),
        (INTERNAL_ERROR, OriginUnavailableError),
    ):
        bucket.server.inject(bucket.path("model"), fault, method="PUT")
        with pytest.raises(error, match="s3://models/model"):
            cache.put("models", "model", b"two")
        bucket.server.heal()
    again = cache.fetch("models", "model")
    assert (again.outcome, again.read_bytes()) == (Outcome.REVALIDATED, b"one")
    assert before.read_bytes() == b"one"
    assert list((root / "partial").iterdir()) == []
    assert (cache.usage().reserved, cache.usage().blobs) == (0, 1)


def test_what_cannot_be_put(cache: tmpcache.Cache, root: Path, bucket: Bucket) -> None:
    bucket.server.forget()
    with pytest.raises(ConfigError, match="binary"):
        cache.put("models", "a", io.StringIO("text"))  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        cache.put("models", "a", 3)  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError):
        cache.put("models", "a", root / "nothing")
    small = tmpcache.Cache(root.parent / "small", quota="1 MiB")
    with pytest.raises(QuotaExceededError):
        small.put("models", "a", bytes(2 * MIB))
    assert bucket.server.requests == []


def test_an_empty_object(cache: tmpcache.Cache) -> None:
    assert cache.put("models", "empty", b"").size == 0
    assert cache.fetch("models", "empty").outcome is Outcome.REVALIDATED


class Swept:
    """A source at whose end a cleaner removes what is being received."""

    def __init__(self, body: bytes, root: Path) -> None:
        self.rest, self.root = body, root

    def read(self, size: int = -1) -> bytes:
        chunk, self.rest = self.rest[:size], self.rest[size:]
        if not chunk:
            for file in (self.root / "partial").iterdir():
                file.unlink()
        return chunk


def test_an_upload_whose_copy_a_cleaner_took_is_fetched(
    cache: tmpcache.Cache, root: Path, bucket: Bucket
) -> None:
    body = os.urandom(3 * MIB)
    path = cache.put("models", "swept", Swept(body, root))  # type: ignore[arg-type]
    assert path.read_bytes() == body
    assert path.outcome is Outcome.FETCHED
    assert bucket.client.get_object(Bucket="models", Key="swept")["ETag"] == path.etag


def test_an_upload_without_any_copy_says_that_it_went_through(
    cache: tmpcache.Cache, root: Path, bucket: Bucket
) -> None:
    bucket.server.inject(bucket.path("swept"), ACCESS_DENIED, method="GET")
    with pytest.raises(TmpCacheError, match=r"s3://models/swept was uploaded \(ETag"):
        cache.put("models", "swept", Swept(b"body", root))  # type: ignore[arg-type]
    bucket.server.heal()
    assert cache.fetch("models", "swept").read_bytes() == b"body"


@pytest.mark.parametrize("text", ['{"a": 1}', "", "one\ntwo", " [1]", "x" * 5000, "<a/>", "a\0b"])
def test_a_text_that_is_no_path_is_told_to_be_encoded(cache: tmpcache.Cache, text: str) -> None:
    with pytest.raises(ConfigError, match="encode"):
        cache.put("models", "text", text)
