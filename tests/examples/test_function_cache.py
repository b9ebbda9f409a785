"""The example of a state that instances of a function share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint import api as cfnlint
from support.processes import crowd, release

import tmpcache
from examples.function_cache import handler as function
from tmpcache.testing import Bucket, Clock
from tmpcache.testing.faults import INTERNAL_ERROR


@pytest.fixture
def clock(root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(function, "BUCKET", "models")
    monkeypatch.setattr(tmpcache, "_default", tmpcache.Cache(root, clock=clock))
    return clock


def call(method: str, key: str, value: Any = None) -> tuple[int, Any]:
    """Send what API Gateway sends; return status and body."""
    event = {
        "rawPath": f"/items/{key}",
        "requestContext": {"http": {"method": method}},
        "body": None if value is None else json.dumps(value),
    }
    answer = function.handler(event, None)
    return answer["statusCode"], json.loads(answer["body"] or "null")


def test_items_are_set_read_and_deleted(clock: Clock) -> None:
    assert call("GET", "a")[0] == 404
    assert call("PUT", "a", {"x": 1}) == (204, None)
    assert call("PUT", "b%20c", "text") == (204, None)
    assert call("GET", "a") == (200, {"x": 1})
    assert call("GET", "b%20c") == (200, "text")
    assert call("DELETE", "a") == (204, None)
    assert call("GET", "a")[0] == 404
    assert call("PUT", "a")[0] == 400


def test_reads_ask_only_when_time_has_passed_and_see_what_others_wrote(
    clock: Clock, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("PUT", "a", 1)
    bucket.server.forget()
    for _ in range(20):
        assert call("GET", "a") == (200, 1)
    assert not bucket.server.requests
    bucket.put("state.json", b'{"a": 2}')
    clock.advance(6)
    assert call("GET", "a") == (200, 2)
    assert len(bucket.gets("state.json")) == 1


WRITER = """
    import json
    from examples.function_cache import handler as function
    say("ready"); hear()
    for number in range(3):
        event = {
            "rawPath": f"/items/{os.getpid()}-{number}",
            "requestContext": {"http": {"method": "PUT"}},
            "body": json.dumps(number),
        }
        say(function.handler(event, None)["statusCode"])
"""


def test_writers_that_race_lose_no_item(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four instances, each a process on one disk, write three items each at the same time."""
    monkeypatch.setenv("STATE_BUCKET", "models")
    monkeypatch.setenv("TMPCACHE_ROOT", str(tmp_path / "root"))
    with crowd(4, WRITER) as writers:
        release(writers)
        results = [int(writer.hear()) for writer in writers for _ in range(3)]
        assert [writer.wait() for writer in writers] == [0] * 4
    kept = json.loads(bucket.client.get_object(Bucket="models", Key="state.json")["Body"].read())
    assert {*results} <= {204, 409}
    assert len(kept) == results.count(204) >= 4


def test_an_outage_is_bridged_and_a_cold_start_finds_the_disk(
    clock: Clock, bucket: Bucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("PUT", "a", 1)
    clock.advance(60)
    monkeypatch.setattr(tmpcache, "_default", tmpcache.Cache(root, clock=clock))
    bucket.inject("state.json", INTERNAL_ERROR, times=99)
    assert call("GET", "a") == (200, 1)


def test_a_ping_runs_nothing(clock: Clock, bucket: Bucket) -> None:
    scheduled = {"source": "aws.events", "detail-type": "Scheduled Event"}
    assert function.handler(scheduled, None) == {"tmpcache": "pong"}
    assert not bucket.server.requests


def test_the_template_is_one_that_aws_accepts() -> None:
    template = Path(function.__file__).with_name("template.yaml")
    assert cfnlint.lint_file(template) == []
