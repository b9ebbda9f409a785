"""What only the obstore origin does; what holds for each origin is tested elsewhere."""

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

import boto3
import pytest
from support.content import content
from support.processes import spawn

from tmpcache import Cache, Outcome
from tmpcache.errors import ConfigError, OriginUnavailableError
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.origin.obstore.origin import ObstoreOrigin
from tmpcache.origin.obstore.stores import make_store
from tmpcache.origin.s3.origin import S3Origin
from tmpcache.testing import Bucket
from tmpcache.testing.faults import SLOW_DOWN

BODY = content("body", 700_000)


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> Iterator[Cache]:
    with Cache(root, quota="64 MiB", origin="obstore") as cache:
        yield cache


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
    ("environ", "bucket_name", "address"),
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
    """As botocore refreshes credentials."""
    from botocore.credentials import RefreshableCredentials

    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "false")  # not plain: botocore's to know
    bucket.put("a", BODY)
    origin, numbers = ObstoreOrigin(), count(1)

    def refresh() -> dict[str, str | None]:
        return {
            "access_key": f"key-{next(numbers)}",
            "secret_key": "s",
            "token": None,
            "expiry_time": "2000-01-01T00:00:00Z",
        }

    signer = origin._boto3_client()._request_signer
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
    assert len(origin._stores) == 1


@pytest.mark.parametrize("token", ["", "mine"])
@pytest.mark.parametrize("variable", ["", "AWS_SESSION_TOKEN", "AWS_TOKEN"])
def test_a_token_of_the_environment_is_not_added_to_other_keys(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, token: str, variable: str
) -> None:
    bucket.put("a", BODY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "environment")
    if variable:
        monkeypatch.setenv(variable, "not mine")
    store = make_store(
        "models",
        (f"{bucket.server.endpoint}/models", "us-east-1"),
        ("mine", "secret", token),
        5.0,
        {},
        payer=False,
    )
    bucket.server.forget()
    store.get("a")
    (get,) = bucket.gets("a")
    assert "Credential=mine/" in get.headers["authorization"]
    assert get.headers.get("x-amz-security-token", "") == token


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
    origin._boto3_client().meta.events.register("choose-signer.s3", disable_signing)
    assert origin.get("models", "a") is not None
    signed, unsigned = bucket.gets("a")
    assert signed.headers["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" in signed.headers["authorization"]
    assert "authorization" not in unsigned.headers


# ---- fork -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"])
def test_a_forked_child_fetches_directly(bucket: Bucket, root: Path, fork: str) -> None:
    """The threads of obstore are in the parent: without care the child would wait for ever.

    A server in C, such as uWSGI, forks without Python's hooks.
    """
    bucket.put("a", BODY)
    bucket.put("b", BODY[:1000])
    code = """
        import ctypes, tmpcache
        cache = tmpcache.Cache(root, origin="obstore")
        cache.fetch("models", "a")
        if eval(fork) == 0:
            cache.fetch("models", "a")
            say([cache.fetch("models", "b").outcome.name, "child"])
            cache.close()
            say([cache.fetch("models", "b").outcome.name, "closed child"])
            os._exit(0)
        os.wait()
        say([cache.fetch("models", "b").outcome.name, "parent"])
    """
    with spawn(code, root=str(root), fork=fork) as child:
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
