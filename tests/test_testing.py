"""The fixtures and tools for those who test functions that use tmpcache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import tmpcache
from tmpcache import CachedFile
from tmpcache.testing import Bucket, Clock, ColdStart, ColdStartError, WarmStart, plugin

pytest_plugins = ["pytester"]

#: Runs tests of a user's; returns what came of them.
RunTests = Callable[[str], pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> RunTests:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the same, installed or not

    def run(source: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-Werror", plugins=[plugin])

    return run


# ---- the plugin -------------------------------------------------------------------------------


def test_the_plugin_costs_those_who_do_not_use_it_nothing() -> None:
    code = """
import sys, pytest
before = set(sys.modules)
import tmpcache.testing.plugin
print(*{name.partition(".")[0] for name in set(sys.modules) - before})
"""
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    assert set(found) <= {"tmpcache"} | set(sys.stdlib_module_names)
    assert not {"sqlite3", "pickle"} & set(found)


def test_the_example_in_the_documentation(run: RunTests) -> None:
    run("""
        from types import SimpleNamespace

        import tmpcache

        def handler(event, context):
            return tmpcache.fetch("models", "e13b.npz", max_age=60).read_bytes()

        app = SimpleNamespace(handler=handler)

        def test_a_warm_start_asks_nobody(
            tmpcache_s3, tmpcache_cache, tmpcache_cold_start, tmpcache_warm_start
        ):
            models = tmpcache_s3.bucket("models")
            models.put("e13b.npz", b"template")
            assert tmpcache_cold_start(app.handler, {}, None) == b"template"
            assert tmpcache_warm_start(app.handler, {}, None) == b"template"
            assert len(models.gets("e13b.npz")) == 1
    """).assert_outcomes(passed=1)


def test_a_missing_package_is_named_with_the_extra_that_brings_it(run: RunTests) -> None:
    result = run("""
        import sys
        import pytest

        @pytest.fixture(autouse=True)
        def not_installed(monkeypatch):
            for name in [name for name in sys.modules if name.startswith("tmpcache.testing.s3")]:
                monkeypatch.delitem(sys.modules, name)
            monkeypatch.setitem(sys.modules, "boto3", None)
            monkeypatch.setitem(sys.modules, "awslambdaric", None)

        def test_s3(not_installed, tmpcache_s3): pass
        def test_lambda(tmpcache_lambda): tmpcache_lambda("app.handler")
    """)
    result.assert_outcomes(errors=1, failed=1)
    result.stdout.fnmatch_lines_random(
        [
            "E *testing.S3Server needs the package boto3, *pip install 'tmpcache[[]testing]'",
            "E *LambdaHarness needs the package awslambdaric, *pip install 'tmpcache[[]testing]'",
        ]
    )


def test_only_what_is_there_can_be_imported() -> None:
    import tmpcache.testing

    for name in tmpcache.testing.__all__:
        assert getattr(tmpcache.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = tmpcache.testing.no_such_name


# ---- the cache, its root and its clock --------------------------------------------------------


def test_the_cache_is_the_default_one_and_empty_for_each_test(
    run: RunTests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPCACHE_ROOT", str(tmp_path / "the user's"))
    monkeypatch.setenv("TMPCACHE_MAX_AGE", "1000")
    run("""
        import os
        import pytest
        import tmpcache
        from tmpcache import Outcome

        @pytest.mark.parametrize("number", [1, 2])
        def test_fetch(tmpcache_s3, tmpcache_cache, tmpcache_root, tmpcache_clock, number):
            assert tmpcache.default_cache() is tmpcache_cache
            assert tmpcache_cache.root == tmpcache_root
            assert [n for n in os.environ if n.startswith("TMPCACHE_")] == ["TMPCACHE_ROOT"]
            tmpcache_s3.bucket("models").put("a", b"a")

            def outcome(max_age=None):
                return tmpcache.fetch("models", "a", max_age=max_age).outcome

            assert [outcome(), outcome(), outcome(60)] == [
                Outcome.FETCHED, Outcome.REVALIDATED, Outcome.HIT
            ]
            tmpcache_clock.advance(59)
            assert outcome(60) is Outcome.HIT
            tmpcache_clock.now += 1
            assert outcome(60) is Outcome.REVALIDATED
            assert tmpcache_cache.stats().hits == 2
    """).assert_outcomes(passed=2)
    assert not (tmp_path / "the user's").exists()


@pytest.fixture
def the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tmpcache.Cache]:
    """A default cache from before the test."""
    with tmpcache.Cache(tmp_path / "the user's") as cache:
        monkeypatch.setattr(tmpcache, "_default", cache)
        yield cache


@pytest.mark.parametrize("configured", ["pass", "tmpcache.configure(quota='2 MiB')"])
def test_the_default_cache_of_before_is_back_afterwards(
    run: RunTests, the_users: tmpcache.Cache, tmp_path: Path, configured: str
) -> None:
    run(f"""
        import tmpcache
        from pathlib import Path

        def test_fetch(tmpcache_s3, tmpcache_cache, tmpcache_root):
            {configured}
            Path({str(tmp_path / "root")!r}).symlink_to(tmpcache_root)
            tmpcache_s3.bucket("models").put("a", b"a")
            assert tmpcache.fetch("models", "a").is_relative_to(tmpcache_root)
            assert len(list(tmpcache_root.glob("sessions/*"))) == 1
    """).assert_outcomes(passed=1)
    assert tmpcache.default_cache() is the_users
    assert the_users.usage().blobs == 0
    assert list(tmp_path.glob("root/sessions/*")) == []  # closed


def test_settings_are_those_of_the_function_under_test(run: RunTests) -> None:
    run("""
        import pytest
        import tmpcache

        @pytest.fixture
        def tmpcache_settings():
            return {"quota": "3 MiB", "max_age": 60}

        def fetched():
            quota = tmpcache.default_cache().usage().quota
            return tmpcache.fetch("models", "a").outcome.name, quota

        def test_here_and_there(tmpcache_s3, tmpcache_cache, tmpcache_cold_start):
            tmpcache_s3.bucket("models").put("a", b"a")
            assert fetched() == ("FETCHED", 3 << 20)
            assert tmpcache_cold_start(fetched) == ("HIT", 3 << 20)
            assert tmpcache_cold_start(fetched, after=60) == ("REVALIDATED", 3 << 20)
            assert fetched() == ("HIT", 3 << 20)
            assert tmpcache_cold_start(fetched, after=60) == ("REVALIDATED", 3 << 20)
    """).assert_outcomes(passed=1)


# ---- S3 ---------------------------------------------------------------------------------------


def test_the_s3_is_the_only_one_there_is_and_counts(
    run: RunTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "the-users")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    run("""
        import boto3
        import pytest
        import tmpcache
        from tmpcache.testing.faults import SLOW_DOWN

        @pytest.mark.parametrize("number", [1, 2])
        def test_a_world_of_its_own(tmpcache_s3, number):
            client = boto3.Session().client("s3")
            assert client.list_buckets()["Buckets"] == []
            models = tmpcache_s3.bucket("models")
            etag = models.put("a", b"one")
            assert client.get_object(Bucket="models", Key="a")["ETag"] == etag
            assert [request.method for request in tmpcache_s3.requests] == ["GET", "GET"]
            assert [get.path for get in models.gets("a")] == ["/models/a"]
            tmpcache_s3.forget()
            assert tmpcache_s3.requests == []

        def test_an_outage(tmpcache_s3, tmpcache_cache):
            models = tmpcache_s3.bucket("models")
            models.put("a", b"one")
            models.inject("a", SLOW_DOWN, times=1)
            with pytest.raises(tmpcache.errors.OriginUnavailableError):
                tmpcache.fetch("models", "a")
            assert tmpcache.fetch("models", "a").read_bytes() == b"one"
            assert [get.status for get in models.gets("a")] == [503, 200]
            models.delete("a")
            with pytest.raises(FileNotFoundError):
                tmpcache.fetch("models", "a")
            tmpcache_s3.inject("/models/b", SLOW_DOWN, method="PUT")
            with pytest.raises(tmpcache.errors.OriginUnavailableError):
                tmpcache.put("models", "b", b"two")
            tmpcache_s3.heal()
            assert tmpcache.put("models", "b", b"two").read_bytes() == b"two"
    """).assert_outcomes(passed=3)


# ---- cold and warm starts ---------------------------------------------------------------------


def fetched(key: str, max_age: float = 60) -> CachedFile:
    """What tests of cold starts have done in a fresh process."""
    return tmpcache.fetch("models", key, max_age=max_age)


def failing(kind: type[Exception], *args: object) -> None:
    raise kind(*args)


class Peculiar(Exception):
    """Goes into a pickle and does not come out."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def test_a_cold_start_is_another_process_on_the_same_disk(root: Path, bucket: Bucket) -> None:
    bucket.put("a.npz", b"a")
    clock = Clock()
    cold_start = ColdStart({"root": root, "clock": clock})
    path = cold_start(fetched, "a.npz")
    assert type(path) is type(Path())
    assert (path.read_bytes(), path.suffix) == (b"a", ".npz")
    assert cold_start(os.getpid) != os.getpid()
    assert cold_start(fetched, "a.npz", after=59) == path
    assert len(bucket.gets("a.npz")) == 1
    cold_start(fetched, "a.npz", after=1)
    assert [get.status for get in bucket.gets("a.npz")] == [200, 304]
    with tmpcache.Cache(root, clock=clock) as cache:
        assert cache.fetch("models", "a.npz", max_age=1).outcome is tmpcache.Outcome.HIT


