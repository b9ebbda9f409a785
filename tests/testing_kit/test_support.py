"""The test tools do what the tests rely on."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable
from pathlib import Path

import botocore.config
import botocore.exceptions
import pytest
from support.child import NOBODY
from support.disk import Sampler, allocated, occupied
from support.iam import Iam
from support.processes import crowd, release, spawn
from support.proxy import FaultProxy, Trouble
from support.wire import Wire, refused, waits_for_the_body

from tmpcache.testing import Bucket, S3Server
from tmpcache.testing.faults import (
    ACCESS_DENIED,
    CHECKSUM_ON_304,
    IGNORE_IF_MATCH,
    IGNORE_IF_NONE_MATCH,
    IGNORE_RANGE,
    NO_ETAG,
    SLOW_DOWN,
    WRONG_CONTENT_RANGE,
    Fault,
)

BODY = bytes(range(256)) * 400
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request"}


def ask(address: tuple[str, int], path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """One plain GET: status, headers, body. Raises what a broken connection raises."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", path, headers=SIGNED | named)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, response.read()
    finally:
        connection.close()


def test_the_server_remembers_what_was_asked(bucket: Bucket) -> None:
    etag = bucket.put("a b/é", BODY)
    ask(bucket.server.address, "/models/a%20b/%C3%A9", Range="bytes=1-2", If_None_Match='"x"')
    [get] = bucket.gets("a b/é")
    assert (get.status, get.range, get.etag_asked, get.sent) == (206, "bytes=1-2", '"x"', 2)
    ask(bucket.server.address, "/models/a%20b/%C3%A9", If_None_Match=etag, If_Match='"y"')
    assert [(r.status, r.etag_required, r.sent) for r in bucket.gets("a b/é")[1:]]
    bucket.server.forget()
    assert not bucket.server.requests


@pytest.mark.parametrize(
    ("fault", "headers", "status", "header"),
    [
        (SLOW_DOWN, {}, 503, ("content-type", "application/xml")),
        (ACCESS_DENIED, {}, 403, ("content-type", "application/xml")),
        (IGNORE_IF_NONE_MATCH, {"If_None_Match": "ETAG"}, 200, ("content-length", "102400")),
        (IGNORE_IF_MATCH, {"If_Match": '"no"'}, 200, ("content-length", "102400")),
        (IGNORE_RANGE, {"Range": "bytes=5-9"}, 200, ("content-length", "102400")),
        (WRONG_CONTENT_RANGE, {"Range": "bytes=5-9"}, 206, ("content-range", "bytes 6-9/102400")),
        (CHECKSUM_ON_304, {"If_None_Match": "ETAG"}, 304, ("x-amz-checksum-crc32", "AAAAAA==")),
        (NO_ETAG, {}, 200, ("etag", None)),
    ],
)
def test_the_server_misbehaves_as_often_as_told(
    bucket: Bucket, fault: Fault, headers: dict[str, str], status: int, header: tuple[str, str]
) -> None:
    etag = bucket.put("a", BODY)
    headers = {name: etag if value == "ETAG" else value for name, value in headers.items()}
    well = ask(bucket.server.address, "/models/a", **headers)
    bucket.inject("a", fault, times=1)
    ill = ask(bucket.server.address, "/models/a", **headers)
    assert (ill[0], ill[1].get(header[0])) == (status, header[1])
    assert ask(bucket.server.address, "/models/a", **headers)[0] == well[0]


def test_a_client_is_not_refused_while_it_sends(bucket: Bucket) -> None:
    """It would see its connection break, and not the refusal."""
    bucket.server.inject("/models/a", SLOW_DOWN, method="PUT")
    assert waits_for_the_body(bucket.server.endpoint, "/models/a")
    wire = Wire()
    wire.answer = lambda: refused(503, "SlowDown")
    assert waits_for_the_body(wire.endpoint, "/models/a")
    wire.stop()


def test_a_fault_may_change_the_object_first(bucket: Bucket) -> None:
    bucket.put("a", b"old")
    bucket.inject("a", Fault(before=lambda: bucket.put("a", b"new")), times=1)
    assert ask(bucket.server.address, "/models/a")[2] == b"new"


def test_canned_objects_are_served_for_keys_that_moto_refuses(s3: S3Server) -> None:
    s3.serve("/models/a\nb", BODY, "tag")
    status, headers, body = ask(s3.address, "/models/a%0Ab")
    assert (status, headers["etag"], body) == (200, '"tag"', BODY)
    assert ask(s3.address, "/models/a%0Ab", If_None_Match='"tag"')[0] == 304
    assert ask(s3.address, "/models/a%0Ab", If_Match='"other"')[0] == 412
    assert ask(s3.address, "/models/a%0Ab", Range="bytes=1-3")[2] == BODY[1:4]


def test_users_may_do_what_their_policy_says(bucket: Bucket, iam: Iam) -> None:
    bucket.put("a", BODY)
    bucket.put("b", BODY)
    user = iam.user("u", actions=("s3:GetObject",), resources=("arn:aws:s3:::models/a",))
    iam.enforce()
    client = bucket.server.client(aws_access_key_id=user.key_id, aws_secret_access_key=user.secret)
    assert client.get_object(Bucket="models", Key="a")["ContentLength"] == len(BODY)
    with pytest.raises(botocore.exceptions.ClientError, match="AccessDenied"):
        client.get_object(Bucket="models", Key="b")
    forger = bucket.server.client(aws_access_key_id=user.key_id, aws_secret_access_key="guessed")
    with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"):
        forger.get_object(Bucket="models", Key="a")


