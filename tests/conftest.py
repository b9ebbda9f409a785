"""Fixtures: no test leaves loopback, reads the user's settings or leaves anything behind."""

from __future__ import annotations

import doctest
import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.disk import IN_NAMESPACE, NotPermitted, namespaces_are_allowed, tmpfs
from support.iam import Iam
from support.proxy import FaultProxy

import tmpcache
from tmpcache.testing import Bucket, S3Server

if TYPE_CHECKING:
    from tmpcache import Cache


# ---- which user runs which tests ----------------------------------------------------------------


def pytest_report_header() -> str:
    """Say who runs the tests: that decides what they can show."""
    if os.geteuid() == 0:
        return "user: 0 (root): tests marked root run, too"
    return f"user: {os.geteuid()} (ordinary): tests marked root are left out"


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what this user may not do, and examples that are only there to be read."""
    for item in items:
        if _mounts(item) and not namespaces_are_allowed():
            item.add_marker("root")
    if os.geteuid() != 0:
        forbidden = [item for item in items if item.get_closest_marker("root")]
        config.hook.pytest_deselected(items=forbidden)
        items[:] = [item for item in items if item not in forbidden]
    items[:] = [item for item in items if not _is_only_to_be_read(item)]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that mounts file systems in a namespace in which its user may."""
    if not _mounts(pyfuncitem) or os.geteuid() == 0:
        return None
    place = f"{pyfuncitem.funcargs['tmp_path']}/namespace"
    command = [*IN_NAMESPACE, sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--basetemp={place}", pyfuncitem.nodeid],
        cwd=pyfuncitem.config.rootpath,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        pytest.fail(done.stdout, pytrace=False)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that is skipped in CI: everything that a test needs is installed there."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        why = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"Nothing may be skipped in CI: {str(why).removeprefix('Skipped: ')}"
    return report


def _mounts(item: pytest.Item) -> bool:
    return "small_disk" in getattr(item, "fixturenames", ())


def _is_only_to_be_read(item: pytest.Item) -> bool:
    """Return whether a docstring's examples all say +SKIP."""
    if not isinstance(item, pytest.DoctestItem):
        return False
    return all(example.options.get(doctest.SKIP) for example in item.dtest.examples)


# ---- fixtures ---------------------------------------------------------------------------------


def _child_path() -> str:
    """Return PYTHONPATH of children: the tests, the package as found here, and what was set."""
    package = Path(tmpcache.__file__).parent
    parts = [Path(__file__).parent, package.parent, os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(str(part) for part in parts if part)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set what this process and its children see: test credentials, and no server to ask."""
    for name in list(os.environ):
        ours = name.startswith(("AWS_", "TMPCACHE_", "LAMBDA_", "PYTEST_ADDOPTS"))
        if ours or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name, value in {
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",  # botocore's retries cost seconds; tests about them turn them on
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",  # nobody listens there
        "PYTHONPATH": _child_path(),
    }.items():
        monkeypatch.setenv(name, value)
    # How many connections other tests found right.
    monkeypatch.setattr("tmpcache.origin.transfer.connection_count._remembered", {})


@pytest.fixture
def origin(
    request: pytest.FixtureRequest, environment: None, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Choose the origin; see `support.origins`."""
    name: str = getattr(request, "param", "boto3")
    monkeypatch.setenv("TMPCACHE_ORIGIN", name)
    return name


@pytest.fixture
def short_read_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a second of silence for a broken connection, for origins of the environment."""
    monkeypatch.setattr("tmpcache.origin.s3.timeouts.READ_TIMEOUT", 1.0)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The one server of the whole run."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server, environment: None, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, empty and well-behaved, and named by the environment."""
    s3_server.reset()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server.endpoint)
    return s3_server


@pytest.fixture
def bucket(s3: S3Server) -> Bucket:
    """A fresh bucket."""
    return s3.bucket("models")


@pytest.fixture
def proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A network between the environment's endpoint and the server; it is good until `set`."""
    proxy = FaultProxy(s3.address)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
    yield proxy
    proxy.stop()


@pytest.fixture
def iam(s3: S3Server) -> Iterator[Iam]:
    """Users with rights, who are removed afterwards."""
    yield Iam(s3)
    s3.reset()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A path for a cache, where nothing is yet."""
    return tmp_path / "cache"


@pytest.fixture
def cache(root: Path, s3: S3Server) -> Iterator[Cache]:
    """A cache with room for everything, which asks the environment's endpoint every time."""
    with tmpcache.Cache(root, quota="256 MiB") as cache:
        yield cache


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount file systems: `small_disk("size=4m,nr_inodes=100")` is the directory of one."""
    with ExitStack() as stack:

        def mount(options: str) -> Path:
            mountpoint = Path(tempfile.mkdtemp(dir=tmp_path))
            try:
                return stack.enter_context(tmpfs(mountpoint, options))
            except NotPermitted as reason:
                pytest.skip(str(reason))

        yield mount


@pytest.fixture
def common_ground() -> Iterator[Path]:
    """A directory that every user may enter and write, like /tmp itself."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o1777)
        yield Path(name)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Have SIGINT raise KeyboardInterrupt in the main thread, wherever the tests run.

    In the background a shell has it ignored. In a finalizer it would be lost, as all exceptions
    are there, so nothing is collected meanwhile.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    signal.signal(signal.SIGINT, before)