def test_a_cold_start_remembers_nothing_and_may_be_source_text(root: Path, bucket: Bucket) -> None:
    bucket.put("a", b"a")
    cold_start = ColdStart({"root": root, "clock": Clock()})
    code = """
        import sys, tmpcache
        path = tmpcache.fetch(*args, max_age=60)
        return path.outcome.name, "tmpcache.origin.direct.connections" in sys.modules
    """
    assert cold_start(code, "models", "a") == ("FETCHED", True)
    assert cold_start(code, "models", "a") == ("HIT", False)
    assert cold_start("args") is None


def test_a_cold_start_finds_the_modules_that_are_found_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("answer = 42")
    monkeypatch.syspath_prepend(tmp_path)
    assert ColdStart()("import only_here; return only_here.answer") == 42


def test_what_a_cold_start_raises_is_raised_here() -> None:
    with pytest.raises(KeyError, match="no such check") as caught:
        ColdStart()(failing, KeyError, "no such check")
    [note] = caught.value.__notes__
    assert "In the fresh process:" in note
    assert ", in failing\n    raise kind(*args)" in note


@pytest.mark.parametrize(
    ("work", "message"),
    [
        ("raise SystemExit(3)", "ended with status 3"),
        ("import os; os._exit(0)", "ended with status 0, no result"),
        ("import os; os.kill(os.getpid(), 9)", "ended with status -9"),
        ("return lambda: 0", "the result cannot be handed over"),
        ("import test_testing as t; raise t.Peculiar('a', 'b')", "test_testing.Peculiar: a"),
        (lambda: 0, "cannot be handed to another process .*top of a module"),
    ],
)
def test_a_cold_start_without_a_result_says_why(work: Any, message: str) -> None:
    with pytest.raises(ColdStartError, match=message):
        ColdStart()(work)


