"""A process notices that its session file was deleted, and its paths stay protected."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from support.disk import allocated
from support.processes import spawn
from support.shelf import Shelf

import tmpcache
from tmpcache import Outcome

KIB = 1024


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({key: key.encode() * 200 * KIB for key in "abcdefgh"})


@pytest.fixture
def cache(root: Path, shelf: Shelf) -> tmpcache.Cache:
    """Room for four of these objects."""
    return tmpcache.Cache(root, quota="1 MiB", max_age=3600, origin=shelf)


def sessions(root: Path) -> list[Path]:
    return [*(root / "sessions").iterdir()]


def test_leases_outlast_their_deleted_session_file(cache: tmpcache.Cache, root: Path) -> None:
    held = cache.fetch("b", "a")
    (session,) = sessions(root)
    session.unlink()
    for key in "bcdefgh":
        cache.fetch("b", key).release()
    assert held.read_bytes() == b"a" * 200 * KIB
    (again,) = sessions(root)
    assert again != session
    assert cache.usage().leased >= 200 * KIB
    held.release()
    for key in "bcdefgh":
        cache.fetch("b", key).release()
    assert not held.exists()


def test_a_renewed_session_protects_from_other_processes(
    cache: tmpcache.Cache, root: Path, shelf: Shelf
) -> None:
    held = cache.fetch("b", "a")
    sessions(root)[0].unlink()
    cache.fetch("b", "b").release()
    with spawn(
        """
        import tmpcache
        from support.shelf import Shelf
        shelf = Shelf({key: key.encode() * 200 * 1024 for key in "abcdefgh"})
        cache = tmpcache.Cache(root, quota="1 MiB", origin=shelf)
        for key in "cdefgh":
            cache.fetch("b", key).release()
        say(cache.stats().evicted)
        """,
        root=str(root),
    ) as child:
        assert child.hear() > 0
    assert held.read_bytes() == b"a" * 200 * KIB


def test_leases_of_a_deleted_session_are_known_to_who_has_seen_it(
    cache: tmpcache.Cache, root: Path, shelf: Shelf
) -> None:
    """Its process does nothing meanwhile that could make it anew."""
    held = cache.fetch("b", "a")
    (session,) = sessions(root)
    with tmpcache.Cache(root, quota="1 MiB", origin=shelf) as other:
        for key in "bcde":
            other.fetch("b", key).release()
        session.unlink()
        for key in "fgh":
            other.fetch("b", key).release()
        assert other.stats().evicted > 3
        assert held.read_bytes() == b"a" * 200 * KIB
        held.release()
        for key in "bcde":
            other.fetch("b", key).release()
        assert not held.exists()


def test_everything_deleted_under_a_living_process(cache: tmpcache.Cache, root: Path) -> None:
    """Handlers that empty /tmp at their end: the next invocation goes on as if nothing was."""
    cache.fetch("b", "a").release()
    shutil.rmtree(root)
    held = cache.fetch("b", "b")
    for key in "acdefgh":
        cache.fetch("b", key).release()
    assert held.exists()
    assert len(sessions(root)) == 1
    assert cache.usage().leased >= 200 * KIB


def test_scratch_is_made_on_a_root_that_has_vanished(cache: tmpcache.Cache, root: Path) -> None:
    """It span for ever."""
    cache.fetch("b", "a").release()
    shutil.rmtree(root)
    with cache.scratch() as work:
        (work / "file").write_text("here")
    assert not work.exists()


def test_scratch_of_the_living_stays_although_sessions_were_deleted(
    cache: tmpcache.Cache, root: Path, shelf: Shelf
) -> None:
    work = cache.scratch()
    (work / "an-hour-of-work").write_text("precious")
    for session in sessions(root):
        session.unlink()
    with spawn(
        """
        import tmpcache
        from support.shelf import Shelf
        with tmpcache.Cache(root, origin=Shelf({"a": b"a"})) as cache:
            cache.fetch("b", "a").release()
            cache.gc()
            say()
        """,
        root=str(root),
    ) as child:
        child.hear()
    assert (work / "an-hour-of-work").read_text() == "precious"
    work.remove()
    assert [*(root / "scratch").iterdir()] == []


def test_scratch_of_the_dead_goes(cache: tmpcache.Cache, root: Path) -> None:
    with spawn(
        """
        import tmpcache
        work = tmpcache.Cache(root).scratch()
        (work / "file").write_text("left")
        say()
        hear()
        """,
        root=str(root),
    ) as child:
        child.hear()
        os.kill(child.pid, signal.SIGKILL)
    assert len([*(root / "scratch").iterdir()]) == 1
    cache.gc()
    assert [*(root / "scratch").iterdir()] == []


def test_a_child_forked_without_hooks_takes_nothing_from_its_parent(root: Path) -> None:
    """uWSGI forks so. Parent and child used the same session file and the same slots in it.

    In a process without threads: others that wait for the interpreter are not in such a child.
    """
    with spawn(
        """
        import ctypes
        import tmpcache
        from support.shelf import Shelf
        shelf = Shelf({key: key.encode() * 200 * 1024 for key in "abcdefgh"})
        cache = tmpcache.Cache(root, quota="1 MiB", max_age=3600, origin=shelf)
        held = [cache.fetch("b", "a")]
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            held.clear()  # releases what is the parent's, too
            mine = cache.fetch("b", "b")
            for key in "cdefgh":
                cache.fetch("b", key).release()
            os._exit(0 if mine.read_bytes() == b"b" * 200 * 1024 else 1)
        say(os.waitpid(pid, 0)[1])
        for key in "cdefgh":
            cache.fetch("b", key).release()
        say(held[0].read_bytes() == b"a" * 200 * 1024)
        """,
        root=str(root),
    ) as child:
        assert child.hear() == 0
        assert child.hear() is True
    assert allocated(root) <= 1024 * KIB


def test_a_session_begins_while_another_process_looks_who_is_alive(
    cache: tmpcache.Cache, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `usage` locks a session file that is not locked yet, to see whether its process lives."""
    from tmpcache.store.filesystem import files
    from tmpcache.store.filesystem.descriptor import Descriptor
    from tmpcache.store.leases import file_lock

    looking: list[Descriptor] = []

    def open_then_look(path: str, flags: int = os.O_RDONLY) -> Descriptor:
        file = files.open_file(path, flags)
        if flags & os.O_EXCL and not looking:
            looking.append(files.open_file(path))
            assert file_lock.try_lock(looking[0].fd)
        return file

    monkeypatch.setattr(file_lock, "open_file", open_then_look)
    assert cache.fetch("b", "a").outcome is Outcome.FETCHED
    assert looking, "nobody looked"
    assert len(os.listdir(root / "sessions")) == 1


