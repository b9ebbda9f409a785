"""Request options go to each step that S3 has them for, and to no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.handmade import Answer, Asked, HandmadeS3, error, etag_of, handmade, object_answer
from support.origins import through_both_readers

from tmpcache import Cache, Outcome
from tmpcache.errors import AccessDeniedError, ConfigError, ObjectChangedError

pytestmark = through_both_readers

MIB = 1 << 20
SSE_C = "x-amz-server-side-encryption-customer-algorithm"
PAYER, OWNER, SSE = (
    "x-amz-request-payer",
    "x-amz-expected-bucket-owner",
    ("x-amz-server-side-encryption"),
)
OPTIONS = {
    "SSECustomerAlgorithm": "AES256",
    "SSECustomerKey": "k" * 32,
    "RequestPayer": "requester",
    "ExpectedBucketOwner": "123456789012",
}


class Store:
    """Takes what it is sent; what is demanded of uploads can be set."""

    def __init__(self) -> None:
        self.demanded: tuple[str, str] | None = None
        self.refused_part = 0
        self.body = b"hello"

    def answer(self, asked: Asked) -> Answer:
        if asked.method in ("PUT", "POST") and self.demanded is not None:
            name, value = self.demanded
            if "uploadId" not in asked.query and asked.headers.get(name) != value:
                return error(403, "AccessDenied")
        if "uploads" in asked.query:
            return self.xml("InitiateMultipartUploadResult", "<UploadId>u</UploadId>")
        if f"partNumber={self.refused_part}" in asked.query.split("&"):
            return error(412, "PreconditionFailed")
        if asked.method == "PUT":
            self.body = asked.body
            return Answer(200, b"", {"ETag": etag_of(asked.body)})
        if asked.method == "POST":
            return self.xml("CompleteMultipartUploadResult", '<ETag>"x-3"</ETag>')
        if asked.method == "DELETE":
            return Answer(204)
        return object_answer(asked, self.body)

    def xml(self, name: str, text: str) -> Answer:
        return Answer(200, f"<{name}>{text}</{name}>".encode(), {"Content-Type": "text/xml"})


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def server(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[HandmadeS3]:
    with handmade(store.answer) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        yield server


def steps(server: HandmadeS3, *names: str) -> list[tuple[str, list[bool]]]:
    """Each request, and which of the headers it had."""
    return [(asked.method, [name in asked.headers for name in names]) for asked in server.log]


def test_every_step_of_an_upload_in_parts_has_its_options(root: Path, server: HandmadeS3) -> None:
    with Cache(root, quota="200 MiB", request_options=OPTIONS) as cache:
        cache.put("models", "a", b"\0" * (40 * MIB), content_type="text/plain")
    assert steps(server, SSE_C, PAYER, OWNER) == [
        ("POST", [True, True, True]),
        *[("PUT", [True, True, True])] * 5,
        ("POST", [True, True, True]),
    ]


def test_a_step_has_only_what_s3_takes_with_it(root: Path, server: HandmadeS3) -> None:
    options: dict[str, Any] = {
        **OPTIONS,
        "ServerSideEncryption": "AES256",
        "ACL": "private",
        "Metadata": {"a": "b"},
        "ChecksumAlgorithm": "SHA256",
        "ChecksumCRC32": "AAAAAA==",
        "ContentMD5": "x",
    }
    with Cache(root, quota="200 MiB") as cache:
        cache.put("models", "a", b"\0" * (17 * MIB), request_options=options, content_type="a/b")
    of_object = ("x-amz-acl", "x-amz-meta-a", SSE)
    create, *parts, complete = steps(server, *of_object, "x-amz-checksum-crc32", "content-md5")
    assert create == ("POST", [True, True, True, False, False])
    assert parts == [("PUT", [False] * 5)] * 3
    assert complete == ("POST", [False, False, False, True, False])
    sent = [(asked.headers.get("content-type"), asked.headers) for asked in server.log]
    assert sent[0][0] == "a/b"
    assert sent[0][1]["x-amz-checksum-algorithm"] == "SHA256"
    assert all("x-amz-checksum-sha256" in headers for _, headers in sent[1:-1])


def test_an_upload_that_is_given_up_has_its_options(
    root: Path, server: HandmadeS3, store: Store
) -> None:
    store.refused_part = 2
    with (
        Cache(root, quota="200 MiB", request_options=OPTIONS) as cache,
        pytest.raises(ObjectChangedError),
    ):
        cache.put("models", "a", b"\0" * (40 * MIB))
    assert steps(server, SSE_C, PAYER, OWNER)[-1] == ("DELETE", [False, True, True])


def test_an_option_of_uploads_is_not_sent_with_questions(
    root: Path, server: HandmadeS3, store: Store
) -> None:
    """``ServerSideEncryption`` in a GetObject is an error of botocore's."""
    store.demanded = SSE, "aws:kms"
    with Cache(root, quota="8 MiB", request_options={"ServerSideEncryption": "aws:kms"}) as cache:
        cache.put("models", "a", b"hello").release()
        assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED
    assert steps(server, SSE) == [("PUT", [True]), ("GET", [False])]


def test_a_put_may_have_options_of_its_own(root: Path, server: HandmadeS3, store: Store) -> None:
    store.demanded = SSE, "aws:kms"
    options = {"ExpectedBucketOwner": "123456789012", "ServerSideEncryption": "AES256"}
    with Cache(root, quota="8 MiB", max_age=60, request_options=options) as cache:
        with pytest.raises(AccessDeniedError, match=r"have s3:PutObject .* request_options="):
            cache.put("models", "a", b"hello")
        mine = {"ServerSideEncryption": "aws:kms", "Tagging": "a=b"}
        cache.put("models", "a", b"hello", request_options=mine).release()
        assert cache.fetch("models", "a").outcome is Outcome.HIT
    assert steps(server, OWNER, "x-amz-tagging")[1:] == [("PUT", [True, True])]


def test_a_put_with_a_key_is_no_hit_for_who_asks_without_it(root: Path, server: HandmadeS3) -> None:
    with Cache(root, quota="8 MiB", max_age=60) as cache:
        key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
        cache.put("models", "a", b"hello", request_options=key).release()
        assert cache.fetch("models", "a").outcome is Outcome.REVALIDATED, "S3 might say 400"


@pytest.mark.parametrize("name", ["Bucket", "Key", "VersionId", "IfMatch", "Range", "Body"])
def test_an_option_does_not_say_what_is_asked_for(
    root: Path, server: HandmadeS3, name: str
) -> None:
    with pytest.raises(ConfigError, match=f"request_options cannot have {name}"):
        Cache(root, quota="8 MiB", request_options={name: "other"})
    with (
        Cache(root, quota="8 MiB") as cache,
        pytest.raises(ConfigError, match=f"request_options cannot have {name}"),
    ):
        cache.put("models", "a", b"hello", request_options={name: "other"})
    assert server.log == []


def test_an_option_that_s3_has_nowhere_is_an_error(root: Path, server: HandmadeS3) -> None:
    with Cache(root, quota="8 MiB", request_options={"RequestPayre": "requester"}) as cache:
        for call in (
            lambda: cache.fetch("models", "a"),
            lambda: cache.put("models", "a", b"hello"),
            lambda: cache.fetch_prefix("models", ""),
        ):
            with pytest.raises(ConfigError, match="S3 has no option RequestPayre"):
                call()
    with (
        Cache(root, quota="8 MiB") as cache,
        pytest.raises(ConfigError, match="S3 has no option Color"),
    ):
        cache.put("models", "a", b"hello", request_options={"Color": "red"})
    assert server.log == []
