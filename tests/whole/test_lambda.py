"""Functions under Lambda's own runtime client: cold, warm, frozen, killed, failing."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from support.content import content
from support.proxy import FaultProxy, Trouble

from tmpcache.testing import Bucket, FunctionError, InitError, LambdaHarness
from tmpcache.testing.runtime_api import Answer, Event, RuntimeApi

APP = """
import logging, os, subprocess, sys, threading, time
import tmpcache

TICK = [sys.executable, "-c", "import app, sys; app.tick(sys.argv[1])"]
print("initialised")
served = 0

def fetch(event, context):
    global served
    served += 1
    path = tmpcache.fetch("models", "e13b.npz", max_age=60)
    return {
        "served": served, "pid": os.getpid(), "outcome": path.outcome.name, "size": path.size,
        "request_id": context.aws_request_id, "remaining": context.get_remaining_time_in_millis(),
    }

def obey(event, context):
    print("told", *event)
    match event:
        case ["raise", text]:
            raise ValueError(text)
        case ["exit", status]:
            sys.exit(status)
        case ["return", value]:
            return value
        case ["bytes"]:
            return b"\\xff\\x00"
        case ["log", text]:
            logging.getLogger().error(text)
        case ["hang", mark]:
            open(mark, "w").close()
            time.sleep(600)
        case ["tick", mark]:
            threading.Thread(target=tick, args=(mark,), daemon=True).start()
        case ["child", mark]:
            return subprocess.Popen([*TICK, mark], start_new_session=True).pid
        case ["orphan", mark]:
            script = ["sh", "-c", '"$@" >/dev/null & echo $!', "sh"]
            return int(subprocess.check_output([*script, *TICK, mark]))
    return os.getpid()

def tick(mark):
    with open(mark, "ab", buffering=0) as file:
        while True:
            file.write(b"x")
            time.sleep(0.001)
"""

#: Makes a harness for one of the functions above.
Deploy = Callable[..., LambdaHarness]


@pytest.fixture
def deploy(tmp_path: Path, root: Path, environment: None) -> Iterator[Deploy]:
    directory = tmp_path / "function"
    directory.mkdir()
    (directory / "app.py").write_text(APP)
    with ExitStack() as stack:

        def harness(handler: str, **settings: Any) -> LambdaHarness:
            environ = {"TMPCACHE_ROOT": str(root), "TMPCACHE_QUOTA": "64 MiB"}
            function = LambdaHarness(handler, directory=directory, environ=environ, **settings)
            return stack.enter_context(function)

        yield harness


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file by which a function shows that it runs."""
    return tmp_path / "mark"


def wait_until(condition: Callable[[], bool], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.002)


def ticks(mark: Path) -> int:
    return mark.stat().st_size if mark.exists() else 0


def wait_for_a_tick(mark: Path) -> None:
    seen = ticks(mark)
    wait_until(lambda: ticks(mark) > seen)


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


# ---- cold and warm ----------------------------------------------------------------------------


def test_one_process_serves_a_cold_and_three_warm_invocations(
    deploy: Deploy, bucket: Bucket
) -> None:
    bucket.put("e13b.npz", b"template")
    function = deploy("app.fetch")
    assert (function.pid, function.cold_starts, function.memory) == (None, 0, 0)
    cold, *warm = [function.invoke({"n": n}) for n in range(4)]
    assert [one.result["served"] for one in (cold, *warm)] == [1, 2, 3, 4]
    assert [one.result["outcome"] for one in (cold, *warm)] == ["FETCHED", "HIT", "HIT", "HIT"]
    assert {one.result["pid"] for one in (cold, *warm)} == {function.pid} == {cold.pid}
    assert [one.cold for one in (cold, *warm)] == [True, False, False, False]
    assert function.cold_starts == 1
    assert len(bucket.gets("e13b.npz")) == 1
    assert function.memory > 1 << 20
    assert all(0 < one.duration < 30 for one in warm)


def test_a_cold_start_in_a_warm_container_finds_the_disk_as_it_was(
    deploy: Deploy, bucket: Bucket
) -> None:
    bucket.put("e13b.npz", b"template")
    function = deploy("app.fetch")
    first = function.invoke()
    (function.tmp / "left behind").touch()
    function.restart()
    second = function.invoke()
    assert (second.result["served"], second.result["outcome"]) == (1, "HIT")
    assert (second.cold, function.cold_starts) == (True, 2)
    assert second.pid != first.pid
    assert len(bucket.gets("e13b.npz")) == 1
    assert (function.tmp / "left behind").exists()


def test_a_function_sees_its_request_and_its_deadline(deploy: Deploy, bucket: Bucket) -> None:
    bucket.put("e13b.npz", b"template")
    function = deploy("app.fetch")
    seen = function.invoke(timeout=5, request_id="request-1")
    assert seen.request_id == seen.result["request_id"] == "request-1"
    assert 0 < seen.result["remaining"] <= 5000
    assert function.invoke().request_id != function.invoke().request_id


