"""Accidents that users of other caches and downloaders have told of; docs/accidents.md lists them.

Each test is named after what went wrong there, and shows what happens here.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from support.content import content
from support.handmade import Answer, Asked, HandmadeS3, error, etag_of, handmade, object_answer
from support.origins import ORIGINS
from support.proxy import FaultProxy, Trouble
from support.shelf import Shelf

from tmpcache import Cache, Outcome
from tmpcache.errors import (
    AccessDeniedError,
    ObjectNotFoundError,
    OriginError,
    OriginUnavailableError,
)
from tmpcache.testing import Bucket, Clock, Fault
from tmpcache.testing.faults import INTERNAL_ERROR

MIB = 1 << 20


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., HandmadeS3]]:
    """Makes the environment's S3 one whose answers a function writes."""
    with ExitStack() as stack:

        def start(answer: Callable[[Asked], Answer]) -> HandmadeS3:
            server = stack.enter_context(handmade(answer))
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
            return server

        yield start


def listing(*keys: str) -> Answer:
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>5</Size><ETag>{etag_of(b'hello')}</ETag></Contents>"
        for key in keys
    )
    text = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    return Answer(200, text.encode(), {"Content-Type": "application/xml"})


# ---- time --------------------------------------------------------------------------------------


def test_a_clock_that_was_ahead_keeps_nothing_fresh_for_ever(root: Path) -> None:
    shelf, clock = Shelf({"token": b"old"}), Clock(2_000_000_000)
    with Cache(root, quota="8 MiB", origin=shelf, clock=clock, max_age=60) as ahead:
        ahead.fetch("b", "token").release()
        shelf.objects["token"] = b"new"
        clock.advance(-86_400)
        assert ahead.fetch("b", "token").read_bytes() == b"new"
    shelf.objects["token"] = b"newer"
    clock.advance(-86_400)
    with Cache(root, quota="8 MiB", origin=shelf, clock=clock, max_age=60) as later:
        assert later.fetch("b", "token").read_bytes() == b"newer"


# ---- bodies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refusal", "raised"),
    [
        (error(403, "AccessDenied"), AccessDeniedError),
        (error(404, "NoSuchKey"), ObjectNotFoundError),
        (error(503, "SlowDown"), OriginUnavailableError),
        (Answer(502, b"<html><body>Bad Gateway</body></html>"), OriginUnavailableError),
        (Answer(503, b"\xff\x00 not XML at all"), OriginUnavailableError),
        (Answer(500, b"<?xml version='1.0'?><Error><Code>Inter"), OriginUnavailableError),
    ],
    ids=["403", "404", "503", "html", "bytes", "cut"],
)
def test_a_failed_download_leaves_no_empty_file(
    root: Path,
    store: Callable[..., HandmadeS3],
    refusal: Answer,
    raised: type[OriginError],
) -> None:
    answers = iter([refusal])
    store(lambda asked: next(answers, None) or object_answer(asked, b"hello"))
    with Cache(root, quota="8 MiB", max_age=60) as cache:
        with pytest.raises(raised):
            cache.fetch("b", "a")
        assert cache.usage().blobs == 0
        path = cache.fetch("b", "a")
        assert (path.outcome, path.read_bytes()) == (Outcome.FETCHED, b"hello")