def test_the_proxy_is_transparent_until_told_otherwise(bucket: Bucket, proxy: FaultProxy) -> None:
    bucket.put("a", BODY)
    address = ("127.0.0.1", proxy.port)
    assert ask(address, "/models/a")[2] == BODY
    proxy.set(Trouble(latency=0.001, rate=1e9))
    assert ask(address, "/models/a")[2] == BODY


@pytest.mark.parametrize(
    ("how", "error"), [("close", http.client.IncompleteRead), ("reset", ConnectionResetError)]
)
def test_the_proxy_breaks_bodies_and_heals(
    bucket: Bucket, proxy: FaultProxy, how: str, error: type[Exception]
) -> None:
    bucket.put("a", BODY)
    address = ("127.0.0.1", proxy.port)
    proxy.set(Trouble(body=how, after=1000, times=2))  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(error):
            ask(address, "/models/a")
        proxy.wait_struck()
    assert ask(address, "/models/a", Range="bytes=0-999")[2] == BODY[:1000]
    assert ask(address, "/models/a")[2] == BODY


def test_the_proxy_stalls_with_the_bytes_before_delivered(
    bucket: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="stall", after=1000, times=1))
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    connection.request("GET", "/models/a", headers=SIGNED)
    link = connection.sock
    response = connection.getresponse()
    assert response.read(1000) == BODY[:1000]
    proxy.wait_struck()
    link.settimeout(0.05)
    with pytest.raises(TimeoutError):
        response.read(1)
    connection.close()


def test_the_proxy_refuses_and_accepts_again(bucket: Bucket, proxy: FaultProxy) -> None:
    bucket.put("a", BODY)
    address = ("127.0.0.1", proxy.port)
    connected = socket.create_connection(address)
    connected.sendall(b"GET /models/a HTTP/1.1\r\n")  # no whole head: nothing can be answered yet
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        ask(address, "/models/a")
    with connected, pytest.raises(ConnectionResetError):
        connected.recv(1)
    proxy.heal()
    assert ask(address, "/models/a")[2] == BODY


def test_boto3_sees_a_broken_body_as_such(bucket: Bucket, proxy: FaultProxy) -> None:
    bucket.put("a", BODY)
    proxy.set(Trouble(body="reset", after=1000))
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    body = bucket.server.client(endpoint_url=proxy.endpoint, config=config).get_object(
        Bucket="models", Key="a"
    )["Body"]
    with pytest.raises(botocore.exceptions.ResponseStreamingError):
        body.read()


def test_children_start_together_and_report(tmp_path: Path) -> None:
    with crowd(2, "say('ready'); hear(); say([index, word])", word="x") as children:
        release(children)
        assert [child.hear() for child in children] == [[0, "x"], [1, "x"]]
        assert [child.wait() for child in children] == [0, 0]


def test_a_child_that_dies_is_not_waited_for() -> None:
    with spawn("raise SystemExit(3)") as child, pytest.raises(AssertionError, match="ended with 3"):
        child.hear()


def test_a_child_can_be_stopped(tmp_path: Path) -> None:
    code = "hear(); open(path, 'w').close(); say()"
    path = tmp_path / "mark"
    with spawn(code, path=str(path)) as child:
        child.stop()
        child.say()
        assert not path.exists()
        child.resume()
        child.hear()
        assert path.exists()


@pytest.mark.root
def test_a_child_can_become_another_user(common_ground: Path) -> None:
    code = "become(uid); open(path, 'w').close(); say(os.getuid())"
    path = common_ground / "mark"
    with spawn(code, uid=NOBODY, path=str(path)) as child:
        assert child.hear() == NOBODY == path.stat().st_uid


def test_allocated_counts_blocks_once_and_leaves_out_scratch(tmp_path: Path) -> None:
    before = allocated(tmp_path)
    (tmp_path / "file").write_bytes(bytes(10_000))
    os.link(tmp_path / "file", tmp_path / "link")
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "big").write_bytes(bytes(100_000))
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(1 << 30)
    assert allocated(tmp_path) - before == (tmp_path / "file").stat().st_blocks * 512


def test_a_sampler_sees_the_peak_between_two_moments(tmp_path: Path) -> None:
    code = """
        for _ in range(20):
            hear()
            with open(path, "wb") as file:
                file.write(bytes(1 << 20))
            say()
            hear()
            os.unlink(path)
            say()
    """
    with spawn(code, path=str(tmp_path / "file")) as child:
        sampler = Sampler(lambda: allocated(tmp_path), [child])
        with sampler:
            for _ in range(20):
                child.say()
                child.hear()
                seen = sampler.samples
                while sampler.samples < seen + 2:
                    pass
                child.say()
                child.hear()
    assert sampler.peak >= 1 << 20 > allocated(tmp_path)


def test_a_small_disk_is_full_where_it_says(small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("size=1m")
    with pytest.raises(OSError, match="No space left"):
        (disk / "file").write_bytes(bytes(2 << 20))
    assert occupied(disk) == 1 << 20
