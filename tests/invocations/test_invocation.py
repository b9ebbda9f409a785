"""An invocation: its deadline, one validation per object, everything released at the end."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
from support.processes import spawn
from support.proxy import FaultProxy, Trouble

import tmpcache
from tmpcache import Outcome
from tmpcache.errors import DeadlineExceededError
from tmpcache.invocations.decorator import is_ping_or_scheduled
from tmpcache.testing import Bucket

MIB = 1024 * 1024
#: Every connection brings this much, then nothing more.
STALLS = Trouble(body="stall", after=5 * MIB, rate=40e6)


class Context:
    """What Lambda hands to a handler, as far as it is looked at."""

    aws_request_id = "request-1"
    function_name = "scan"

    def __init__(self, seconds: float = 300) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("model", b"model")
    return tmpcache.Cache(root, quota="200 MiB")


def test_an_object_is_validated_at_most_once(cache: tmpcache.Cache, bucket: Bucket) -> None:
    @cache.invocation
    def handler(event: Any, context: Any) -> list[str]:
        found: list[str] = []
        for _ in range(3):
            found.append(cache.fetch("models", "model").outcome.value)
        thread = threading.Thread(
            target=lambda: found.append(cache.fetch("models", "model").outcome.value)
        )
        thread.start()
        thread.join()
        return found

    assert handler({}, Context()) == ["fetched", "hit", "hit", "hit"]
    assert handler({}, Context()) == ["revalidated", "hit", "hit", "hit"]
    assert len(bucket.gets("model")) == 2
    assert cache.fetch("models", "model").outcome is Outcome.REVALIDATED


def test_everything_is_released_at_the_end(cache: tmpcache.Cache, root: Path) -> None:
    kept: list[Any] = []

    @cache.invocation()
    def handler(event: str, context: object) -> None:
        kept.append(cache.fetch("models", "model"))
        kept.append(cache.fetch("models", "model"))
        work = cache.scratch()
        kept.append(work)
        kept.append(work.fetch("models", "model"))
        (work / "file").write_text("x")
        assert cache.usage().leased > 0
        if event == "raise":
            raise ValueError(event)
        if event == "exit":
            raise SystemExit(3)

    for event, error in (("return", None), ("raise", ValueError), ("exit", SystemExit)):
        if error is None:
            handler(event, None)
        else:
            with pytest.raises(error):
                handler(event, None)
        assert cache.usage().leased == 0
        assert list(root.glob("scratch/*")) == []
    kept.clear()


def test_as_a_context_manager(cache: tmpcache.Cache, bucket: Bucket) -> None:
    with cache.invocation(Context()) as call:
        assert call.request_id == "request-1"
        assert call.deadline is not None
        cache.fetch("models", "model")
        assert cache.fetch("models", "model").outcome is Outcome.HIT
        with cache.invocation():
            assert cache.fetch("models", "model").outcome is Outcome.REVALIDATED


def test_async_handlers_that_overlap_each_have_their_own(
    cache: tmpcache.Cache, bucket: Bucket
) -> None:
    @cache.invocation
    async def handler(event: Any, context: Any) -> list[str]:
        found = [cache.fetch("models", "model").outcome.value]
        await asyncio.sleep(0)
        found.append(cache.fetch("models", "model").outcome.value)
        return found

    async def both() -> list[Any]:
        return list(await asyncio.gather(handler({}, Context()), handler({}, Context())))

    first, second = asyncio.run(both())
    assert first == ["fetched", "hit"]
    assert second in (["revalidated", "hit"], ["hit", "hit"])


def test_a_ping_is_answered_without_the_handler(cache: tmpcache.Cache) -> None:
    scheduled = {"source": "aws.events", "detail-type": "Scheduled Event"}

    def handler(event: Any, context: Any) -> Any:
        return "ran"

    usual = cache.invocation(handler)
    assert usual({"tmpcache": "ping"}, None) == {"tmpcache": "pong"}
    assert usual(scheduled, None) == "ran", "a function may be there to run on a schedule"
    assert usual({"tmpcache": "other"}, None) == "ran"
    assert usual(None, None) == "ran"
    warmed = cache.invocation(ping=is_ping_or_scheduled)(handler)
    assert warmed(scheduled, None) == {"tmpcache": "pong"}
    never = cache.invocation(ping=lambda event: False)(handler)
    assert never({"tmpcache": "ping"}, None) == "ran"


def test_one_line_says_what_was_done(
    cache: tmpcache.Cache, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    @cache.invocation(metrics="tmpcache")
    def handler(event: Any, context: Any) -> None:
        cache.fetch("models", "model")
        cache.fetch("models", "model")

    with caplog.at_level(logging.INFO, "tmpcache.invocation"):
        handler({}, Context())
    (record,) = caplog.records
    account = json.loads(record.message)
    assert (account["hits"], account["asked"], account["fetched"]) == (1, 1, 1)
    assert (account["bytes"], account["evictions"], account["error"]) == (5, 0, None)
    assert (account["quota"], account["request_id"]) == (200 * MIB, "request-1")
    assert 0 < account["used"] < account["quota"]
    metric = json.loads(capsys.readouterr().out)
    (directive,) = metric["_aws"]["CloudWatchMetrics"]
    assert (directive["Namespace"], directive["Dimensions"]) == ("tmpcache", [["function"]])
    assert all(isinstance(metric[entry["Name"]], (int, float)) for entry in directive["Metrics"])
    assert (metric["function"], metric["hits"]) == ("scan", 1)


def test_a_fetch_that_cannot_finish_stops_in_time_and_is_gone_on_with(
    cache: tmpcache.Cache, root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    body = bytes(range(256)) * (48 * MIB // 256)
    bucket.put("big", body)
    late = tmpcache.Cache(root, quota="200 MiB")
    late.fetch("models", "model").release()  # on a busy machine a client takes half of the time
    proxy.set(STALLS)
    bucket.server.forget()
    with (
        pytest.raises(DeadlineExceededError, match=r"s3://models/big"),
        late.invocation(Context(2)),
    ):
        late.fetch("models", "big")
    (left,) = (root / "partial").iterdir()
    assert late.usage().reserved >= 16 * MIB
    assert left.stat().st_size <= len(body)
    assert late.stats().bytes_fetched >= 16 * MIB
    bucket.server.forget()
    proxy.set(Trouble())
    path = tmpcache.Cache(root, quota="200 MiB").fetch("models", "big")
    assert path.read_bytes() == body
    assert {get.etag_required for get in bucket.gets("big")} == {path.etag}
    assert sum(get.sent for get in bucket.gets("big")) <= len(body) - 16 * MIB
    assert list((root / "partial").iterdir()) == []
    assert late.usage().reserved == 0


def test_a_silent_server_does_not_outlast_the_deadline(
    root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("model", b"model")
    proxy.set(Trouble(body="stall", after=0))
    cache = tmpcache.Cache(root)
    with pytest.raises(DeadlineExceededError), cache.invocation(Context(1.5)) as call:
        cache.fetch("models", "model")
    assert call.deadline is not None
    assert call.deadline.remaining() > -5
    assert list((root / "partial").iterdir()) == []


def test_when_time_is_up_nothing_is_asked_but_hits_are_served(
    cache: tmpcache.Cache, bucket: Bucket
) -> None:
    cache.fetch("models", "model")
    bucket.server.forget()
    with cache.invocation(Context(0.1)):
        assert cache.fetch("models", "model", max_age=60).outcome is Outcome.HIT
        with pytest.raises(DeadlineExceededError):
            cache.fetch("models", "model")
    assert bucket.server.requests == []


def test_a_partial_is_the_first_to_go_when_room_is_needed(
    cache: tmpcache.Cache, root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("big", bytes(24 * MIB))
    tight = tmpcache.Cache(root, quota="26 MiB", max_age=60)
    tight.fetch("models", "model")
    proxy.set(STALLS)
    with pytest.raises(DeadlineExceededError), tight.invocation(Context(5)):
        tight.fetch("models", "big")
    assert tight.usage().reserved > 8 * MIB
    proxy.set(Trouble())
    bucket.put("other", bytes(20 * MIB))
    assert tight.fetch("models", "other").size == 20 * MIB
    assert tight.usage().reserved == 0
    assert tight.fetch("models", "model").outcome is Outcome.HIT


def test_a_changed_object_is_not_gone_on_with(
    root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("big", b"a" * 24 * MIB)
    cache = tmpcache.Cache(root, quota="100 MiB")
    proxy.set(STALLS)
    with pytest.raises(DeadlineExceededError), cache.invocation(Context(2)):
        cache.fetch("models", "big")
    proxy.set(Trouble())
    bucket.put("big", b"b" * 24 * MIB)
    assert cache.fetch("models", "big").read_bytes() == b"b" * 24 * MIB


# ---- stand-ins ---------------------------------------------------------------------------------


@pytest.mark.parametrize("context", [MagicMock(), Mock(), Context(-5.0), object()])
def test_a_context_that_knows_no_time_sets_no_deadline(
    cache: tmpcache.Cache, bucket: Bucket, context: object
) -> None:
    """As mocks in unit tests, and emulators that count past the end."""
    bucket.put("a", b"body")

    @cache.invocation
    def handler(event: object, context: object) -> int:
        assert cache.fetch("models", "a").read_bytes() == b"body"
        return 1

    assert handler({}, context) == 1
    with cache.invocation(context) as run:
        assert run.deadline is None


def test_a_deadline_needs_no_socket(root: Path) -> None:
    """moto's ``mock_aws`` and botocore's `Stubber` answer with bodies that have none."""
    code = """
        import boto3, tmpcache
        from moto import mock_aws
        os.environ.pop("AWS_ENDPOINT_URL_S3")
        class Context:
            def get_remaining_time_in_millis(self):
                return 3000
        with mock_aws():
            s3 = boto3.client("s3")
            s3.create_bucket(Bucket="models")
            s3.put_object(Bucket="models", Key="a", Body=b"template")
            with tmpcache.Cache(root, max_age=60) as cache, cache.invocation(Context()):
                said = [cache.fetch("models", "a") for _ in range(2)]
                say([(path.read_bytes().decode(), path.outcome.name) for path in said])
    """
    with spawn(code, root=str(root)) as child:
        assert child.hear() == [["template", "FETCHED"], ["template", "HIT"]]
