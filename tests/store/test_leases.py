"""A file whose path any process holds is not evicted, and a lease costs next to nothing."""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.disk import allocated
from support.processes import spawn, wait_until

import tmpcache
from tmpcache import Outcome
from tmpcache.store.database.recovering_index import RecoveringIndex
from tmpcache.store.database.transactions import Transactions
from tmpcache.testing import Bucket
from tmpcache.testing.faults import INTERNAL_ERROR

KIB = 1024


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    """Room for four of these objects."""
    for key in "abcdefgh":
        bucket.put(key, key.encode() * 200 * KIB)
    return tmpcache.Cache(root, quota="1 MiB", max_age=3600)


def push_out(cache: tmpcache.Cache) -> None:
    """Fetch so much that whatever may be evicted is evicted."""
    for key in "efgh":
        cache.fetch("models", key)


def test_a_path_is_protected_while_its_object_lives(cache: tmpcache.Cache) -> None:
    held = cache.fetch("models", "a")
    push_out(cache)
    assert held.read_bytes() == b"a" * 200 * KIB
    plain = Path(str(held))
    del held
    gc.collect()
    push_out(cache)
    cache.fetch("models", "b")
    assert not plain.exists()


@pytest.mark.parametrize("end", ["release", "with", "both"])
def test_a_lease_can_be_ended(cache: tmpcache.Cache, end: str) -> None:
    held = cache.fetch("models", "a")
    if end != "release":
        with held as same:
            assert same is held
    if end != "with":
        held.release()
        held.release()
    push_out(cache)
    assert not held.exists()


def test_two_paths_to_one_file_are_two_leases(cache: tmpcache.Cache) -> None:
    one, two = cache.fetch("models", "a"), cache.fetch("models", "a")
    one.release()
    push_out(cache)
    assert two.exists()


def test_a_path_held_by_another_process_is_protected(cache: tmpcache.Cache, root: Path) -> None:
    with spawn(
        """
        import tmpcache
        cache = tmpcache.Cache(root, quota="1 MiB", max_age=3600)
        held = cache.fetch("models", "a")
        say(str(held))
        hear()
        held.release()
        say()
        hear()
        """,
        root=str(root),
    ) as child:
        path = Path(child.hear())
        push_out(cache)
        assert path.exists()
        child.stop()  # frozen for as long as it may be
        push_out(cache)
        assert path.exists()
        child.resume()
        child.say()
        child.hear()
        push_out(cache)
        assert not path.exists()


def test_the_leases_of_a_killed_process_end_with_it(cache: tmpcache.Cache, root: Path) -> None:
    with spawn(
        """
        import tmpcache
        held = tmpcache.Cache(root, quota="1 MiB", max_age=3600).fetch("models", "a")
        say(str(held))
        hear()
        """,
        root=str(root),
    ) as child:
        path = Path(child.hear())
        child.kill()
    push_out(cache)
    assert not path.exists()
    assert len(os.listdir(root / "sessions")) == 1
    assert cache.usage().used == allocated(root)


def test_a_forked_child_holds_what_it_inherited(cache: tmpcache.Cache) -> None:
    held = cache.fetch("models", "a")
    plain = Path(str(held))
    asked, answered = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.read(asked[0], 1)  # the parent has let go and evicted
            whole = held.read_bytes() == b"a" * 200 * KIB
            again = cache.fetch("models", "a").outcome is Outcome.HIT
            held.release()
            os.write(answered[1], bytes([whole, again]))
            os.read(asked[0], 1)
        finally:
            os._exit(0)
    held.release()
    push_out(cache)
    assert plain.exists()
    os.write(asked[1], b"!")
    assert os.read(answered[0], 2) == bytes([True, True])
    push_out(cache)
    cache.fetch("models", "b")
    assert not plain.exists()
    os.write(asked[1], b"!")
    os.waitpid(pid, 0)
    for end in (*asked, *answered):
        os.close(end)


def test_a_childs_release_does_not_end_the_parents_lease(cache: tmpcache.Cache) -> None:
    held = cache.fetch("models", "a")
    pid = os.fork()
    if pid == 0:
        held.release()
        os._exit(0)
    os.waitpid(pid, 0)
    push_out(cache)
    assert held.exists()


def test_a_parents_death_leaves_no_session_behind_in_the_child(
    cache: tmpcache.Cache, root: Path
) -> None:
    """A child that holds nothing must not keep its parent's leases alive."""
    with spawn(
        """
        import tmpcache
        cache = tmpcache.Cache(root, quota="1 MiB", max_age=3600)
        path = str(cache.fetch("models", "a"))
        pid = os.fork()
        if pid == 0:
            hear()
            os._exit(0)
        held = cache.fetch("models", "a")
        say(path)
        os.kill(os.getpid(), 9)
        """,
        root=str(root),
    ) as parent:
        path = Path(parent.hear())
        parent.wait()
        push_out(cache)
        cache.fetch("models", "b")
        assert not path.exists()


def test_hundreds_of_leases(cache: tmpcache.Cache, root: Path) -> None:
    """More than a page of the table holds; and not one file descriptor more."""
    before = len(os.listdir("/dev/fd"))
    held = [cache.fetch("models", "a") for _ in range(3000)]
    assert len(os.listdir("/dev/fd")) <= before + 6
    push_out(cache)
    assert all(path.exists() for path in held)
    assert cache.usage().used == allocated(root)
    first = held[0]
    held.clear()
    first.release()
    push_out(cache)
    assert not first.exists()


