"""Fixtures to test functions that use tmpcache; pytest finds them by itself.

=========================  =======================================================================
``tmpcache_root``          a directory of the test's own for the cache, in ``TMPCACHE_ROOT``
``tmpcache_cache``         the cache behind ``tmpcache.fetch`` during the test
``tmpcache_settings``      its settings, which a test module may override
``tmpcache_clock``         its clock; a start advances it by a second, a test by more
``tmpcache_s3``            an S3 on loopback that records requests and fails on demand
``tmpcache_cold_start``    calls a function in a new process on the same disk
``tmpcache_warm_start``    calls a function in this process, as its next invocation
``tmpcache_lambda``        runs a handler under Lambda's own runtime client, frozen in between
=========================  =======================================================================

A fixture imports what it needs when a test uses it; ``tmpcache[testing]`` installs that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tmpcache import Cache
    from tmpcache.testing import Clock, ColdStart, LambdaHarness, S3Server, WarmStart


@pytest.fixture
def tmpcache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of every cache of this test, also in processes that it starts.

    ``TMPCACHE_ROOT`` names it. All other ``TMPCACHE_*`` are unset, so that the environment of the
    test run does not matter. The directory does not exist until a cache makes it.
    """
    for name in list(os.environ):
        if name.startswith("TMPCACHE_"):
            monkeypatch.delenv(name)
    root = tmp_path / "tmpcache"
    monkeypatch.setenv("TMPCACHE_ROOT", str(root))
    return root


@pytest.fixture
def tmpcache_clock() -> Clock:
    """The clock of ``tmpcache_cache`` and of starts: ``.now``, ``.advance(seconds)``.

    ``tmpcache_lambda`` uses the real time.
    """
    from tmpcache.testing import Clock

    return Clock()


@pytest.fixture
def tmpcache_settings() -> dict[str, Any]:
    """Arguments of ``tmpcache.Cache`` for ``tmpcache_cache`` and for cold starts; by default none.

    Override it with the settings that the function under test is deployed with::

        @pytest.fixture
        def tmpcache_settings():
            return {"quota": "64 MiB", "max_age": 300}
    """
    return {}


@pytest.fixture
def tmpcache_cache(
    tmpcache_root: Path, tmpcache_clock: Clock, tmpcache_settings: dict[str, Any]
) -> Iterator[Cache]:
    """An empty cache, which ``tmpcache.fetch`` uses during the test; closed afterwards.

    Afterwards ``tmpcache.fetch`` uses the cache that it used before, also if the test called
    ``tmpcache.configure``.
    """
    import tmpcache

    cache = tmpcache.Cache(**{"clock": tmpcache_clock, **tmpcache_settings})
    with tmpcache._lock:
        before, tmpcache._default = tmpcache._default, cache
    yield cache
    with tmpcache._lock:
        used, tmpcache._default = tmpcache._default, before
    for done in (cache, used):
        if done is not None:
            done.close()


@pytest.fixture(scope="session")
def tmpcache_s3_server() -> Iterator[S3Server]:
    """The server of the whole test run; tests use ``tmpcache_s3``."""
    from tmpcache.testing import S3Server

    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def tmpcache_s3(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """An empty S3 without faults; boto3 uses it in this test and in processes that the test starts.

    The environment names its endpoint and the credentials ``testing``. All other ``AWS_*``, proxies
    and the configuration in ``~/.aws`` are hidden. botocore tries each request once
    (``AWS_MAX_ATTEMPTS``), so that tests of failures do not wait for its retries.
    """
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    server: S3Server = request.getfixturevalue("tmpcache_s3_server")
    for name, value in {
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }.items():
        monkeypatch.setenv(name, value)
    server.reset()
    return server


@pytest.fixture
def tmpcache_cold_start(
    tmpcache_root: Path, tmpcache_clock: Clock, tmpcache_settings: dict[str, Any]
) -> ColdStart:
    """Calls a function in a new process on the same disk.

    ``tmpcache_cold_start(app.handler, event, None, after=3600)``: see
    :class:`tmpcache.testing.ColdStart`.
    """
    from tmpcache.testing import ColdStart

    return ColdStart({"clock": tmpcache_clock, **tmpcache_settings})


@pytest.fixture
def tmpcache_warm_start(tmpcache_cache: Cache, tmpcache_clock: Clock) -> WarmStart:
    """Calls a function in this process, as its next invocation.

    ``tmpcache_warm_start(app.handler, event, None, after=3600)``: see
    :class:`tmpcache.testing.WarmStart`.
    """
    from tmpcache.testing import WarmStart

    return WarmStart(tmpcache_clock)


@pytest.fixture
def tmpcache_lambda(tmpcache_root: Path) -> Iterator[Callable[..., LambdaHarness]]:
    """Makes a :class:`tmpcache.testing.LambdaHarness` from its arguments; killed after the test.

    ``tmpcache_lambda("app.handler", directory="src").invoke(event)``.
    """
    from tmpcache.testing import LambdaHarness

    with ExitStack() as stack:

        def harness(handler: str, **settings: Any) -> LambdaHarness:
            return stack.enter_context(LambdaHarness(handler, **settings))

        yield harness
