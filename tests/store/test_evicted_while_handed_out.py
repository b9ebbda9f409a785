"""A path that is handed out while its file is being evicted, step by step."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.processes import spawn, wait_until
from support.shelf import Shelf

import tmpcache
from tmpcache.errors import TmpCacheError
from tmpcache.store.content import eviction
from tmpcache.store.database import index_wait
from tmpcache.store.database.recovering_index import RecoveringIndex
from tmpcache.store.filesystem import files
from tmpcache.store.leases.live_sessions import LiveSessions

KIB = 1024


@pytest.fixture
def shelf() -> Shelf:
    return Shelf({key: key.encode() * 200 * KIB for key in "abcdefgh"})


@pytest.fixture
def evictor(root: Path, shelf: Shelf) -> tmpcache.Cache:
    """Room for four of these objects."""
    return tmpcache.Cache(root, quota="1 MiB", max_age=3600, origin=shelf)


@pytest.fixture
def reader(root: Path, shelf: Shelf) -> tmpcache.Cache:
    """Another cache, which remembers where `a` is."""
    cache = tmpcache.Cache(root, quota="1 MiB", max_age=3600, origin=shelf)
    cache.fetch("b", "a").release()
    return cache


def waits_for_the_index(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code is not RecoveringIndex.use.__code__:
        frame = frame.f_back
    return frame is not None


def make_room(cache: tmpcache.Cache) -> None:
    for key in "bcdef":
        cache.fetch("b", key).release()


def adopt_all(cache: tmpcache.Cache) -> None:
    """Delete the index, so that the next fetch rebuilds it from the files."""
    Path(cache.root, "index.sqlite").unlink()
    cache.fetch("b", "b").release()


def verify(cache: tmpcache.Cache) -> None:
    """The index says that the file is another one: damage, which is thrown away."""
    cache._store.database.write(lambda index: index.run("UPDATE blobs SET inode = 1"))
    cache.verify()


@pytest.mark.parametrize("evict", [make_room, adopt_all, verify, tmpcache.Cache.clear])
def test_whoever_evicts_does_not_take_a_file_from_who_hits_just_then(
    evictor: tmpcache.Cache,
    reader: tmpcache.Cache,
    monkeypatch: pytest.MonkeyPatch,
    evict: Callable[[tmpcache.Cache], object],
) -> None:
    """Told by the index, by memory, by damage: each way has the same protocol.

    The reader remembers the file as intact, and comes between the evictor's look at the leases and
    its unlink.
    """
    name = Path(str(reader.fetch("b", "a"))).name
    threads: list[threading.Thread] = []
    paths: list[tmpcache.CachedFile] = []
    remove = files.remove

    def remove_later(path: str) -> None:
        if Path(path).name == name and not threads:
            thread = threading.Thread(target=lambda: paths.append(reader.fetch("b", "a")))
            threads.append(thread)
            thread.start()
            wait_until(lambda: not thread.is_alive() or waits_for_the_index(thread))
        remove(path)

    monkeypatch.setattr(eviction, "remove", remove_later)
    evict(evictor)
    for thread in threads:
        thread.join()
    assert threads, "nothing was evicted"
    assert paths[0].read_bytes() == b"a" * 200 * KIB


def test_a_lease_taken_before_the_evictor_looks_saves_the_file(
    evictor: tmpcache.Cache, reader: tmpcache.Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between plan and announcement."""
    held: list[tmpcache.CachedFile] = []
    announce = LiveSessions.announce

    def announce_later(self: LiveSessions, evicted: list[int]) -> set[int]:
        if not held:
            held.append(reader.fetch("b", "a"))
        return announce(self, evicted)

    monkeypatch.setattr(LiveSessions, "announce", announce_later)
    make_room(evictor)
    assert held[0].read_bytes() == b"a" * 200 * KIB


def test_what_a_dead_evictor_announced_costs_one_look_at_the_index(
    evictor: tmpcache.Cache, reader: tmpcache.Cache, root: Path
) -> None:
    path = reader.fetch("b", "a")
    LiveSessions(str(root / "sessions")).announce([path._copy.lease_id])  # and it dies
    asked = reader.stats().asked
    assert reader.fetch("b", "a").outcome is tmpcache.Outcome.HIT
    assert reader.stats().asked == asked
    table = path._lease.session.table
    assert table[0] == 0


def test_eviction_leaves_links_of_users_as_they_are(
    evictor: tmpcache.Cache, tmp_path: Path
) -> None:
    tree = evictor.fetch_prefix("b", "a", into=tmp_path / "mine")
    del tree
    link = tmp_path / "mine" / "a"
    before = link.stat()
    make_room(evictor)
    after = link.stat()
    assert after.st_nlink == 1, "the blob is gone"
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    shutil.rmtree(tmp_path / "mine")


@pytest.mark.parametrize("others", ["open", "closed", "killed"])
def test_whoever_evicts_because_it_cannot_open_the_index_does_not_take_a_file_from_who_hits(
    root: Path, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, others: str
) -> None:
    """Between its look at the leases and its unlink, another process changes the index and hits.

    No file of the evicting process may become longer than a page: it has no room for the log, so it
    can neither create the index's files nor commit.
    """
    reader = tmpcache.Cache(root, quota="64 MiB", max_age=3600, origin=shelf)
    name = Path(str(reader.fetch("b", "a"))).name
    shared = Path(root, "index.sqlite-shm")
    if others == "killed":
        with spawn(
            "import tmpcache; cache = tmpcache.Cache(root); say(cache.usage().used); hear()",
            root=str(root),
        ) as child:
            child.hear()
            reader.close()
            child.kill()
    elif others == "closed":
        reader.close()
    assert shared.exists() is (others != "closed")
    monkeypatch.setattr(index_wait, "BUSY_TIMEOUT", 0.0)  # what it would wait for, it does without
    held: list[tmpcache.CachedFile] = []
    with spawn(
        """
        import resource, tmpcache
        from tmpcache.store.content import eviction
        remove = eviction.remove

        def remove_later(path):
            if path.endswith(name):
                say("it evicts")
                hear()
            remove(path)

        eviction.remove = remove_later
        sys.dont_write_bytecode = True  # Python before 3.12.8 would leave half a file of it
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        with open(root + "/changes", "r+b") as changes:
            changes.write(bytes(16))  # a change was not committed: the index is to be rebuilt
        try:
            tmpcache.Cache(root, quota="64 MiB").usage()
        except tmpcache.errors.QuotaExceededError as error:
            say("it is full")
        """,
        root=str(root),
        name=name,
    ) as child:
        assert child.hear() == "it evicts"
        with suppress(TmpCacheError):
            reader._store.database.write(lambda index: index.one("SELECT 1"))
        with suppress(TmpCacheError):
            held.append(reader.fetch("b", "a"))
        child.say()
        assert child.hear() == "it is full"
    monkeypatch.undo()
    assert all(path.read_bytes() == b"a" * 200 * KIB for path in held)
    assert reader.fetch("b", "a").read_bytes() == b"a" * 200 * KIB
