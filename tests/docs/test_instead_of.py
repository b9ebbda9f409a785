"""What `docs/instead-of.md` says of others and of tmpcache, by running the code of both.

The others run in environments of their own: what cached_path and s3fs require contradicts what the
tests are to run with. The versions are those that the benchmarks compare.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.peers.environments import interpreter
from benchmarks.peers.roster import PEERS, Peer
from tmpcache.testing import Bucket
from tmpcache.testing.faults import ACCESS_DENIED, Fault, Headers

ROOT = next(path for path in Path(__file__).parents if (path / "pyproject.toml").exists())
PAIR = re.compile(r'^```python title="(.*?)"\n(.*?)^```.*?title="tmpcache"\n(.*?)^```', re.S | re.M)
PAIRS = {
    name: {name: theirs, f"tmpcache for {name}": ours}
    for name, theirs, ours in PAIR.findall((ROOT / "docs/instead-of.md").read_text())
}
CODE = {name: code for pair in PAIRS.values() for name, code in pair.items()}
KEY = "e13b.npz"
SHOW = "print(open(model()).read())"
#: Runs the code of that name, and then something else; returns what it printed.
Run = Callable[..., str]


@pytest.fixture(scope="module")
def interpreters(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return a Python for each of the others: one for those that agree on boto3, one for s3fs."""
    directory = str(tmp_path_factory.mktemp("environments"))
    known = {peer.name: peer.requirements or () for peer in PEERS}
    agreeing = known["cached_path"] + known["cloudpathlib"] + known["diskcache + boto3"]
    with_boto3 = interpreter(
        Peer("boto3's", "boto3", tuple(dict.fromkeys(agreeing)), ""), directory
    )
    with_s3fs = interpreter(Peer("s3fs", "s3fs", known["fsspec + s3fs"], ""), directory)
    return {name: with_s3fs if name == "fsspec" else with_boto3 for name in PAIRS}


@pytest.fixture
def run(interpreters: dict[str, str], bucket: Bucket, tmp_path: Path) -> Run:
    """Run code of the page in a process of its own, with its files in this test's directory."""

    def ran(name: str, after: str = SHOW, **environ: str) -> str:
        code = CODE[name].replace('"/tmp', f'"{tmp_path}')
        path = os.pathsep.join(filter(None, sys.path)) if name.startswith("tmpcache") else ""
        done = subprocess.run(
            [interpreters.get(name, sys.executable), "-c", f"{code}\n{after}"],
            env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path), **environ},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    return ran


def asked(bucket: Bucket) -> list[str]:
    """Return the methods of the requests for the object since this was called last."""
    methods = [one.method for one in bucket.server.requests if one.path == bucket.path(KEY)]
    bucket.server.forget()
    return methods


def test_each_of_the_five_has_a_pair() -> None:
    assert list(PAIRS) == ["boto3", "cached_path", "fsspec", "cloudpathlib", "diskcache"]


@pytest.mark.parametrize(
    ("name", "unchanged", "changed", "seen"),
    [
        ("boto3", [], [], "one"),
        ("tmpcache for boto3", [], [], "one"),  # within 300 s
        ("cached_path", ["HEAD"], ["HEAD", "HEAD", "GET"], "two"),
        ("tmpcache for cached_path", ["GET"], ["GET"], "two"),
        ("fsspec", ["HEAD"] * 2, ["HEAD"] * 3 + ["GET", "HEAD"], "two"),
        ("tmpcache for fsspec", ["GET"], ["GET"], "two"),
        ("cloudpathlib", ["HEAD"] * 2, ["HEAD"] * 5 + ["GET"], "two"),
        ("tmpcache for cloudpathlib", ["GET"], ["GET"], "two"),
        ("diskcache", [], [], "one"),
        ("tmpcache for diskcache", ["GET"], ["GET"], "two"),
    ],
)
def test_what_is_asked_and_what_is_noticed(
    bucket: Bucket, run: Run, name: str, unchanged: list[str], changed: list[str], seen: str
) -> None:
    bucket.put(KEY, b"one")
    assert run(name) == "one"
    asked(bucket)
    assert (run(name), asked(bucket)) == ("one", unchanged)
    bucket.put(KEY, b"two")
    assert (run(name), asked(bucket)) == (seen, changed)


