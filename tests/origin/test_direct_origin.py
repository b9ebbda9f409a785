"""What is special about asking S3 directly; what holds for each origin is tested elsewhere."""

# ruff: noqa: E501, RUF005 - answers as they are on the wire
from __future__ import annotations

import gc
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
from botocore.httpsession import DEFAULT_CA_BUNDLE, get_cert_path
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from support.content import content
from support.processes import spawn
from support.tls import encrypted
from support.wire import Wire, ok, refused

from tmpcache import Cache, Outcome
from tmpcache.common.deadline import Deadline
from tmpcache.errors import (
    AccessDeniedError,
    DeadlineExceededError,
    ObjectChangedError,
    ObjectNotFoundError,
    OriginError,
    OriginUnavailableError,
)
from tmpcache.origin import Reply, Unchanged
from tmpcache.origin.direct.connections import certificates
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.s3.origin import S3Origin
from tmpcache.testing import Bucket
from tmpcache.testing.faults import SLOW_DOWN

BODY = content("body", 700_000)


class Listener:
    """A server that answers on kept connections, by a function of connection and request number."""

    def __init__(self, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.answer: Callable[[int, int], bytes | None] = lambda connection, number: ok_kept(
            b"there"
        )
        self.asked: list[tuple[int, bytes]] = []
        self.connections = 0
        host = "::1" if family == socket.AF_INET6 else "127.0.0.1"
        self._server = socket.create_server((host, 0), family=family, backlog=100)
        at = f"[{host}]" if ":" in host else host
        self.endpoint = f"http://{at}:{self._server.getsockname()[1]}"
        self._links: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link = self._server.accept()[0]
            except OSError:
                return
            self.connections += 1
            self._links.append(link)
            number = self.connections
            threading.Thread(target=self._talk, args=(link, number), daemon=True).start()

    def _talk(self, link: socket.socket, connection: int) -> None:
        heard, number = b"", 0
        with link, suppress(OSError):
            while True:
                while b"\r\n\r\n" not in heard:
                    if not (more := link.recv(1 << 16)):
                        return
                    heard += more
                request, _, heard = heard.partition(b"\r\n\r\n")
                number += 1
                self.asked.append((connection, request))
                answer = self.answer(connection, number)
                if answer is None:
                    return
                link.sendall(answer)

    def stop(self) -> None:
        """Close everything."""
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for link in self._links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)


def ok_kept(body: bytes, head: str = "") -> bytes:
    """An object, on a connection that stays open."""
    return (
        f'HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nETag: "e"\r\n{head}\r\n'.encode() + body
    )


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    listener = Listener()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", listener.endpoint)
    yield listener
    listener.stop()


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The server that the environment names."""
    wire = Wire()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", wire.endpoint)
    yield wire
    wire.stop()


@pytest.fixture
def origin() -> Iterator[DirectOrigin]:
    origin = DirectOrigin()
    yield origin
    origin.close()


def body_of(reply: object) -> bytes:
    """All that a reply brings."""
    assert isinstance(reply, Reply)
    brought, buffer = b"", memoryview(bytearray(1000))
    while data := reply.body.read(buffer):
        brought += data
    reply.body.close()
    return brought


def asks_boto3(origin: S3Origin) -> bool:
    return origin._signer is not None


# ---- which origin it is --------------------------------------------------------------------------


def test_a_first_miss_loads_neither_boto3_nor_ssl(bucket: Bucket, root: Path) -> None:
    bucket.put("a", BODY[:10_000])
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, origin=origin)
        outcomes = [cache.fetch("models", "a").outcome.name for _ in range(2)]
        try:
            cache.fetch("models", "b")
        except tmpcache.errors.ObjectNotFoundError:
            outcomes.append("MISSING")
        heavy = "boto3", "botocore", "urllib3", "ssl", "http.client", "configparser"
        say([outcomes, [name for name in heavy if name in sys.modules]])
    """
    for origin in (None, "obstore"):
        with spawn(code, root=f"{root}-{origin}", origin=origin) as child:
            assert child.hear() == [["FETCHED", "REVALIDATED", "MISSING"], []]


def test_which_way_was_taken_is_told_once_and_why(
    listener: Listener, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "tmpcache")
    origin = DirectOrigin()
    for _ in range(3):
        body_of(origin.get("models", "a"))
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "false")
    body_of(DirectOrigin().get("models", "a"))
    said = [record.getMessage() for record in caplog.records if record.name == "tmpcache"]
    assert said == [
        "S3 is asked through direct: all is plain",
        "S3 is asked through boto3: AWS_USE_FIPS_ENDPOINT",
    ]