def test_a_lease_taken_while_a_fork_is_prepared_is_the_childs_too(
    cache: tmpcache.Cache, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another thread, after the child's session was made and before there was a child."""
    from tmpcache.store.leases.session import Session

    cache.fetch("b", "b").release()
    held = [cache.fetch("b", "a")]
    create = Session.create_child_session

    def then_another(self: Session) -> Session:
        made = create(self)
        thread = threading.Thread(target=lambda: held.append(cache.fetch("b", "b")))
        thread.start()
        thread.join()
        return made

    monkeypatch.setattr(Session, "create_child_session", then_another)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(reader, 1)  # the parent has released its own
        for key in "cdefgh":
            cache.fetch("b", key).release()
        os._exit(0 if all(file.exists() for file in held) else 1)
    for file in held:
        file.release()
    os.write(writer, b"x")
    assert os.waitpid(pid, 0)[1] == 0


class Soon:
    """The context of a function whose time is nearly up."""

    def get_remaining_time_in_millis(self) -> int:
        return 1500


def test_whoever_waits_for_a_stopped_process_keeps_to_its_deadline(
    cache: tmpcache.Cache, root: Path
) -> None:
    """16 threads queued for an index that somebody had locked and did not let go: 30 s each."""
    cache.fetch("b", "a").release()
    errors: list[BaseException] = []

    def fetch_one(key: str) -> None:
        try:
            cache.fetch("b", key).release()
        except BaseException as error:
            errors.append(error)

    with closing(sqlite3.connect(root / "index.sqlite", isolation_level=None)) as index:
        index.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with cache.invocation(Soon()):
            threads = [threading.Thread(target=fetch_one, args=(key,)) for key in "bcdefgh"]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert time.monotonic() - began < 20
        index.execute("ROLLBACK")
    assert {*map(type, errors)} == {tmpcache.errors.DeadlineExceededError}
    assert len(errors) == 7
    assert cache.fetch("b", "b").outcome is Outcome.FETCHED


def test_hits_notice_that_the_session_file_was_deleted(root: Path, shelf: Shelf) -> None:
    """A process that only hits makes no transaction for half a minute."""
    now = [1.7e9]
    cache = tmpcache.Cache(root, quota="1 MiB", max_age=3600, origin=shelf, clock=lambda: now[0])
    held = cache.fetch("b", "a")
    sessions(root)[0].unlink()
    now[0] += 1
    assert cache.fetch("b", "a").outcome is Outcome.HIT
    (again,) = sessions(root)
    assert again.name == Path(held._lease.session.path).name


def test_a_scratch_of_ones_own_is_nothing_to_sweep(
    cache: tmpcache.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each invocation looks for leftovers; it makes a transaction only if there are any."""
    cache.fetch("b", "a").release()
    database = cache._store.database
    swept: list[str] = []
    monkeypatch.setattr(database, "sweep", lambda: swept.append("swept"))
    with cache.scratch():
        database.sweep_if_needed()
    database.sweep_if_needed()
    assert swept == []
    leftover = Path(database.root.scratch, "0" * 16)
    leftover.mkdir(parents=True)
    database.sweep_if_needed()
    assert swept == ["swept"]