def test_boto3s_file_is_for_everybody_and_tmpcaches_for_whom_s3_allows(
    bucket: Bucket, run: Run
) -> None:
    bucket.put(KEY, b"one")
    assert run("boto3") == run("tmpcache for boto3") == "one"
    bucket.inject(KEY, ACCESS_DENIED)
    others = {"AWS_ACCESS_KEY_ID": "others"}
    assert run("boto3", **others) == "one"
    refused = f"try: {SHOW}\nexcept PermissionError: print('refused')"
    assert run("tmpcache for boto3", refused, **others) == "refused"


def test_cached_path_keeps_each_version_for_ever(bucket: Bucket, run: Run, tmp_path: Path) -> None:
    for content in ("one", "two"):
        bucket.put(KEY, content.encode())
        assert run("cached_path") == content
    kept = [path.read_bytes() for path in (tmp_path / "models").iterdir()]
    assert {b"one", b"two"} <= {*kept}


def test_cloudpathlib_misses_a_change_within_a_second(bucket: Bucket, run: Run) -> None:
    def in_one_second(status: int, headers: Headers) -> Headers:
        kept = [(name, value) for name, value in headers if name.lower() != "last-modified"]
        return [*kept, ("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")]

    for method in ("GET", "HEAD"):
        bucket.server.inject(bucket.path(KEY), Fault(edit=in_one_second), method=method)
    bucket.put(KEY, b"one")
    assert run("cloudpathlib") == run("tmpcache for cloudpathlib") == "one"
    bucket.put(KEY, b"two")
    assert (run("cloudpathlib"), run("tmpcache for cloudpathlib")) == ("one", "two")


@pytest.mark.parametrize(
    ("name", "kept"), [("diskcache", "False"), ("tmpcache for diskcache", "True")]
)
def test_a_limit_and_a_path_in_use(
    bucket: Bucket, run: Run, monkeypatch: pytest.MonkeyPatch, name: str, kept: str
) -> None:
    monkeypatch.setitem(CODE, name, CODE[name].replace("400_000_000", "2_000_000"))
    bucket.put(KEY, b"one")
    for number in range(25):
        bucket.put(f"other/{number}", os.urandom(100_000))
    after = "import os; path = model()\nfor n in range(25): model(f'other/{n}')\n"
    assert run(name, f"{after}print(os.path.exists(path))") == kept


def test_tmpcache_refuses_what_there_is_no_room_for(
    bucket: Bucket, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "tmpcache for diskcache"
    monkeypatch.setitem(CODE, name, CODE[name].replace("400_000_000", "2_000_000"))
    bucket.put(KEY, bytes(3_000_000))
    refused = f"try: {SHOW}\nexcept OSError as error: print(type(error).__name__)"
    assert run(name, refused) == "QuotaExceededError"


@pytest.mark.parametrize("cause", ["refused", "unreachable"])
@pytest.mark.parametrize(
    ("name", "refused", "unreachable"),
    [
        ("cached_path", "error", "one"),
        ("fsspec", "error", "error"),
        ("cloudpathlib", "one", "error"),  # a HEAD that is refused has it list the bucket
        ("diskcache", "one", "one"),
        ("tmpcache for cached_path", "error", "error"),
    ],
)
def test_what_is_left_without_s3(
    bucket: Bucket, run: Run, name: str, refused: str, unreachable: str, cause: str
) -> None:
    bucket.put(KEY, b"one")
    assert run(name) == "one"
    for method in ("GET", "HEAD"):
        bucket.server.inject(bucket.path(KEY), ACCESS_DENIED, method=method)
    nobody = "http://127.0.0.1:9"
    environ = (
        {} if cause == "refused" else {"AWS_ENDPOINT_URL": nobody, "AWS_ENDPOINT_URL_S3": nobody}
    )
    found = run(name, f"try: {SHOW}\nexcept Exception: print('error')", **environ)
    assert found == (refused if cause == "refused" else unreachable)
