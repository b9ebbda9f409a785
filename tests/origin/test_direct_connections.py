"""Connections of the direct origin: kept, shared, dead, encrypted, and those of a forked child."""

from __future__ import annotations

import gc
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import pytest
from botocore.httpsession import DEFAULT_CA_BUNDLE, get_cert_path
from support.content import content
from support.listener import Listener, asks_boto3, body_of, ok_kept
from support.processes import spawn
from support.tls import encrypted
from support.wire import Wire

from tmpcache import Cache
from tmpcache.errors import (
    OriginUnavailableError,
)
from tmpcache.origin import Reply
from tmpcache.origin.direct.connections import certificates
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.testing import Bucket

BODY = content("body", 700_000)


def test_questions_in_turn_share_a_connection_and_threads_have_their_own(
    listener: Listener, direct: DirectOrigin
) -> None:
    for _ in range(20):
        assert body_of(direct.get("models", "a")) == b"there"
    assert listener.connections == 1
    with ThreadPoolExecutor(64) as threads:
        found = [*threads.map(lambda n: body_of(direct.get("models", f"{n}")), range(500))]
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


def test_an_unread_body_ends_its_connection(listener: Listener, direct: DirectOrigin) -> None:
    """What is left of it would be taken for the next answer."""
    listener.answer = lambda connection, number: ok_kept(b"x" * 100_000)
    first = direct.get("models", "a")
    assert isinstance(first, Reply)
    first.body.close()
    assert len(body_of(direct.get("models", "a"))) == 100_000
    assert listener.connections == 2


def test_a_dead_kept_connection_costs_one_silent_try(
    listener: Listener, direct: DirectOrigin
) -> None:
    """As after a freeze, or where a server gives a connection so many requests."""
    listener.answer = lambda connection, number: ok_kept(b"there") if number == 1 else None
    for _ in range(4):
        assert body_of(direct.get("models", "a")) == b"there"
    assert listener.connections == 4
    assert len(listener.asked) == 7
    assert not asks_boto3(direct)


def test_a_connection_that_dies_in_an_answer_is_a_failure(
    listener: Listener, direct: DirectOrigin
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
    body_of(direct.get("models", "a"))
    with pytest.raises(OriginUnavailableError, match="closed the connection without an answer"):
        direct.get("models", "a")
    assert listener.connections == 1


def test_what_arrives_while_nothing_is_asked_ends_a_connection(
    listener: Listener, direct: DirectOrigin
) -> None:
    """Such as a server's 408; it would be taken for the answer to the next question."""
    body_of(direct.get("models", "a"))
    listener._links[0].sendall(ok_kept(b"of somebody else's"))
    time.sleep(0.1)
    assert body_of(direct.get("models", "a")) == b"there"
    listener.answer = lambda connection, number: ok_kept(b"there") + ok_kept(b"too much")
    for _ in range(2):
        assert body_of(direct.get("models", "a")) == b"there"


def test_a_connection_from_before_a_freeze_is_not_tried(
    listener: Listener, direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    body_of(direct.get("models", "a"))
    later = time.time() + 3600
    monkeypatch.setattr("tmpcache.origin.direct.connection.time.time", lambda: later)
    body_of(direct.get("models", "a"))
    assert listener.connections == 2


def test_a_server_that_closes_every_connection_is_a_server(
    wire: Wire, direct: DirectOrigin
) -> None:
    wire.answer = lambda: ok_kept(b"there")
    assert [body_of(direct.get("models", "a")) for _ in range(5)] == [b"there"] * 5
    assert len(wire.paths) == 5


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


@pytest.mark.parametrize("leaves", ["asks", "closes", "drops"])
def test_what_got_the_number_of_a_closed_connection_stays_open(
    leaves: str, listener: Listener, direct: DirectOrigin
) -> None:
    """A daemon that begins closes all descriptors."""
    code = """
        from support.listener import body_of
        from tmpcache.origin.direct.origin import DirectOrigin
        origin = DirectOrigin()
        assert body_of(origin.get("models", "a")) == b"there"
        os.closerange(3, 256)
        strangers = [os.open("/dev/null", os.O_RDONLY) for _ in range(30)]
        if leaves == "asks":
            assert body_of(origin.get("models", "a")) == b"there"
        elif leaves == "closes":
            origin.close()
        else:
            del origin
        say([os.readlink(f"/proc/self/fd/{fd}") for fd in strangers])
    """
    with spawn(code, leaves=leaves) as child:
        assert child.hear() == ["/dev/null"] * 30


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
