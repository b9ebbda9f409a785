"""Accidents that users of other caches and downloaders have told of; docs/accidents.md lists them.

Each test is named after what went wrong there, and shows what happens here.
"""

from __future__ import annotations

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from support.content import content
from support.disk import namespaces_are_allowed
from support.handmade import Answer, Asked, HandmadeS3, error, etag_of, handmade, object_answer
from support.origins import ORIGINS
from support.processes import crowd, release, spawn
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


# ---- names -------------------------------------------------------------------------------------


def test_a_marker_of_a_directory_is_in_no_files_way(
    root: Path, store: Callable[..., HandmadeS3], tmp_path: Path
) -> None:
    keys = ["p/abc", "p/abc/", "p/abc/asd", "p/d/", "p/d/e"]

    def answer(asked: Asked) -> Answer:
        body = b"" if asked.path.endswith("/") else b"hello"
        return listing(*keys) if "list-type" in asked.query else object_answer(asked, body)

    store(answer)
    with Cache(root, quota="8 MiB") as cache:
        tree = cache.fetch_prefix("b", "p/", into=tmp_path / "tree")
        assert sorted(tree) == keys
        assert (tmp_path / "tree/d/e").read_bytes() == b"hello"
        # There is no room for a file and a directory of one name; the mapping has them all.
        assert set(tree.unlinked) == {"p/abc/", "p/abc/asd"}
        assert (tmp_path / "tree/abc").read_bytes() == b"hello"


@pytest.mark.parametrize("length", [250, 300, 1000])
def test_a_long_key_is_no_file_name(root: Path, tmp_path: Path, length: int) -> None:
    keys = [("k" * length), ("k" * (length - 4) + ".npz"), "k." + "s" * (length - 2)]
    shelf = Shelf({key: key.encode() for key in keys})
    with Cache(root, quota="8 MiB", origin=shelf) as cache:
        for key in keys:
            assert cache.fetch("b", key).read_bytes() == key.encode()
        tree = cache.fetch_prefix("b", "k", into=tmp_path / "tree")
        assert sorted(tree) == sorted(keys)
        too_long = keys if length > 255 else []
        assert dict(tree.unlinked) == dict.fromkeys(too_long, "File name too long")


def test_names_that_look_the_same_are_different_objects(root: Path, tmp_path: Path) -> None:
    keys = ["p/caf\u00e9.txt", "p/cafe\u0301.txt", "p/A.1", "p/a.1", "p/A.2"]
    shelf = Shelf({key: key.encode() for key in keys})
    with Cache(root, quota="8 MiB", origin=shelf, max_age=60) as cache:
        for _ in range(2):
            for key in keys:
                assert cache.fetch("b", key).read_bytes() == key.encode()
        cache.fetch_prefix("b", "p/", into=tmp_path / "tree")
        files = (tmp_path / "tree").iterdir()
        assert {f"p/{file.name}": file.read_text() for file in files} == {key: key for key in keys}


@pytest.mark.parametrize(
    "name", ["a%2Fb", "a?mode=ro", "a#b", "a%41", "a b", "a'\"b", "file:a", "a\nb", "ü", "a\udcff"]
)
def test_signs_in_the_path_of_the_cache_mean_nothing(tmp_path: Path, name: str) -> None:
    shelf = Shelf({"a": b"hello"})
    for outcome in (Outcome.FETCHED, Outcome.HIT):
        with Cache(tmp_path / name, quota="8 MiB", origin=shelf, max_age=60) as cache:
            assert cache.fetch("b", "a").outcome is outcome
    assert set(os.listdir(tmp_path)) == {name, "home"}


# ---- the disk ----------------------------------------------------------------------------------


