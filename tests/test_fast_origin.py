"""What is special about asking through obstore; what holds for each origin is tested elsewhere."""

from __future__ import annotations

import gc
import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import boto3
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support.content import content
from support.processes import spawn
from support.proxy import FaultProxy, Trouble
from support.wire import Wire, ok, refused

from tmpcache import Cache, Outcome
from tmpcache.common.deadline import Deadline
from tmpcache.errors import (
    AccessDeniedError,
    ConfigError,
    DeadlineExceededError,
    IntegrityError,
    ObjectChangedError,
    ObjectNotFoundError,
    OriginError,
    OriginUnavailableError,
)
from tmpcache.origin import Reply
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.obstore.origin import ObstoreOrigin
from tmpcache.origin.s3.origin import S3Origin
from tmpcache.testing import Bucket
from tmpcache.testing.faults import IGNORE_RANGE, SLOW_DOWN, WRONG_CHECKSUM

MIB = 1 << 20
BODY = content("body", 700_000)


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> Iterator[Cache]:
    with Cache(root, quota="64 MiB", origin="obstore") as cache:
        yield cache


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """The server that the environment names."""
    wire = Wire()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", wire.endpoint)
    yield wire
    wire.stop()


def asker(cache: Cache) -> type:
    """What a cache asks through."""
    return type(cache._origin)


# ---- choosing it ------------------------------------------------------------------------------


def test_the_direct_way_is_the_default_and_others_are_chosen_by_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asker(Cache(root)) is DirectOrigin
    for name in ("auto", "direct"):
        assert asker(Cache(root, origin=name)) is DirectOrigin
    assert asker(Cache(root, origin="obstore")) is ObstoreOrigin
    monkeypatch.setenv("TMPCACHE_ORIGIN", "obstore")
    assert asker(Cache(root)) is ObstoreOrigin
    assert asker(Cache(root, origin="boto3")) is S3Origin
    assert asker(Cache(root, client=boto3.client("s3"))) is S3Origin
    monkeypatch.setenv("TMPCACHE_ORIGIN", "boto3")
    assert asker(Cache(root)) is S3Origin


def test_a_name_that_is_none_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match="origin='s3fs' is no origin: there are 'auto', 'direct', 'boto3' and"
    ):
        Cache(root, origin="s3fs")
    monkeypatch.setenv("TMPCACHE_ORIGIN", "botto3")
    with pytest.raises(ConfigError, match="TMPCACHE_ORIGIN='botto3'"):
        Cache(root)


def test_what_obstore_cannot_send_is_refused_by_name(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"ExpectedBucketOwner": "1", "SSECustomerKey": "k", "RequestPayer": "requester"}
    with pytest.raises(ConfigError, match="request options ExpectedBucketOwner, SSECustomerKey:"):
        Cache(root, origin="obstore", request_options=options)
    for name in ("obstore", "direct"):
        with pytest.raises(ConfigError, match=f"{name}.*client was given"):
            Cache(root, origin=name, client=boto3.client("s3"))
    monkeypatch.setenv("TMPCACHE_ORIGIN", "obstore")
    with pytest.warns(UserWarning, match="ExpectedBucketOwner.*asked without it"):
        assert asker(Cache(root, request_options=options)) is DirectOrigin


