"""What the direct origin sends: requests of its own, over connections that it keeps."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.content import content
from support.listener import Listener, asks_boto3, body_of, ok_kept
from support.odd_keys import for_any_key
from support.processes import spawn
from support.wire import Wire, refused

from tmpcache.common.deadline import Deadline
from tmpcache.errors import (
    DeadlineExceededError,
    OriginUnavailableError,
)
from tmpcache.origin import Reply, Unchanged
from tmpcache.origin.direct.origin import DirectOrigin
from tmpcache.testing import Bucket
from tmpcache.testing.faults import SLOW_DOWN

BODY = content("body", 700_000)
UNCHANGED = b'HTTP/1.1 304 Not Modified\r\nETag: "e"\r\n\r\n'


def test_a_first_miss_loads_no_boto3_no_ssl_and_no_filelock(bucket: Bucket, root: Path) -> None:
    bucket.put("a", BODY[:10_000])
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, origin=origin)
        outcomes = [cache.fetch("models", "a").outcome.name for _ in range(2)]
        try:
            cache.fetch("models", "b")
        except tmpcache.errors.ObjectNotFoundError:
            outcomes.append("MISSING")
        heavy = "boto3", "botocore", "urllib3", "ssl", "http.client", "configparser", "filelock"
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


@for_any_key
def test_the_path_on_the_wire_is_the_key(
    listener: Listener, direct: DirectOrigin, key: str
) -> None:
    """As S3 takes it: percent-encoded once, slashes kept, nothing tidied up."""
    del listener.asked[:]
    body_of(direct.get("models", key))
    path = "/models/" + quote(key, safe="/~")
    assert [asked.split(b"\r\n")[0].decode() for _, asked in listener.asked] == [
        f"GET {path} HTTP/1.1"
    ]
    assert not asks_boto3(direct)


def test_lambdas_trace_goes_along(
    listener: Listener, direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    body_of(direct.get("models", "a"))
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
    body_of(direct.get("models", "a"))
    traced: list[Any] = [b"x-amzn-trace-id: Root=1-5759" in asked for _, asked in listener.asked]
    assert traced == [False, True]


def test_a_conditional_question_is_answered_by_304_on_a_kept_connection(
    listener: Listener, direct: DirectOrigin
) -> None:
    listener.answer = lambda connection, number: UNCHANGED
    for _ in range(3):
        assert isinstance(direct.get("models", "a", if_none_match='"e"'), Unchanged)
    assert listener.connections == 1
    assert b'if-none-match: "e"' in listener.asked[0][1]


def test_a_question_takes_few_calls(listener: Listener, direct: DirectOrigin) -> None:
    """What makes it fast must not creep away; botocore makes some 4,000. Signing takes half."""
    listener.answer = lambda connection, number: UNCHANGED

    def ask() -> None:
        direct.get("models", "a", if_none_match='"e"')

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
    assert len(calls) <= 135, calls
    assert [calls.count(name) for name in ("sendall", "recv", "poll")] == [1, 1, 2]


@pytest.mark.parametrize("answer", [UNCHANGED, ok_kept(b"there")], ids=["304", "200"])
def test_a_request_takes_seven_system_calls(
    listener: Listener, tmp_path: Path, answer: bytes
) -> None:
    """System calls, counted."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    listener.answer = lambda connection, number: answer
    trace = tmp_path / "trace"
    script = """
import os
from tmpcache.origin.direct.origin import DirectOrigin
origin, buffer = DirectOrigin(), memoryview(bytearray(100))
def ask():
    reply = origin.get("models", "a", if_none_match='"known"')
    while hasattr(reply, "body") and reply.body.read(buffer):
        pass
ask(); ask()
os.path.exists("/begin/of/requests")
for _ in range(100):
    ask()
os.path.exists("/end/of/requests")
"""
    command = ["strace", "-f", "-o", str(trace), sys.executable, "-c", script]
    subprocess.run(command, check=True, capture_output=True)
    calls = [line.split(None, 1)[1].split("(")[0] for line in _between(trace.read_text())]
    counts = Counter(call for call in calls if call not in ("brk", "mmap", "munmap"))
    # One poll and one fstat for a kept connection that was closed meanwhile, by the server or by
    # this program, and Python's own poll for each wait.
    status = counts.pop("newfstatat", 0) + counts.pop("fstat", 0)
    assert (counts, status) == ({"sendto": 100, "recvfrom": 100, "poll": 300, "getpid": 100}, 100)


def _between(trace: str) -> list[str]:
    lines = trace.splitlines()
    begin, end = (
        next(n for n, line in enumerate(lines) if f"/{word}/of/requests" in line)
        for word in ("begin", "end")
    )
    return lines[begin + 1 : end]


@pytest.mark.parametrize("tries", [1, 3])
def test_a_failure_is_asked_again_as_often_as_botocore_would(
    bucket: Bucket, direct: DirectOrigin, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.01)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", str(tries))
    bucket.put("a", b"a")
    bucket.inject("a", SLOW_DOWN, times=2)
    if tries == 3:
        assert body_of(direct.get("models", "a")) == b"a"
    else:
        with pytest.raises(OriginUnavailableError, match="SlowDown"):
            direct.get("models", "a")
    assert len(bucket.gets("a")) == tries


def test_a_deadline_leaves_no_time_for_another_try(
    wire: Wire, direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "100")
    wire.answer = lambda: refused(503, "SlowDown")
    with pytest.raises(DeadlineExceededError):
        direct.get("models", "a", deadline=Deadline(1.5))
    with pytest.raises(OriginUnavailableError):
        direct.get("models", "a", deadline=Deadline(30, asks_once=True))
    assert len(wire.paths) == 2


def test_a_silent_server_is_not_waited_for_past_the_deadline(
    wire: Wire, direct: DirectOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmpcache.origin.s3.timeouts._SHORTER_TIMEOUTS", (0.2,))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "100")
    wire.hold.clear()
    with pytest.raises(DeadlineExceededError, match="s3://models/a"):
        direct.get("models", "a", deadline=Deadline(0.5))
    assert len(wire.paths) == 1


def test_a_read_that_waits_ends_when_another_thread_says_so(
    listener: Listener, direct: DirectOrigin
) -> None:
    listener.answer = lambda connection, number: ok_kept(b"x" * 10)[:-3]
    reply = direct.get("models", "a")
    assert isinstance(reply, Reply)
    assert len(reply.body.read(memoryview(bytearray(100)))) == 7
    threading.Timer(0.3, reply.body.interrupt).start()
    began = time.monotonic()
    with suppress(OriginUnavailableError):
        assert not reply.body.read(memoryview(bytearray(100)))
    assert time.monotonic() - began < 5