# ---- what is sent --------------------------------------------------------------------------------


@settings(
    max_examples=60,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    key=st.text(
        st.sampled_from("/.a%2Eé~+ ?#&\\\n\x7f🦓[") | st.characters(codec="utf-8"), min_size=1
    )
)
@example("a/")
@example("/a")
@example("a//b")
@example("a/../b")
@example("a\r\nHost: b")
def test_the_path_on_the_wire_is_the_key(
    listener: Listener, origin: DirectOrigin, key: str
) -> None:
    """As S3 takes it: percent-encoded once, slashes kept, nothing tidied up."""
    del listener.asked[:]
    body_of(origin.get("models", key))
    path = "/models/" + quote(key, safe="/~")
    assert [asked.split(b"\r\n")[0].decode() for _, asked in listener.asked] == [
        f"GET {path} HTTP/1.1"
    ]
    assert not asks_boto3(origin)


def test_questions_in_turn_share_a_connection_and_threads_have_their_own(
    listener: Listener, origin: DirectOrigin
) -> None:
    for _ in range(20):
        assert body_of(origin.get("models", "a")) == b"there"
    assert listener.connections == 1
    with ThreadPoolExecutor(64) as threads:
        found = [*threads.map(lambda n: body_of(origin.get("models", f"{n}")), range(500))]
    assert found == [b"there"] * 500
    assert listener.connections <= 64


def test_an_origin_that_is_dropped_leaves_no_connection_open(listener: Listener) -> None:
    """Nobody has to call `close`; a connection that held its pool would hold itself for ever."""
    origin = DirectOrigin()
    body_of(origin.get("models", "a"))
    del origin
    gc.collect()
    until = time.monotonic() + 5
    while listener._links[0].fileno() >= 0 and time.monotonic() < until:
        time.sleep(0.01)
    assert listener._links[0].fileno() < 0, "the server still has the connection"


def test_an_unread_body_ends_its_connection(listener: Listener, origin: DirectOrigin) -> None:
    """What is left of it would be taken for the next answer."""
    listener.answer = lambda connection, number: ok_kept(b"x" * 100_000)
    first = origin.get("models", "a")
    assert isinstance(first, Reply)
    first.body.close()
    assert len(body_of(origin.get("models", "a"))) == 100_000
    assert listener.connections == 2


def test_a_conditional_question_is_answered_by_304_on_a_kept_connection(
    listener: Listener, origin: DirectOrigin
) -> None:
    listener.answer = lambda connection, number: b'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n'
    for _ in range(3):
        assert isinstance(origin.get("models", "a", if_none_match='"e"'), Unchanged)
    assert listener.connections == 1
    assert b'if-none-match: "e"' in listener.asked[0][1]