def test_threads_that_fetch_release_and_evict_never_see_a_file_go(
    root: Path, bucket: Bucket
) -> None:
    """The protocol between leases and eviction, under fire: 8 threads, room for 2 of 6 objects."""
    for key in "abcdef":
        bucket.put(key, key.encode() * 300 * KIB)
    cache = tmpcache.Cache(root, quota="1 MiB", max_age=3600)
    problems: list[str] = []

    def work(number: int) -> None:
        for step in range(60):
            key = "abcdef"[(number * 7 + step * 5) % 6]
            try:
                with cache.fetch("models", key) as path:
                    content = path.read_bytes()
                    if content != key.encode() * 300 * KIB:
                        problems.append(f"{key}: {len(content)} bytes")
            except tmpcache.errors.QuotaExceededError:
                continue  # the others hold everything right now
            except Exception as error:
                problems.append(repr(error))

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert cache.stats().evicted > 20
    assert cache.usage().used == allocated(root) <= 1024 * KIB


# ---- what a hit costs


def test_a_repeated_hit_is_one_stat(
    cache: tmpcache.Cache, root: Path, bucket: Bucket, tmp_path: Path
) -> None:
    """Counted, not timed: no lock, no read, no write, no network; one look at the file."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    trace = tmp_path / "trace"
    script = f"""
import os, tmpcache
cache = tmpcache.Cache({str(root)!r}, quota="1 MiB", max_age=3600)
cache.fetch("models", "a"); cache.fetch("models", "a")
tmpcache.store.store._CHECK_SESSION_AFTER = 60.0  # the session: ten times a second at most
os.stat("/begin/of/hits") if os.path.exists("/begin/of/hits") else None
for _ in range(100):
    assert cache.fetch("models", "a").outcome is tmpcache.Outcome.HIT
os.path.exists("/end/of/hits")
"""
    command = ["strace", "-f", "-o", str(trace), sys.executable, "-c", script]
    subprocess.run(command, check=True, capture_output=True)
    lines = trace.read_text().splitlines()
    begin, end = (
        next(n for n, line in enumerate(lines) if f"/{word}/of/hits" in line)
        for word in ("begin", "end")
    )
    calls = [line.split(None, 1)[1].split("(")[0] for line in lines[begin + 1 : end]]
    calls = [call for call in calls if call not in ("brk", "mmap", "munmap", "clock_gettime")]
    assert len(calls) == 100, calls[:20]
    assert set(calls) <= {"newfstatat", "stat", "statx"}


def test_a_cache_that_outlives_its_modules_goes_quietly(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it happens when the interpreter ends with the cache in a cycle."""
    cache = tmpcache.Cache(root)
    database = cache._store.database
    database.session()
    modules = "database.database", "database.recovering_index", "filesystem.files", "root"
    for module in (*modules, "leases.session"):
        monkeypatch.setattr(f"tmpcache.store.{module}.os", None, raising=False)
    database.__del__()
    assert database._index._index is None


def test_threads_that_find_no_free_lease_at_once_widen_the_table_once(
    cache: tmpcache.Cache, root: Path
) -> None:
    held = [cache.fetch("models", "a") for _ in range(447)]
    (table,) = (root / "sessions").iterdir()
    assert table.stat().st_size == 4096
    index = sqlite3.connect(root / "index.sqlite", isolation_level=None)
    index.execute("BEGIN IMMEDIATE")  # nobody gets past this
    threads = [
        threading.Thread(target=lambda: held.append(cache.fetch("models", "a"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()

    writes = Transactions.write.__code__, RecoveringIndex.use.__code__

    def waits(thread: threading.Thread) -> bool:
        frame = sys._current_frames().get(thread.ident or 0)
        while frame is not None and frame.f_code not in writes:
            frame = frame.f_back
        return frame is not None

    wait_until(lambda: all(map(waits, threads)))
    index.execute("ROLLBACK")
    index.close()
    for thread in threads:
        thread.join()
    assert len(held) == 455
    assert table.stat().st_size == 8192


@pytest.mark.usefixtures("ctrl_c")  # nothing is collected meanwhile
def test_a_stale_answer_is_held_no_longer_than_its_path(bucket: Bucket, root: Path) -> None:
    """The error of the request that failed leads to frames; they may not keep the lease."""
    bucket.put("stale", b"stale")
    with tmpcache.Cache(root, quota="4 MiB", loaded_most=0) as cache:
        cache.fetch("models", "stale").release()
        bucket.inject("stale", INTERNAL_ERROR)
        path = cache.fetch("models", "stale", stale_if_error=60)
        assert path.outcome is Outcome.STALE
        assert cache.usage().leased > 0
        del path
        assert cache.usage().leased == 0
        cache.load("models", "stale", lambda file: file.read_bytes(), stale_if_error=60)
        assert cache.usage().leased == 0


def test_a_table_of_many_leases_becomes_small_again(cache: tmpcache.Cache, root: Path) -> None:
    """A miss of any process took 14 ms, once somebody had held 200,000 paths for a moment."""
    first = cache.fetch("models", "a")
    held = [cache.fetch("models", "a") for _ in range(5000)]
    (table,) = (root / "sessions").iterdir()
    assert table.stat().st_size == 64 * KIB
    session = first._lease.session
    del held
    for _ in range(6):
        session._shrunk = 0.0  # as if a second had passed
        cache.fetch("models", "b").release()
        cache.evict("models", "b")
    assert table.stat().st_size == 4096
    assert sorted(session.free) == [slot for slot in range(65, 512) if slot != first._lease.slot]
    again = [cache.fetch("models", "a") for _ in range(1000)]
    push_out(cache)
    assert all(file.exists() for file in (first, *again))
