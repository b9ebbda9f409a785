"""Accidents of processes on one machine that users of other caches have reported.

Each test is named after what went wrong there, and shows what happens here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from support.content import content
from support.disk import namespaces_are_allowed
from support.processes import crowd, release, spawn
from support.proxy import FaultProxy, Trouble

from tmpcache import Cache, Outcome
from tmpcache.testing import Bucket

MIB = 1 << 20


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
        assert len(os.listdir(f"{root}/sessions")) == 1  # the new one
        say(cache.stats().damaged)
    """
    with spawn(code, root=str(root)) as child:
        # SQLite goes on to use the numbers of the descriptors that it knew for this file.
        assert child.hear() == {"index": 1}
    with Cache(root) as cache:
        assert {entry.key for entry in cache.entries()} == {"b"}
        assert not cache.verify().damaged


@pytest.mark.parametrize("forks", [False, True], ids=["", "forks"])
def test_what_got_the_numbers_of_closed_descriptors_stays_open(
    root: Path, bucket: Bucket, forks: bool
) -> None:
    bucket.put("a", b"hello")
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="8 MiB", max_age=60)
        cache.fetch("models", "a").release()
        os.closerange(3, 256)
        strangers = [os.open("/dev/null", os.O_RDONLY) for _ in range(30)]
        cache.close()
        if forks and os.fork():
            raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
        assert tmpcache.Cache(root, quota="8 MiB").fetch("models", "a").read_bytes() == b"hello"
        say([os.readlink(f"/proc/self/fd/{fd}") for fd in strangers])
    """
    with spawn(code, root=str(root), forks=forks) as child:
        assert child.hear() == ["/dev/null"] * 30


def test_others_keep_their_leases_when_the_numbers_of_their_sessions_are_closed(
    root: Path, bucket: Bucket, tmp_path: Path
) -> None:
    """A process keeps others' session files open: it looks there who lives, and what is leased."""
    for key in ("a", "b", "c", "d", "e", "f"):
        bucket.put(key, content(key, MIB))
    other = """
        import tmpcache
        path = tmpcache.Cache(root, quota="4 MiB").fetch("models", "a")
        say(); hear()
        say(path.exists())
    """
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="4 MiB")
        for key in "bcd":  # evicts: the session of the other process is open from now on
            cache.fetch("models", key).release()
        assert cache.stats().evicted
        os.closerange(3, 256)
        strangers = [os.open(f"{files}/{n}", os.O_RDWR | os.O_CREAT) for n in range(30)]
        for fd in strangers:
            os.write(fd, bytes(8192))
        evicted = cache.stats().evicted
        for key in "efbcd":
            cache.fetch("models", key).release()
        assert cache.stats().evicted > evicted
        say(all(os.pread(fd, 9000, 0) == bytes(8192) for fd in strangers))
    """
    with (
        spawn(other, root=str(root)) as holder,
        spawn("hear()\n" + textwrap.dedent(code), root=str(root), files=str(tmp_path)) as child,
    ):
        holder.hear()
        child.say()
        assert child.hear() is True
        holder.say()
        assert holder.hear() is True


def test_a_daemon_that_forks_before_it_closes_all_descriptors_loses_nothing(
    root: Path, bucket: Bucket
) -> None:
    """What python-daemon does, and every daemon after Stevens."""
    bucket.put("a", b"hello")
    bucket.put("b", content("b", MIB))
    code = """
        import tmpcache
        cache = tmpcache.Cache(root, quota="8 MiB", max_age=60)
        path = cache.fetch("models", "a")
        if os.fork():
            os.wait()
            raise SystemExit(0)
        os.closerange(3, 256)
        assert cache.fetch("models", "a").outcome.name == "HIT"
        assert cache.fetch("models", "b").size == 1 << 20
        assert path.read_bytes() == b"hello"
        say(cache.stats().damaged)
    """
    with spawn(code, root=str(root)) as child:
        assert child.hear() == {}
    with Cache(root) as cache:
        assert {entry.key for entry in cache.entries()} == {"a", "b"}


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