def test_a_question_takes_few_calls(listener: Listener, origin: DirectOrigin) -> None:
    """What makes it fast must not creep away; botocore makes some 4,000. Signing takes half."""
    listener.answer = lambda connection, number: b'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n'

    def ask() -> None:
        origin.get("models", "a", if_none_match='"e"')

    for _ in range(3):  # what is imported then is looked at
        ask()
    calls: list[str] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            calls.append(getattr(argument, "__name__", frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        ask()
    finally:
        sys.setprofile(None)
    assert len(calls) < 130, calls
    assert [calls.count(name) for name in ("sendall", "recv", "poll")] == [1, 1, 2]


# ---- connections that die ------------------------------------------------------------------------


def test_a_dead_kept_connection_costs_one_silent_try(
    listener: Listener, origin: DirectOrigin
) -> None:
    """As after a freeze, or where a server gives a connection so many requests."""
    listener.answer = lambda connection, number: ok_kept(b"there") if number == 1 else None
    for _ in range(4):
        assert body_of(origin.get("models", "a")) == b"there"
    assert listener.connections == 4
    assert len(listener.asked) == 7
    assert not asks_boto3(origin)


def test_a_connection_that_dies_in_an_answer_is_a_failure(
    listener: Listener, origin: DirectOrigin
) -> None:
    listener.answer = lambda connection, number: (
        ok_kept(b"there") if number == 1 else b"HTTP/1.1 20"
    )

    def close_later(connection: int, number: int) -> bytes | None:
        if number == 1:
            return ok_kept(b"there")
        listener._links[connection - 1].sendall(b"HTTP/1.1 20")
        return None

    listener.answer = close_later
    body_of(origin.get("models", "a"))
    with pytest.raises(OriginUnavailableError, match="closed the connection without an answer"):
        origin.get("models", "a")
    assert listener.connections == 1


def test_what_arrives_while_nothing_is_asked_ends_a_connection(
    listener: Listener, origin: DirectOrigin
) -> None:
    """Such as a server's 408; it would be taken for the answer to the next question."""
    body_of(origin.get("models", "a"))
    listener._links[0].sendall(ok_kept(b"of somebody else's"))
    time.sleep(0.1)
    assert body_of(origin.get("models", "a")) == b"there"
    listener.answer = lambda connection, number: ok_kept(b"there") + ok_kept(b"too much")
    for _ in range(2):
        assert body_of(origin.get("models", "a")) == b"there"


def test_a_connection_from_before_a_freeze_is_not_tried(
    listener: Listener, origin: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    body_of(origin.get("models", "a"))
    later = time.time() + 3600
    monkeypatch.setattr("tmpcache.origin.direct.connection.time.time", lambda: later)
    body_of(origin.get("models", "a"))
    assert listener.connections == 2


def test_a_server_that_closes_every_connection_is_a_server(
    wire: Wire, origin: DirectOrigin
) -> None:
    wire.answer = lambda: ok_kept(b"there")
    assert [body_of(origin.get("models", "a")) for _ in range(5)] == [b"there"] * 5
    assert len(wire.paths) == 5


# ---- answers -------------------------------------------------------------------------------------


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
    wire: Wire, origin: DirectOrigin, answer: bytes, size: int | None
) -> None:
    wire.answer = lambda: answer
    reply = origin.get("models", "a")
    assert isinstance(reply, Reply)
    assert (reply.size, reply.etag) == (size, '"e"')
    assert body_of(reply) == b"all of it"
    assert not asks_boto3(origin)


@pytest.mark.parametrize(
    "chunks",
    [b"-5\r\nthere\r\n", b"0x5\r\nthere\r\n", b"\r\nthere\r\n", b"3\r\nthere\r\n", b"5\r\nthe"]
    + [b"5\r\nthere\r\n", b"0\r\n" + b"a: b\r\n" * 200, b"1_0\r\n" + b"x" * 16 + b"\r\n"],
)
def test_a_body_whose_chunks_are_wrong_is_a_broken_one(
    wire: Wire, origin: DirectOrigin, chunks: bytes
) -> None:
    """It is gone on with where it broke, or asked for again; it is never taken for whole."""
    head = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n'
    wire.answer = lambda: head + chunks
    reply = origin.get("models", "a")
    assert isinstance(reply, Reply)
    with pytest.raises(OriginUnavailableError):
        for _ in range(3):
            assert reply.body.read(memoryview(bytearray(100))), "it ended as if it were whole"
    assert origin._client is None or not any(origin._client.pool._idle.values())


@pytest.mark.parametrize("part", [1, 7, 50])
def test_an_answer_may_come_in_pieces(listener: Listener, origin: DirectOrigin, part: int) -> None:
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
        assert body_of(origin.get("models", "a")) == b"all of it"
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
    wire: Wire, origin: DirectOrigin, answer: bytes
) -> None:
    answers = iter([answer])
    wire.answer = lambda: next(answers, ok(b"there"))
    for _ in range(2):
        assert body_of(origin.get("models", "a")) == b"there"
    assert asks_boto3(origin)
    assert len(wire.paths) == 3
    assert body_of(origin.get("other", "a")) == b"there"
    assert origin._client is not None
    assert origin._client.addresses == {"models": None, "other": (wire.endpoint[7:], "/other")}


def test_a_redirect_is_not_followed_with_credentials(
    wire: Wire, listener: Listener, origin: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it names: another host, https, itself. boto3 says what there is to say."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", wire.endpoint)
    for place in (listener.endpoint, "https://127.0.0.1:9", wire.endpoint):
        head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {place}/models/a\r\n"
        wire.answer = lambda head=head: f"{head}Content-Length: 0\r\n\r\n".encode()  # type: ignore[misc]
        with pytest.raises(OriginError):
            origin.get("models", "a")
    assert listener.asked == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(400, "ExpiredToken"), AccessDeniedError),
        (refused(400, "InvalidArgument"), OriginError),
        (refused(401, "Unauthorized"), AccessDeniedError),
        (refused(403, "AccessDenied"), AccessDeniedError),
        (refused(403, "RequestTimeTooSkewed"), AccessDeniedError),
        (refused(403, "AccessDenied", missing=1000), AccessDeniedError),
        (refused(404, "NoSuchKey"), ObjectNotFoundError),
        (refused(404, "NoSuchBucket"), ObjectNotFoundError),
        (refused(404, "NoSuchKey", missing=1000), ObjectNotFoundError),
        (refused(405, "MethodNotAllowed"), ObjectNotFoundError),
        (refused(409, "OperationAborted"), OriginError),
        (refused(412, "PreconditionFailed"), ObjectChangedError),
        (refused(416, "InvalidRange"), ObjectChangedError),
        (refused(429, "SlowDown"), OriginUnavailableError),
        (refused(500, "InternalError"), OriginUnavailableError),
        (refused(501, "NotImplemented"), OriginUnavailableError),
        (refused(503, "SlowDown"), OriginUnavailableError),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", AccessDeniedError),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ObjectNotFoundError),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 11\r\n\r\n<html>no   ", OriginUnavailableError),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", OriginError),
        (b"", OriginUnavailableError),
        (b"nonsense\r\n\r\n", OriginUnavailableError),
    ],
    ids=lambda value: value[9:22].decode() if isinstance(value, bytes) else None,
)
def test_what_is_wrong_is_told_as_through_boto3(
    wire: Wire, origin: DirectOrigin, answer: bytes, error: type[OriginError]
) -> None:
    """The same kind and, where S3 gave a reason, the same words."""
    wire.answer = lambda: answer
    with pytest.raises(error) as caught:
        origin.get("models", "a%20b")
    with pytest.raises(error) as expected:
        S3Origin().get("models", "a%20b")
    assert type(caught.value) is type(expected.value)
    if answer.startswith(b"HTTP"):
        assert str(caught.value) == str(expected.value)
    assert caught.value.scope == expected.value.scope