def test_events_and_results_are_json_and_results_may_be_bytes(deploy: Deploy) -> None:
    function = deploy("app.obey")
    for value in (None, "é", [1, {"a": 2.5}], "x" * 2_000_000):
        assert function.invoke(["return", value]).result == value
    assert function.invoke(["bytes"]).result == b"\xff\x00"
    with pytest.raises(TypeError):
        function.invoke({1, 2})
    assert function.invoke(["return", 1]).result == 1


def test_the_log_of_an_invocation_is_its_own(deploy: Deploy) -> None:
    function = deploy("app.obey")
    first, second = function.invoke(["print", "é"]), function.invoke(["log", "careful"])
    assert first.log == ("initialised", "told print é")
    assert second.log[0] == "told log careful"
    assert second.log[1].startswith("[ERROR]")
    assert second.log[1].endswith("\tcareful")


# ---- frozen -----------------------------------------------------------------------------------


def test_between_invocations_nothing_of_the_function_runs(deploy: Deploy, mark: Path) -> None:
    function = deploy("app.obey")
    for _ in range(3):
        pid = function.invoke(["tick", str(mark)]).pid
        assert function.frozen
        assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    seen = ticks(mark)
    assert not function.invoke(["return", 0]).cold
    assert ticks(mark) >= seen
    function.thaw()
    assert not function.frozen
    wait_for_a_tick(mark)


def test_frozen_for_a_second_it_serves_the_event_that_thaws_it(deploy: Deploy, mark: Path) -> None:
    function = deploy("app.obey", freezing=False)
    pid = function.invoke(["tick", str(mark)]).pid
    assert not function.frozen
    wait_for_a_tick(mark)
    function.freeze()
    seen = ticks(mark)
    time.sleep(1)
    assert (ticks(mark), function.frozen) == (seen, True)
    assert function.invoke(["return", "thawed"]).result == "thawed"
    assert (function.pid, function.frozen) == (pid, False)
    wait_for_a_tick(mark)


def test_freezing_waits_for_the_invocation_under_way(deploy: Deploy, bucket: Bucket) -> None:
    bucket.put("e13b.npz", content("model", 1 << 20))
    function = deploy("app.fetch", freezing=False)
    function.restart()
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(function.invoke)
        wait_until(lambda: bool(bucket.gets("e13b.npz")))
        function.freeze()
        assert under_way.result(timeout=60).result["size"] == 1 << 20
    assert function.frozen


@pytest.mark.parametrize("kind", ["child", "orphan"])
def test_children_are_frozen_thawed_and_killed_too(deploy: Deploy, mark: Path, kind: str) -> None:
    function = deploy("app.obey")
    child = function.invoke([kind, str(mark)]).result
    function.thaw()
    wait_for_a_tick(mark)
    function.freeze()
    assert psutil.Process(child).status() == psutil.STATUS_STOPPED
    seen = ticks(mark)
    function.thaw()
    wait_for_a_tick(mark)
    assert ticks(mark) > seen
    function.kill()
    wait_until(lambda: is_gone(child))


def test_only_what_runs_can_be_frozen(deploy: Deploy) -> None:
    function = deploy("app.obey")
    with pytest.raises(RuntimeError, match="invoke the function first"):
        function.freeze()
    function.invoke(["return", 1])
    function.kill()
    with pytest.raises(RuntimeError, match="no process to freeze"):
        function.freeze()
    assert not function.frozen


# ---- killed -----------------------------------------------------------------------------------


def test_an_invocation_that_exceeds_its_time_is_killed_and_the_next_one_is_cold(
    deploy: Deploy, mark: Path
) -> None:
    function = deploy("app.obey")
    pid = function.invoke(["return", 0]).pid
    (function.tmp / "left behind").touch()
    late = function.invoke(["hang", str(mark)], timeout=0.5, request_id="slow")
    assert (late.failed, late.error_type) == (True, "Sandbox.Timedout")
    assert late.error_message == "RequestId: slow Error: Task timed out after 0.50 seconds"
    assert late.duration >= 0.5
    assert is_gone(pid)
    assert function.pid is None
    again = function.invoke(["return", 1])
    assert (again.result, again.cold, function.cold_starts) == (1, True, 2)
    assert again.pid != pid
    assert (function.tmp / "left behind").exists()