def test_a_cold_start_that_takes_too_long_is_killed() -> None:
    with pytest.raises(TimeoutError, match=r"0\.2 seconds"):
        ColdStart()("import time; time.sleep(600)", timeout=0.2)


def test_a_warm_start_keeps_the_memory_and_drops_what_nobody_holds(
    root: Path, bucket: Bucket
) -> None:
    bucket.put("a", b"a")
    clock = Clock()
    warm_start = WarmStart(clock)
    with tmpcache.Cache(root, quota="4 MiB", clock=clock) as cache:
        cycle: list[Any] = [warm_start(cache.fetch, "models", "a")]
        cycle.append(cycle)
        del cycle
        assert warm_start(lambda: cache.usage().leased) == 0
        assert warm_start(lambda: cache.fetch("models", "a", max_age=60).outcome.name) == "HIT"
        later = warm_start(lambda: cache.fetch("models", "a", max_age=60).outcome.name, after=60)
        assert later == "REVALIDATED"


def test_time_passes_only_where_there_is_a_clock() -> None:
    for start in (ColdStart(), WarmStart()):
        with pytest.raises(ValueError, match="needs a clock"):
            start(os.getpid, after=1)


# ---- Lambda -----------------------------------------------------------------------------------


def test_a_function_under_the_runtime_client_ends_with_its_test(
    run: RunTests, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    pytester.makepyfile(
        app="""
        import os, tmpcache

        def handler(event, context):
            path = tmpcache.fetch("models", event, max_age=60)
            return os.getpid(), path.outcome.name, str(path)
        """
    )
    told = tmp_path / "pid"
    run(f"""
        from pathlib import Path

        def test_cold_and_warm(tmpcache_s3, tmpcache_root, tmpcache_lambda):
            tmpcache_s3.bucket("models").put("a", b"a")
            function = tmpcache_lambda("app.handler")
            pid, outcome, path = function.invoke("a").result
            assert (outcome, path.startswith(str(tmpcache_root))) == ("FETCHED", True)
            assert function.invoke("a").result == [pid, "HIT", path]
            Path({str(told)!r}).write_text(str(pid))
    """).assert_outcomes(passed=1)
    assert not psutil.pid_exists(int(told.read_text()))