def test_the_text_of_an_error_never_ends_up_in_the_file(
    root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    """A body breaks, and the request for its rest is answered with an error."""
    body = content("a", MIB)
    bucket.put("a", body)
    proxy.set(Trouble(body="reset", after=300_000, times=1))
    bucket.inject("a", INTERNAL_ERROR, skip=1, times=1)
    with Cache(root, quota="8 MiB") as cache:
        assert cache.fetch("models", "a").read_bytes() == body


def test_an_empty_object_needs_no_range(root: Path, store: Callable[..., HandmadeS3]) -> None:
    def answer(asked: Asked) -> Answer:
        if "range" in asked.headers:
            return error(416, "InvalidRange")
        return object_answer(asked, b"")

    store(answer)
    with Cache(root, quota="8 MiB") as cache:
        for outcome in (Outcome.FETCHED, Outcome.REVALIDATED):
            path = cache.fetch("b", "empty")
            assert (path.outcome, path.stat().st_size) == (outcome, 0)


def test_the_etag_of_an_upload_in_parts_is_no_md5(
    root: Path, store: Callable[..., HandmadeS3]
) -> None:
    etag = '"d41d8cd98f00b204e9800998ecf8427e-38"'

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("if-none-match") == etag:
            return Answer(304, b"", {"ETag": etag})
        return Answer(200, b"hello", {"ETag": etag})

    server = store(answer)
    outcomes = []
    for _ in range(3):
        with Cache(root, quota="8 MiB") as cache:
            outcomes.append(cache.fetch("b", "a").outcome.name)
            assert cache.verify().damaged == ()
    assert outcomes == ["FETCHED", "REVALIDATED", "REVALIDATED"]
    assert len(server.asked()) == 3


def test_a_proxy_that_compresses_is_not_invited_to(
    root: Path, store: Callable[..., HandmadeS3]
) -> None:
    body = b"hello " * 1000

    def answer(asked: Asked) -> Answer:
        if "gzip" in asked.headers.get("accept-encoding", ""):
            return Answer(200, gzip.compress(body), {"Content-Encoding": "gzip", "ETag": '"1"'})
        return object_answer(asked, body)

    store(answer)
    with Cache(root, quota="8 MiB") as cache:
        assert cache.fetch("b", "a").read_bytes() == body


@pytest.mark.parametrize("origin", ORIGINS, indirect=True)
@pytest.mark.parametrize("date", [None, "", "Fri, 26 Mar 2021 16:26:13>>"])
def test_a_date_that_is_missing_or_makes_no_sense_is_no_reason_to_fail(
    root: Path, store: Callable[..., HandmadeS3], date: str | None, origin: str
) -> None:
    dates = {} if date is None else {"Last-Modified": date, "Expires": date}

    def answer(asked: Asked) -> Answer:
        if "list-type" in asked.query:
            said = listing("a")
            element = b"<Key>a</Key>" + f"<LastModified>{date}</LastModified>".encode()
            return Answer(200, said.body.replace(b"<Key>a</Key>", element), said.headers)
        return Answer(200, b"hello", {"ETag": etag_of(b"hello"), **dates})

    store(answer)
    with Cache(root, quota="8 MiB") as cache:
        assert cache.fetch("b", "a").read_bytes() == b"hello"
        assert cache.fetch_prefix("b", "a")["a"].outcome is Outcome.REVALIDATED


def test_dates_of_what_the_caller_asks_stay(root: Path, bucket: Bucket) -> None:
    bucket.put("a", b"hello")
    client = boto3.client("s3")
    with Cache(root, quota="8 MiB", client=client) as cache:
        cache.fetch("models", "a")
        cache.fetch_prefix("models", "a")
        assert client.get_object(Bucket="models", Key="a")["LastModified"]
        assert client.list_objects_v2(Bucket="models")["Contents"][0]["LastModified"]


def test_a_download_that_falls_silent_again_and_again_goes_on(
    root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    body = content("a", MIB)
    bucket.put("a", body)
    proxy.set(Trouble(body="stall", after=300_000))
    client = boto3.client("s3", config=Config(read_timeout=0.2))
    with Cache(root, quota="8 MiB", client=client) as cache:
        assert cache.fetch("models", "a").read_bytes() == body
    asked = [one.range or "" for one in bucket.gets("a")]
    assert asked == ["", *(f"bytes={at}-1048575" for at in (300_000, 600_000, 900_000))]


def test_an_archived_object_is_named_as_such(root: Path, store: Callable[..., HandmadeS3]) -> None:
    store(lambda asked: error(403, "InvalidObjectState"))
    archived = pytest.raises(OriginError, match=r"s3://b/cold.tar.*archived: restore it")
    with Cache(root, quota="8 MiB") as cache, archived:
        cache.fetch("b", "cold.tar")


def test_credentials_that_expire_during_a_download_cost_no_more_than_the_rest(
    root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    body = content("a", 12 * MIB)
    bucket.put("a", body)
    proxy.set(Trouble(body="reset", after=10 * MIB, times=1))
    expired = Fault(status=HTTPStatus.BAD_REQUEST, code="ExpiredToken")
    bucket.inject("a", expired, skip=1, times=1)
    with Cache(root, quota="64 MiB") as cache:
        with pytest.raises(AccessDeniedError, match="expired"):
            cache.fetch("models", "a")
        assert cache.usage().blobs == 0
        assert cache.fetch("models", "a").read_bytes() == body


def test_a_404_is_not_remembered(root: Path) -> None:
    shelf = Shelf()
    with Cache(root, quota="8 MiB", origin=shelf, max_age=3600) as cache:
        with pytest.raises(ObjectNotFoundError):
            cache.fetch("b", "a")
        shelf.objects["a"] = b"there now"
        assert cache.fetch("b", "a").read_bytes() == b"there now"


# ---- the page ----------------------------------------------------------------------------------


def test_the_page_names_tests_that_exist(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs/accidents.md").read_text()
    named = set(re.findall(r"`(tests/\w+/test_\w+\.py)::(test_\w+)`", page))
    assert len(named) > 50
    for file, name in named:
        assert f"def {name}(" in (pytestconfig.rootpath / file).read_text(), (file, name)
    here = [path.read_text() for path in Path(__file__).parent.glob("test_accidents*.py")]
    tests = {name for text in here for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
    others = {"test_the_page_names_tests_that_exist", "test_dates_of_what_the_caller_asks_stay"}
    assert tests - others == {name for file, name in named if "/test_accidents" in file}
