"""obstore on the wire: the same keys, errors and ranges as through boto3."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from support.content import content
from support.odd_keys import for_any_key
from support.proxy import FaultProxy, Trouble
from support.wire import Wire, ok, refused
from support.wrong_answers import WRONG

from tmpcache import Cache
from tmpcache.common.deadline import Deadline
from tmpcache.errors import (
    DeadlineExceededError,
    IntegrityError,
    OriginError,
    OriginUnavailableError,
)
from tmpcache.origin import Reply
from tmpcache.origin.obstore.origin import ObstoreOrigin
from tmpcache.origin.s3.origin import S3Origin
from tmpcache.testing import Bucket
from tmpcache.testing.faults import IGNORE_RANGE, WRONG_CHECKSUM

BODY = content("body", 700_000)


# ---- keys -------------------------------------------------------------------------------------


@pytest.fixture
def origin_there(wire: Wire) -> ObstoreOrigin:
    """One for all questions."""
    return ObstoreOrigin()


@for_any_key
def test_the_path_on_the_wire_is_the_key(wire: Wire, origin_there: ObstoreOrigin, key: str) -> None:
    """As S3 takes it: percent-encoded once, slashes kept, nothing tidied up."""
    wire.answer = lambda: ok(b"")
    del wire.paths[:]
    with suppress(OriginError):
        origin_there.get("models", key)
    assert wire.paths == ["/models/" + quote(key, safe="/~")]


# ---- what goes wrong on the wire --------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    WRONG,
    ids=lambda value: value[9:22].decode() if isinstance(value, bytes) else None,
)
def test_what_is_wrong_is_told_as_through_boto3(
    wire: Wire, answer: bytes, error: type[OriginError]
) -> None:
    """The same kind and, where S3 gave a reason, the same words, whatever the key looks like."""
    wire.answer = lambda: answer
    key = "a - Server returned non-2xx status code: 500 <Code>SlowDown</Code>"
    with pytest.raises(error) as caught:
        ObstoreOrigin().get("models", key)
    with pytest.raises(error) as expected:
        S3Origin().get("models", key)
    assert type(caught.value) is type(expected.value)
    if b"<Code>" in answer:
        assert str(caught.value) == str(expected.value)


def test_a_store_that_sends_no_length_is_asked_directly(wire: Wire) -> None:
    wire.answer = lambda: b'HTTP/1.1 200 OK\r\nETag: "e"\r\nConnection: close\r\n\r\nall of it'
    reply = ObstoreOrigin().get("models", "a")
    assert isinstance(reply, Reply)
    assert bytes(reply.body.read(memoryview(bytearray(100)))) == b"all of it"
    assert reply.size is None


@pytest.mark.parametrize("code", ["PermanentRedirect", "AuthorizationHeaderMalformed"])
def test_a_bucket_in_another_region_is_left_to_boto3(wire: Wire, code: str) -> None:
    answers = iter([refused(301 if code == "PermanentRedirect" else 400, code)])
    wire.answer = lambda: next(answers, ok(b"there"))
    origin = ObstoreOrigin()
    for _ in range(2):
        reply = origin.get("models", "a")
        assert isinstance(reply, Reply)
        assert (reply.size, type(reply.body).__module__) == (5, "tmpcache.origin.s3.body")
    assert len(wire.paths) == 3


def test_a_connection_that_was_closed_meanwhile_costs_no_failure(wire: Wire) -> None:
    """As after a freeze; even where a failure is final."""
    answers = iter([b""])
    wire.answer = lambda: next(answers, ok(b"there"))
    assert ObstoreOrigin().get("models", "a") is not None
    assert len(wire.paths) == 2


def test_a_silent_server_is_not_waited_for_past_the_deadline(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpcache.origin.s3.timeouts._SHORTER_TIMEOUTS", (0.2,))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "100")
    wire.hold.clear()
    with pytest.raises(DeadlineExceededError, match="s3://models/a"):
        ObstoreOrigin().get("models", "a", deadline=Deadline(0.5))
    assert len(wire.paths) <= 3


def test_a_body_is_cut_off_at_the_deadline_and_gone_on_with(
    bucket: Bucket, proxy: FaultProxy, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The direct origin brings the rest: it can stop at any moment."""
    monkeypatch.setattr("tmpcache.origin.s3.timeouts._SHORTER_TIMEOUTS", (2.0, 1.0))
    bucket.put("a", BODY)
    origin = ObstoreOrigin()
    reply = origin.get("models", "a", deadline=Deadline(2.5))
    assert isinstance(reply, Reply)
    reply.body._deadline = Deadline(1.5)  # type: ignore[attr-defined] # time has passed
    with pytest.raises(
        OriginUnavailableError, match="after 0 of 700000 bytes.*can be left at any moment"
    ):
        reply.body.read(memoryview(bytearray(10)))
    proxy.set(Trouble(body="stall", after=100_000))
    rest = origin.get("models", "a", start=10, end=len(BODY), deadline=Deadline(2.0))
    assert isinstance(rest, Reply)
    with pytest.raises(DeadlineExceededError):
        while rest.body.read(memoryview(bytearray(1 << 16))):
            pass


def test_ranges_are_brought_directly_and_are_what_was_asked_for(bucket: Bucket) -> None:
    etag = bucket.put("a", BODY)
    origin = ObstoreOrigin()
    part = origin.get("models", "a", start=10, end=20, if_match=etag)
    assert isinstance(part, Reply)
    assert (part.start, part.end, part.size, part.etag) == (10, 20, len(BODY), etag)
    assert bytes(part.body.read(memoryview(bytearray(100)))) == BODY[10:20]
    bucket.inject("a", IGNORE_RANGE)
    whole = origin.get("models", "a", start=10)
    assert isinstance(whole, Reply)
    assert (whole.start, whole.end, whole.size) == (0, len(BODY), len(BODY))
    whole.body.close()


def test_a_read_never_brings_more_than_was_asked_for(bucket: Bucket) -> None:
    bucket.put("a", BODY)
    for size in (BODY[:5000], BODY):
        bucket.put("a", size)
        reply = ObstoreOrigin().get("models", "a")
        assert isinstance(reply, Reply)
        brought, buffer = b"", memoryview(bytearray(1000))
        while data := reply.body.read(buffer):
            assert len(data) <= 1000
            brought += data
        assert brought == size
        assert not reply.body.read(buffer)


def test_a_checksum_that_s3_sends_is_not_seen(bucket: Bucket, root: Path) -> None:
    """The price: boto3 compares it. The length and the ETag are looked at by both."""
    bucket.put("a", BODY)
    bucket.inject("a", WRONG_CHECKSUM)
    assert Cache(root, origin="obstore").fetch("models", "a").read_bytes() == BODY
    with pytest.raises(IntegrityError, match="checksum"):
        Cache(root.parent / "other", origin="boto3").fetch("models", "a")


def test_a_listing_costs_a_request_per_thousand(bucket: Bucket) -> None:
    keys = [f"many//{number:04}" for number in range(1001)]
    for key in keys:
        bucket.server.serve(bucket.path(key), b"", "e")
    etag = bucket.put("many//x", b"x")
    listed = [*ObstoreOrigin().list("models", "man")]
    assert [(found.key, found.etag, found.size) for found in listed] == [("many//x", etag, 1)]
    assert len(bucket.server.gets("/models")) == 1