def test_without_the_package_an_order_fails_and_a_wish_is_the_default(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'tmpcache\[fast\]'"):
        Cache(root, origin="obstore")
    monkeypatch.setenv("TMPCACHE_ORIGIN", "obstore")
    with pytest.warns(UserWarning, match=r"pip install 'tmpcache\[fast\]'.*asked without it"):
        assert asker(Cache(root)) is DirectOrigin


def test_a_hit_loads_neither_client(bucket: Bucket, root: Path) -> None:
    bucket.put("a", BODY)
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, origin="obstore", max_age=3600)
        outcome = cache.fetch("models", "a").outcome.name
        say([outcome, [name for name in ("obstore", "botocore") if name in sys.modules]])
    """
    heard = []
    for _ in range(2):
        with spawn(code, root=str(root)) as child:
            heard.append(child.hear())
    assert heard == [["FETCHED", ["obstore"]], ["HIT", []]]


# ---- the same objects, the same caller --------------------------------------------------------


def test_both_origins_share_copies_and_what_they_were_told(bucket: Bucket, root: Path) -> None:
    bucket.put("a", BODY)
    one, two = Cache(root, origin="obstore"), Cache(root, origin="boto3")
    assert one.fetch("models", "a").outcome is Outcome.FETCHED
    assert two.fetch("models", "a", max_age=60).outcome is Outcome.HIT
    assert two.fetch("models", "a").outcome is Outcome.REVALIDATED
    payer = {"RequestPayer": "requester"}
    assert ObstoreOrigin(payer).scope == S3Origin(None, payer).scope != S3Origin().scope


@pytest.mark.parametrize(
    ("environ", "bucket_name", "road"),
    [
        ({}, "models", ("https://models.s3.eu-west-1.amazonaws.com", "eu-west-1")),
        ({}, "dotted.name", ("https://s3.eu-west-1.amazonaws.com/dotted.name", "eu-west-1")),
        (
            {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
            "models",
            ("https://models.s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
        ),
        (
            {},
            "arn:aws:s3:us-west-2:123456789012:accesspoint/mine",
            ("https://mine-123456789012.s3-accesspoint.us-west-2.amazonaws.com", "us-west-2"),
        ),
        (
            {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"},
            "models",
            ("http://127.0.0.1:9/models", "eu-west-1"),
        ),
        ({"AWS_PROFILE": "elsewhere"}, "models", ("http://10.0.0.1:9000/models", "us-east-2")),
        ({}, "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap", None),  # SigV4a
    ],
)
def test_obstore_is_led_where_botocore_would_go(
    environ: dict[str, str],
    bucket_name: str,
    address: tuple[str, str] | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile elsewhere]\nregion = us-east-2\nendpoint_url = http://10.0.0.1:9000\n"
        "aws_access_key_id = of-the-profile\naws_secret_access_key = s\n"
    )
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    if "AWS_PROFILE" not in environ:
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    else:
        monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    origin = ObstoreOrigin()
    origin._store(bucket_name, (bucket_name, "k", None), 1.0)
    assert origin._addresses == {bucket_name: address}


def test_each_request_is_signed_with_what_is_valid_now(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As botocore refreshes credentials, and never with a token from elsewhere."""
    from botocore.credentials import RefreshableCredentials

    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "false")  # not plain: botocore's to know
    bucket.put("a", BODY)
    origin, numbers = ObstoreOrigin(), count(1)

    def refresh() -> dict[str, str]:
        return {
            "access_key": f"key-{next(numbers)}",
            "secret_key": "s",
            "token": "t",
            "expiry_time": "2000-01-01T00:00:00Z",
        }

    signer = origin._connected()._request_signer
    signer._credentials = RefreshableCredentials.create_from_metadata(
        {**refresh(), "expiry_time": "2100-01-01T00:00:00Z"}, refresh, "test"
    )
    bucket.server.forget()
    origin.get("models", "a")
    signer._credentials._seconds_left = None
    fresh = {**refresh(), "expiry_time": "2100-01-01T00:00:00Z"}
    signer._credentials = RefreshableCredentials.create_from_metadata(fresh, refresh, "test")
    origin.get("models", "a")
    signed = [get.headers["authorization"].split("=")[1][:5] for get in bucket.gets("a")]
    assert signed == ["key-1", "key-2"]
    assert all(get.headers["x-amz-security-token"] == "t" for get in bucket.gets("a"))
    assert len(origin._stores) == 1


def test_no_question_keeps_anything_of_its_caller(bucket: Bucket) -> None:
    """Such as a path that shall be let go of: at once, not when the garbage is collected."""
    bucket.put("a", BODY)
    origin = ObstoreOrigin()

    class Held:
        pass

    def ask() -> weakref.ref[Held]:
        held = Held()
        with suppress(OriginUnavailableError):
            origin.get("models", "a")
        return weakref.ref(held)

    gc.disable()
    try:
        assert ask()() is None  # the first one prepares a request that is not sent
        bucket.inject("a", SLOW_DOWN)
        assert ask()() is None
    finally:
        gc.enable()