def test_a_download_cut_by_the_time_limit_is_finished_by_the_next_process(
    deploy: Deploy, bucket: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("e13b.npz", content("model", 3 << 20))
    proxy.set(Trouble(body="stall", after=2 << 20, times=1))
    function = deploy("app.fetch")
    assert function.invoke(timeout=3).error_type == "Sandbox.Timedout"
    done = function.invoke()
    assert (done.cold, done.result["outcome"], done.result["size"]) == (True, "FETCHED", 3 << 20)


def test_a_kill_ends_the_invocation_under_way(deploy: Deploy, mark: Path) -> None:
    function = deploy("app.obey")
    with ThreadPoolExecutor(1) as thread:
        under_way = thread.submit(function.invoke, ["hang", str(mark)], request_id="id")
        wait_until(mark.exists)
        function.kill()
        killed = under_way.result(timeout=60)
    assert killed.log == ("initialised", f"told hang {mark}")
    assert killed.error_type == "Runtime.ExitError"
    assert killed.error_message == (
        "RequestId: id Error: Runtime exited with error: signal: killed"
    )
    assert function.invoke(["return", 1]).cold


def test_nothing_is_left_after_the_end(deploy: Deploy, mark: Path) -> None:
    before = set(threading.enumerate())
    function = deploy("app.obey")
    pid = function.invoke(["tick", str(mark)]).pid
    child = function.invoke(["child", str(mark)]).result
    function.close()
    with pytest.raises(RuntimeError, match="closed"):
        function.invoke()
    assert not psutil.pid_exists(pid)
    wait_until(lambda: is_gone(child))
    assert not function.tmp.exists()
    wait_until(lambda: set(threading.enumerate()) <= before)


# ---- failing ----------------------------------------------------------------------------------


def test_a_handler_that_raises_fails_its_invocation_and_lives_on(deploy: Deploy) -> None:
    function = deploy("app.obey")
    raised = function.invoke(["raise", "no such check"])
    assert (raised.error_type, raised.error_message) == ("ValueError", "no such check")
    with pytest.raises(FunctionError, match="no such check") as caught:
        _ = raised.result
    assert "raise ValueError(text)" in caught.value.stack_trace
    assert "told raise no such check" in str(caught.value)
    after = function.invoke(["return", 1])
    assert (after.pid, after.error_type, after.error_message) == (raised.pid, None, None)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(3, "with error: exit status 3"), (0, "without providing a reason")],
)
def test_a_handler_that_exits_takes_the_process_with_it(
    deploy: Deploy, status: int, reason: str
) -> None:
    function = deploy("app.obey")
    ended = function.invoke(["exit", status], request_id="id")
    assert ended.error_type == "Runtime.ExitError"
    assert ended.error_message == f"RequestId: id Error: Runtime exited {reason}"
    again = function.invoke(["return", 1])
    assert (again.result, again.cold, function.cold_starts) == (1, True, 2)


@pytest.mark.parametrize(
    ("source", "kind", "told"),
    [
        ("def load():\n    raise RuntimeError('no model')\nload()", "RuntimeError", "in load"),
        ("import no_such_module", "Runtime.ImportModuleError", "no_such_module"),
        ("def handler(:", "Runtime.UserCodeSyntaxError", "def handler(:"),
        ("other = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing"),
        ("print('bye')\nraise SystemExit(7)", "Runtime.ExitError", "exit status 7"),
        ("import time\ntime.sleep(600)", "Sandbox.Timedout", "0.50 seconds"),
    ],
)
def test_an_init_error_says_what_went_wrong(
    deploy: Deploy, tmp_path: Path, source: str, kind: str, told: str
) -> None:
    (tmp_path / "function" / "broken.py").write_text(source)
    function = deploy("broken.handler", init_timeout=0.5 if "sleep" in source else 10)
    for attempt in (1, 2):
        with pytest.raises(InitError, match=r"^broken\.handler did not initialise") as caught:
            function.invoke()
        assert caught.value.error_type == kind
        assert told in str(caught.value)
        assert (function.pid, function.cold_starts) == (None, attempt)
    assert ("bye" in source) == ("bye" in caught.value.log)


# ---- the parts --------------------------------------------------------------------------------


def test_a_missing_runtime_client_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "awslambdaric", None)
    with pytest.raises(ModuleNotFoundError, match=r"awslambdaric.*'tmpcache\[testing\]'"):
        LambdaHarness("app.handler")


def test_the_runtime_api_knows_no_more_than_it_needs() -> None:
    answers = []

    class Nobody:
        def next_event(self) -> Event | None:
            return None

        def answered(self, answer: Answer) -> None:
            answers.append((answer.payload, answer.failed))

        def init_failed(self, error: Any) -> None:
            raise AssertionError(error)

    api = RuntimeApi(Nobody())
    connection = http.client.HTTPConnection(api.address, timeout=5)
    prefix = "/2018-06-01/runtime/"
    found = []
    for method, path, body in [
        ("GET", "restore/next", None),
        ("POST", "invocation/id/delete", b"{}"),
        ("POST", "invocation/id/error", b"{}"),
    ]:
        connection.request(method, prefix + path, body)
        response = connection.getresponse()
        found.append(response.status)
        response.read()
    assert found == [404, 404, 202]
    assert answers == [(b"{}", True)]
    connection.request("GET", f"{prefix}invocation/next")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
    connection.close()
    api.close()