def test_a_temporary_directory_on_another_file_system(
    root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.stat("/dev/shm").st_dev == os.stat(root.parent).st_dev:
        pytest.skip("needs two file systems")
    bucket.put("small", b"x" * 100)
    bucket.put("large", content("large", MIB))
    code = """
        import tempfile, tmpcache
        with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
            os.environ["TMPDIR"] = tempfile.tempdir = other
            with tmpcache.Cache(root, quota="8 MiB") as cache:
                assert len(cache.fetch("models", "large").read_bytes()) == 1 << 20
                assert len(cache.fetch_many("models", ["small", "large"])) == 2
                cache.put("models", "new", b"new")
                assert cache.fetch_prefix("models", "", into=other + "/tree").unlinked == {}
                with cache.scratch() as work:
                    work.fetch("models", "large")
                assert os.listdir(other) == ["tree"], os.listdir(other)
        say()
    """
    with spawn(code, root=str(root)) as child:
        child.hear()


def test_a_tool_that_rewrites_a_link_in_place_does_not_change_the_cache(
    root: Path, tmp_path: Path
) -> None:
    shelf = Shelf({"p/code.py": b"def hello( ):\n    pass\n"})
    with Cache(root, quota="8 MiB", origin=shelf, max_age=3600) as cache:
        tree = cache.fetch_prefix("b", "p/", into=tmp_path / "tree")
        link = tmp_path / "tree" / "code.py"
        assert link.samefile(tree["p/code.py"])
        if os.geteuid() != 0:
            with pytest.raises(PermissionError):
                link.write_bytes(b"")
        link.chmod(0o644)
        link.write_bytes(b"def hello():\n    pass\n")
        assert cache.fetch("b", "p/code.py").read_bytes() == b"def hello( ):\n    pass\n"
        assert link.read_bytes() == b"def hello():\n    pass\n"


# ---- processes ---------------------------------------------------------------------------------


def test_a_user_without_a_name_or_a_home(bucket: Bucket, tmp_path: Path) -> None:
    if not namespaces_are_allowed():
        pytest.skip("needs user namespaces")
    bucket.put("a", b"hello")
    code = """
import os, pwd, tmpcache
try:
    pwd.getpwuid(os.getuid())
except KeyError:
    pass
else:
    raise SystemExit("the user has a name")
path = tmpcache.fetch("models", "a")
assert path.read_bytes() == b"hello"
print(path.parent)
"""
    kept = {k: v for k, v in os.environ.items() if k.startswith(("AWS_", "PYTHONPATH"))}
    done = subprocess.run(
        ["unshare", "--user", "--map-user=54321", "--map-group=54321", sys.executable, "-c", code],
        env={**kept, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/tmpcache-54321" in done.stdout


DOWNLOAD = """
    import tmpcache
    cache = tmpcache.Cache(root, quota="64 MiB")
    say(); hear()
    path = cache.fetch("models", "a")
    say([path.outcome.name, path.stat().st_size])
    hear()
"""


def test_a_launch_that_was_interrupted_does_not_hold_up_the_next_one(
    root: Path, bucket: Bucket, proxy: FaultProxy
) -> None:
    bucket.put("a", content("a", 4 * MIB))
    for number in (signal.SIGKILL, signal.SIGTERM):
        proxy.set(Trouble(body="stall", after=MIB, times=1))
        with spawn(DOWNLOAD, root=str(root)) as child:
            child.hear()
            child.say()
            proxy.wait_struck()
            child.signal(number)
            child.wait()
        proxy.heal()
    began = time.monotonic()
    with Cache(root, quota="64 MiB", lock_timeout=60) as cache:
        assert cache.fetch("models", "a").size == 4 * MIB
    assert time.monotonic() - began < 30


def test_what_a_terminated_process_left_goes_with_the_next_use(root: Path, bucket: Bucket) -> None:
    bucket.put("a", b"hello")
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="8 MiB")
        work = cache.scratch().__enter__()
        (work / "frame.npy").write_bytes(bytes(1 << 20))
        say(str(work)); hear()
    """
    with spawn(code, root=str(root)) as child:
        left = Path(child.hear())
        child.signal(signal.SIGTERM)
        child.wait()
    assert left.exists()
    with Cache(root, quota="8 MiB") as cache:
        cache.fetch("models", "a")
        assert not left.exists()


def test_workers_that_start_together_load_one_whole_file(root: Path, bucket: Bucket) -> None:
    bucket.put("a", content("a", 4 * MIB))
    with crowd(4, DOWNLOAD, root=str(root)) as workers:
        release(workers)
        assert [worker.hear()[1] for worker in workers] == [4 * MIB] * 4
    assert sum(not one.etag_asked for one in bucket.gets("a")) == 1


def test_a_file_that_another_process_evicts_can_be_read_to_its_end(
    root: Path, bucket: Bucket
) -> None:
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
        path = cache.fetch("models", "a")
        with open(path, "rb") as opened:
            opened.read(10)
            say(); hear()
            again = cache.fetch("models", "a")
            say([len(opened.read()), again.stat().st_size])
            path.release(); again.release(); say(); hear()
            say(len(cache.fetch("models", "a").read_bytes()))
    """
    bucket.put("a", content("a", MIB))
    bucket.put("b", content("b", MIB))
    with spawn(code, root=str(root)) as reader, Cache(root, quota="4 MiB") as other:
        reader.hear()
        other.clear()
        reader.say()
        assert reader.hear() == [MIB - 10, MIB]
        reader.hear()
        other.clear()
        reader.say()
        assert reader.hear() == MIB


def test_processes_that_clear_one_cache_at_the_same_time(root: Path) -> None:
    code = """
        import tmpcache
        from support.anywhere import MemoryOrigin
        cache = tmpcache.Cache(root, quota="64 MiB", origin=MemoryOrigin())
        for number in range(50):
            cache.fetch("b", f"{number}-{index}").release()
        say(); hear()
        cache.clear()
        for number in range(5):
            cache.fetch("b", f"{number}-{index}").release()
            cache.clear()
        cache.close()
        say("well")
    """
    with crowd(4, code, root=str(root)) as children:
        release(children)
        assert [child.hear() for child in children] == ["well"] * 4


def test_a_large_prefix_needs_few_descriptors(root: Path, tmp_path: Path) -> None:
    code = """
        import resource, tmpcache
        from support.shelf import Shelf
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        shelf = Shelf({f"kitti/{n % 30}/{n}.png": b"%d" % n for n in range(3000)})
        cache = tmpcache.Cache(root, quota="64 MiB", origin=shelf)
        tree = cache.fetch_prefix("b", "kitti/", into=into)
        assert tree.unlinked == {}
        assert [int(p.read_bytes()) for p in tree.values()]
        say([len(tree), len(os.listdir("/proc/self/fd"))])
    """
    with spawn(code, root=str(root), into=str(tmp_path / "tree")) as child:
        found, opened = child.hear()
    assert found == 3000
    assert opened < 40


def test_a_daemon_that_closes_all_descriptors_goes_on(root: Path, bucket: Bucket) -> None:
    bucket.put("a", b"hello")
    bucket.put("b", content("b", MIB))
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="8 MiB", max_age=60)
        path = cache.fetch("models", "a")
        os.closerange(3, 256)
        assert cache.fetch("models", "a").outcome.name == "HIT"
        assert cache.fetch("models", "b").size == 1 << 20
        assert path.read_bytes() == b"hello"
        say()
    """
    with spawn(code, root=str(root)) as child:
        child.hear()


@pytest.mark.parametrize("size", [1000, 300_000, 9_000_000])
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)], ids=str)
def test_what_is_written_to_a_closed_stream_is_not_in_a_cached_file(
    root: Path, closed: tuple[int, ...], size: int
) -> None:
    """The next file that is opened gets the number; a warning of a library would go into it."""
    code = """
        import tmpcache
        from support.content import content
        from support.shelf import Shelf
        pipe = os.dup(1)
        body = content("a", size)
        shelf = Shelf({"a": body})
        def warn(key, at, halted):
            for fd in closed:
                try:
                    os.write(fd, b"WARNING: Connection pool is full")
                except OSError:
                    pass
        shelf.pace = warn
        for fd in closed:
            os.close(fd)
        cache = tmpcache.Cache(root, quota="64 MiB", origin=shelf)
        same = cache.fetch("b", "a").read_bytes() == body
        os.write(pipe, json.dumps(same and cache.verify().damaged == ()).encode() + b"\\n")
    """
    with spawn(code, root=str(root), closed=closed, size=size) as child:
        assert child.hear() is True


@pytest.mark.parametrize("name", ["partial", "blobs", "sessions"])
def test_a_directory_that_lost_its_write_permission(root: Path, name: str) -> None:
    """As the ordinary user that owns it. Nobody waits, and what is raised can be understood."""
    code = """
        import signal, tmpcache
        from support.shelf import Shelf
        def cache():
            shelf = Shelf({key: bytes(300_000) for key in "abc"})
            return tmpcache.Cache(root, quota="8 MiB", max_age=60, origin=shelf)
        first = cache()
        first.fetch("b", "a").release()
        os.chmod(f"{root}/{name}", 0o500)
        signal.alarm(10)  # ends the process
        say([first.fetch("b", "b").outcome.name, cache().fetch("b", "c").outcome.name])
    """
    with spawn(code, root=str(root), name=name) as child:
        assert child.hear() == ["FETCHED", "FETCHED"]


def test_a_relative_temporary_directory_is_the_same_after_chdir(
    tmp_path: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("a", b"hello")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", "below")
    with Cache(quota="8 MiB", max_age=60) as cache:
        path = cache.fetch("models", "a")
        monkeypatch.chdir("/")
        assert path.read_bytes() == b"hello"
        assert cache.fetch("models", "a").outcome is Outcome.HIT
    assert cache.root == tmp_path / "below" / f"tmpcache-{os.geteuid()}"


# ---- the page ----------------------------------------------------------------------------------


def test_the_page_names_tests_that_exist(pytestconfig: pytest.Config) -> None:
    page = (pytestconfig.rootpath / "docs/accidents.md").read_text()
    named = set(re.findall(r"`(tests/\w+/test_\w+\.py)::(test_\w+)`", page))
    assert len(named) > 50
    for file, name in named:
        assert f"def {name}(" in (pytestconfig.rootpath / file).read_text(), (file, name)
    here = {name for file, name in named if file == "tests/whole/test_accidents.py"}
    others = {"test_the_page_names_tests_that_exist", "test_dates_of_what_the_caller_asks_stay"}
    assert here | others == {name for name in globals() if name.startswith("test_")}
