"""Functions under Lambda's own runtime client: cold, warm, frozen, killed, failing."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from support.content import content
from support.functions import Deploy, is_gone, ticks, wait_for_a_tick
from support.processes import wait_until
from support.proxy import FaultProxy, Trouble

from tmpcache.testing import Bucket

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
