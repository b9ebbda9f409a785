"""Responses as the direct origin reads them: what is not understood is asked through boto3."""

# ruff: noqa: E501, RUF005 - answers as they are on the wire
from __future__ import annotations

import socket
import time

import pytest
from support.content import content
from support.listener import Listener, asks_boto3, body_of
from support.wire import Wire, ok, refused
from support.wrong_answers import WRONG

from tmpcache.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    OriginError,
    OriginUnavailableError,
)
from tmpcache.origin import Reply
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.s3.origin import S3Origin

BODY = content("body", 700_000)


@pytest.mark.parametrize(
    ("answer", "size"),
    [
        (b'HTTP/1.1 200 OK\r\nETag: "e"\r\n\r\nall of it', None),
        (b'HTTP/1.0 200 OK\r\nETag: "e"\r\nContent-Length: 9\r\n\r\nall of it', 9),
        (b'HTTP/1.1 200\r\nETag:"e"\r\nContent-Length:9\r\n\r\nall of it', 9),
        (
            b'HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 9\r\n\r\nall of it',
            9,
        ),
        (
            b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n6;x=y\r\n of it\r\n0\r\nT: x\r\n\r\n',
            None,
        ),
        (
            b'HTTP/1.1 200 OK\r\nETag: "e"\r\nx-amz-meta-a: '
            + b"m" * 50_000
            + b"\r\nContent-Length: 9\r\n\r\nall of it",
            9,
        ),
    ],
)
def test_every_way_to_send_a_body_is_understood(
    wire: Wire, direct: DirectOrigin, answer: bytes, size: int | None
) -> None:
    wire.answer = lambda: answer
    reply = direct.get("models", "a")
    assert isinstance(reply, Reply)
    assert (reply.size, reply.etag) == (size, '"e"')
    assert body_of(reply) == b"all of it"
    assert not asks_boto3(direct)


@pytest.mark.parametrize(
    "chunks",
    [b"-5\r\nthere\r\n", b"0x5\r\nthere\r\n", b"\r\nthere\r\n", b"3\r\nthere\r\n", b"5\r\nthe"]
    + [b"5\r\nthere\r\n", b"0\r\n" + b"a: b\r\n" * 200, b"1_0\r\n" + b"x" * 16 + b"\r\n"],
)
def test_a_body_whose_chunks_are_wrong_is_a_broken_one(
    wire: Wire, direct: DirectOrigin, chunks: bytes
) -> None:
    """It is gone on with where it broke, or asked for again; it is never taken for whole."""
    head = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n'
    wire.answer = lambda: head + chunks
    reply = direct.get("models", "a")
    assert isinstance(reply, Reply)
    with pytest.raises(OriginUnavailableError):
        for _ in range(3):
            assert reply.body.read(memoryview(bytearray(100))), "it ended as if it were whole"
    assert direct._client is None or not any(direct._client.pool._idle.values())


@pytest.mark.parametrize("part", [1, 7, 50])
def test_an_answer_may_come_in_pieces(listener: Listener, direct: DirectOrigin, part: int) -> None:
    whole = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nall\r\n6\r\n of it\r\n0\r\n\r\n'

    def drip(connection: int, number: int) -> bytes:
        link = listener._links[connection - 1]
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(whole), part):
            link.sendall(whole[at : at + part])
            time.sleep(0.001)
        return b""

    listener.answer = drip
    for _ in range(2):
        assert body_of(direct.get("models", "a")) == b"all of it"
    assert listener.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\nETag: "e"\nContent-Length: 5\n\nthere',
        b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nthere',
        b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: 5\r\n folded: x\r\n\r\nthere',
        b'HTTP/1.1 200 OK\r\nETag: "e"\r\nContent-Length: -5\r\n\r\nthere',
        b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: gzip, chunked\r\n\r\nthere',
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 200 OK\r\n" + b"a: " + b"b" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n",
        refused(301, "PermanentRedirect"),
        refused(307, "TemporaryRedirect"),
        refused(400, "AuthorizationHeaderMalformed"),
        refused(400, "SomethingNew"),
        refused(403, "RequestTimeTooSkewed"),
        refused(403, "SignatureDoesNotMatch"),
        refused(403, "AccessDenied", missing=1000),
        refused(409, "OperationAborted"),
        b"HTTP/1.1 403 No\r\nContent-Length: 20\r\n\r\n<html>log in</html>\n",
    ],
    ids=lambda answer: answer[9:40].decode(),
)
def test_what_is_not_understood_is_asked_once_through_boto3_which_keeps_the_bucket(
    wire: Wire, direct: DirectOrigin, answer: bytes
) -> None:
    answers = iter([answer])
    wire.answer = lambda: next(answers, ok(b"there"))
    for _ in range(2):
        assert body_of(direct.get("models", "a")) == b"there"
    assert asks_boto3(direct)
    assert len(wire.paths) == 3
    assert body_of(direct.get("other", "a")) == b"there"
    assert direct._client is not None
    assert direct._client.addresses == {"models": None, "other": (wire.endpoint[7:], "/other")}


def test_a_redirect_is_not_followed_with_credentials(
    wire: Wire, listener: Listener, direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it names: another host, https, itself. boto3 says what there is to say."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", wire.endpoint)
    for place in (listener.endpoint, "https://127.0.0.1:9", wire.endpoint):
        head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {place}/models/a\r\n"
        wire.answer = lambda head=head: f"{head}Content-Length: 0\r\n\r\n".encode()  # type: ignore[misc]
        with pytest.raises(OriginError):
            direct.get("models", "a")
    assert listener.asked == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        *WRONG,
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", AccessDeniedError),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ObjectNotFoundError),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 11\r\n\r\n<html>no   ", OriginUnavailableError),
    ],
    ids=lambda value: value[9:22].decode() if isinstance(value, bytes) else None,
)
def test_what_is_wrong_is_told_as_through_boto3(
    wire: Wire, direct: DirectOrigin, answer: bytes, error: type[OriginError]
) -> None:
    """The same kind and, where S3 gave a reason, the same words."""
    wire.answer = lambda: answer
    with pytest.raises(error) as caught:
        direct.get("models", "a%20b")
    with pytest.raises(error) as expected:
        S3Origin().get("models", "a%20b")
    assert type(caught.value) is type(expected.value)
    if answer.startswith(b"HTTP"):
        assert str(caught.value) == str(expected.value)
    assert caught.value.scope == expected.value.scope