# ---- tries and time ------------------------------------------------------------------------------


@pytest.mark.parametrize("tries", [1, 3])
def test_a_failure_is_asked_again_as_often_as_botocore_would(
    bucket: Bucket, origin: DirectOrigin, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.01)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", str(tries))
    bucket.put("a", b"a")
    bucket.inject("a", SLOW_DOWN, times=2)
    if tries == 3:
        assert body_of(origin.get("models", "a")) == b"a"
    else:
        with pytest.raises(OriginUnavailableError, match="SlowDown"):
            origin.get("models", "a")
    assert len(bucket.gets("a")) == tries


def test_a_deadline_leaves_no_time_for_another_try(
    wire: Wire, origin: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "100")
    wire.answer = lambda: refused(503, "SlowDown")
    with pytest.raises(DeadlineExceededError):
        origin.get("models", "a", deadline=Deadline(1.5))
    with pytest.raises(OriginUnavailableError):
        origin.get("models", "a", deadline=Deadline(30, asks_once=True))
    assert len(wire.paths) == 2


def test_a_silent_server_is_not_waited_for_past_the_deadline(
    wire: Wire, origin: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpcache.origin.s3.timeouts._SHORTER_TIMEOUTS", (0.2,))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "100")
    wire.hold.clear()
    with pytest.raises(DeadlineExceededError, match="s3://models/a"):
        origin.get("models", "a", deadline=Deadline(0.5))
    assert len(wire.paths) == 1


def test_a_read_that_waits_ends_when_another_thread_says_so(
    listener: Listener, origin: DirectOrigin
) -> None:
    listener.answer = lambda connection, number: ok_kept(b"x" * 10)[:-3]
    reply = origin.get("models", "a")
    assert isinstance(reply, Reply)
    assert len(reply.body.read(memoryview(bytearray(100)))) == 7
    threading.Timer(0.3, reply.body.interrupt).start()
    began = time.monotonic()
    with suppress(OriginUnavailableError):
        assert not reply.body.read(memoryview(bytearray(100)))
    assert time.monotonic() - began < 5


# ---- who asks, and whom --------------------------------------------------------------------------


def test_who_asks_stays_who_asked_first_through_boto3_as_well(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotated environment is for the next client; two callers in one origin would be a mix-up."""
    bucket.put("a", b"a")
    origin = DirectOrigin()
    first = origin.scope
    body_of(origin.get("models", "a"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "rotated")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "new")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    body_of(origin.get("models", "a"))
    listed = [*origin.list("models", "a")]
    assert [found.scope for found in listed] == [first]
    assert origin.scope == first
    signed = [request.headers["authorization"] for request in bucket.server.requests[-3:]]
    assert all("=testing/" in one and "/us-east-1/" in one for one in signed)
    origin.close()
    assert origin.scope != first
    with pytest.raises(OriginUnavailableError):
        origin.get("models", "a")


@pytest.mark.parametrize("url", ["http://s3.test", "http://s3.test:80/", "https://s3.test:443"])
def test_the_boto3_client_of_the_origin_has_the_same_scope_however_the_url_is_written(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a listing would confirm no copy that a direct request has brought."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
    before = S3Origin().scope
    origin = DirectOrigin()
    assert origin._route("models") != (None, None)
    signer = origin._boto3_signer()
    assert origin._scope_of(signer.name, signer.next()) == origin.scope == before
    origin.close()


def test_a_listing_that_comes_first_decides_who_asks(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"a")
    origin = DirectOrigin()
    assert [*origin.list("models", "a")]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "rotated")
    reply = origin.get("models", "a")
    assert isinstance(reply, Reply)
    assert reply.scope == origin.scope
    assert "=testing/" in bucket.gets("a")[-1].headers["authorization"]
    reply.body.close()


def test_all_origins_share_copies_and_what_they_were_told(bucket: Bucket, root: Path) -> None:
    bucket.put("a", BODY)
    assert Cache(root, origin="direct").fetch("models", "a").outcome is Outcome.FETCHED
    for name in ("auto", "boto3", "obstore"):
        assert Cache(root, origin=name).fetch("models", "a", max_age=60).outcome is Outcome.HIT
    payer = {"RequestPayer": "requester"}
    assert DirectOrigin(payer).scope == S3Origin(None, payer).scope != S3Origin().scope


def test_over_tls_only_who_is_trusted_is_asked(
    bucket: Bucket, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", BODY)
    with encrypted(bucket.server.address, tmp_path) as (endpoint, certificate):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        stranger = DirectOrigin()
        with pytest.raises(OriginUnavailableError, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.get("models", "a")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        origin = DirectOrigin()
        assert body_of(origin.get("models", "a")) == BODY
        assert body_of(origin.get("models", "a", start=600_000)) == BODY[600_000:]
        with Cache(root, quota="64 MiB") as cache:
            assert cache.fetch("models", "a").read_bytes() == BODY
        assert not asks_boto3(origin)
        origin.close()


def test_the_authorities_that_are_trusted_are_botocores() -> None:
    assert certificates() == get_cert_path(True)
    with mock.patch.dict(sys.modules, {"certifi": None}):
        assert certificates() == DEFAULT_CA_BUNDLE


def test_an_endpoint_may_have_an_address_of_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(socket.AF_INET6)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", listener.endpoint)
    origin = DirectOrigin()
    assert body_of(origin.get("models", "a")) == b"there"
    assert f"host: {listener.endpoint[7:]}".encode() in listener.asked[0][1]
    origin.close()
    listener.stop()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_forked_child_has_connections_of_its_own(
    scheme: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers to the parent's questions would arrive in the child, and the other way round."""
    bucket.put("a", BODY)
    code = """
        import tmpcache
        from tmpcache.origin.direct.origin import DirectOrigin
        origin = DirectOrigin()
        def ask():
            reply = origin.get("models", "a")
            buffer, count = memoryview(bytearray(1 << 20)), 0
            while data := reply.body.read(buffer):
                count += len(data)
            return count
        counts = [ask()]
        if os.fork() == 0:
            counts += [ask() for _ in range(3)]
            say(counts)
            os._exit(0)
        counts += [ask() for _ in range(3)]
        os.wait()
        counts += [ask()]
        say([counts, "botocore" in sys.modules])
    """
    with ExitStack() as stack:
        if scheme == "https":
            secure = encrypted(bucket.server.address, tmp_path)
            endpoint, certificate = stack.enter_context(secure)
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
            monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        child = stack.enter_context(spawn(code, scheme=scheme))
        heard = [child.hear(30) for _ in range(2)]
    assert [len(BODY)] * 4 in heard
    assert [[len(BODY)] * 5, False] in heard


def test_in_a_patched_world_of_greenlets_it_asks_all_the_same(bucket: Bucket, root: Path) -> None:
    pytest.importorskip("gevent")
    bucket.put("a", BODY)
    code = """
        from gevent import monkey; monkey.patch_all()
        import gevent, tmpcache
        cache = tmpcache.Cache(root, quota="64 MiB")
        jobs = [gevent.spawn(cache.fetch, "models", "a") for _ in range(20)]
        gevent.joinall(jobs)
        say([sorted({job.value.outcome.name for job in jobs}), "botocore" in sys.modules])
    """
    with spawn(code, root=str(root)) as child:
        outcomes, has_botocore = child.hear(60)
    assert set(outcomes) <= {"FETCHED", "HIT", "REVALIDATED"}
    assert not has_botocore


def test_lambdas_trace_goes_along(
    listener: Listener, origin: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    body_of(origin.get("models", "a"))
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    body_of(origin.get("models", "a"))
    traced: list[Any] = [b"x-amzn-trace-id: Root=1-5759" in asked for _, asked in listener.asked]
    assert traced == [False, True]