def test_no_code_in_python_runs_within_obstore(bucket: Bucket) -> None:
    """Signal handlers would run in there, and what they raise passes for missing credentials."""
    bucket.put("a", BODY[:1000])
    ObstoreOrigin().get("models", "a")  # all is imported
    origin, called = ObstoreOrigin(), list[str]()

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            called.append(frame.f_code.co_qualname)

    sys.setprofile(note)
    try:
        origin.get("models", "a")
    finally:
        sys.setprofile(None)
    assert "make_store" in called
    assert not [name for name in called if name.startswith("make_store.")]


def test_who_needs_no_name_gives_none(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.handlers import disable_signing

    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "false")  # not plain: botocore's to know
    bucket.client.put_object(Bucket="models", Key="a", Body=BODY, ACL="public-read")
    origin = ObstoreOrigin({"RequestPayer": "requester"})
    assert origin.get("models", "a") is not None
    origin._addresses.clear()
    origin._stores.clear()
    origin._connected().meta.events.register("choose-signer.s3", disable_signing)
    assert origin.get("models", "a") is not None
    signed, unsigned = bucket.gets("a")
    assert signed.headers["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" in signed.headers["authorization"]
    assert "authorization" not in unsigned.headers


# ---- keys -------------------------------------------------------------------------------------


_ODD = "/.a%2Eé~+ ?#&\\\n\x7f🦓["


@pytest.fixture
def origin_there(wire: Wire) -> ObstoreOrigin:
    """One for all questions."""
    return ObstoreOrigin()


@settings(
    max_examples=60,
    deadline=None,
    database=None,
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
@example("a\n")
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
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", OriginError),
        (b"", OriginUnavailableError),
        (b"nonsense\r\n\r\n", OriginUnavailableError),
    ],
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
    monkeypatch.setattr("tmpcache.origin.s3.origin._LESS_PATIENT", (0.2,))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "100")
    wire.hold.clear()
    with pytest.raises(DeadlineExceededError, match="s3://models/a"):
        ObstoreOrigin().get("models", "a", deadline=Deadline(0.5))
    assert len(wire.paths) <= 3


def test_a_body_is_cut_off_at_the_deadline_and_gone_on_with(
    bucket: Bucket, proxy: FaultProxy, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The direct origin brings the rest: it can stop at any moment."""
    monkeypatch.setattr("tmpcache.origin.s3.origin._LESS_PATIENT", (2.0, 1.0))
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


# ---- fork -------------------------------------------------------------------------------------


def test_a_forked_child_fetches_directly(bucket: Bucket, root: Path) -> None:
    """The threads of obstore are in the parent: without care the child would wait for ever."""
    bucket.put("a", BODY)
    bucket.put("b", BODY[:1000])
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, origin="obstore")
        cache.fetch("models", "a")
        if os.fork() == 0:
            cache.fetch("models", "a")
            say([cache.fetch("models", "b").outcome.name, "child"])
            cache.close()
            say([cache.fetch("models", "b").outcome.name, "closed child"])
            sys.exit()
        os.wait()
        say([cache.fetch("models", "b").outcome.name, "parent"])
    """
    with spawn(code, root=str(root)) as child:
        heard = [child.hear(30) for _ in range(3)]
    assert heard == [
        ["FETCHED", "child"],
        ["REVALIDATED", "closed child"],
        ["REVALIDATED", "parent"],
    ]
    agents = [get.headers["user-agent"].partition("/")[0] for get in bucket.server.gets()]
    assert agents == ["object_store", *["tmpcache"] * 3, "object_store"]


def test_a_child_that_was_forked_before_is_as_fast_as_any(bucket: Bucket, root: Path) -> None:
    bucket.put("a", BODY)
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, origin="obstore")
        if os.fork() == 0:
            say(cache.fetch("models", "a").outcome.name)
            os._exit(0)
        os.wait()
    """
    with spawn(code, root=str(root)) as child:
        assert child.hear(30) == "FETCHED"
    assert bucket.gets("a")[0].headers["user-agent"].startswith("object_store")


def test_no_module_of_ours_is_taken_for_obstore() -> None:
    origin = os.path.dirname(sys.modules["tmpcache.origin.obstore.origin"].__file__ or "")
    import obstore

    assert not str(obstore.__file__).startswith(origin)
