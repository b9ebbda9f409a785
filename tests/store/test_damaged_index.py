"""A damaged index is made anew from the files, and what is in use stays."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path

import pytest
from support.content import assert_accounts_balance
from support.disk import allocated
from support.processes import spawn, wait_until

import tmpcache
from tmpcache import Outcome
from tmpcache.store.index import Index
from tmpcache.testing import Bucket

BODY = random.Random(1).randbytes(100_000)


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("model.npz", BODY)
    return tmpcache.Cache(root, quota="4 MiB", max_age=3600)


def fetched(cache: tmpcache.Cache) -> Path:
    """The plain path of the blob, without a lease."""
    return Path(str(cache.fetch("models", "model.npz")))


def index_of(root: Path) -> Path:
    return root / "index.sqlite"


@pytest.mark.parametrize("while_open", [True, False])
@pytest.mark.parametrize("size", [0, 10, 100, 100_000])
def test_an_index_of_garbage_is_made_anew(
    cache: tmpcache.Cache, root: Path, size: int, while_open: bool
) -> None:
    fetched(cache)
    if not while_open:
        cache.close()
        for end in ("-wal", "-shm"):
            Path(f"{index_of(root)}{end}").unlink(missing_ok=True)
    replacement = root / "garbage"
    replacement.write_bytes(random.Random(size).randbytes(size))
    replacement.rename(index_of(root))
    reader = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    for user in (reader, cache):
        assert user.fetch("models", "model.npz").read_bytes() == BODY
        assert user.usage().used == allocated(root)
        assert user.verify().damaged == ()
    assert len(list(root.glob("blobs/*"))) == 1


def test_an_index_overwritten_in_place_is_made_anew(cache: tmpcache.Cache, root: Path) -> None:
    fetched(cache)
    cache.close()
    with index_of(root).open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(100)
        file.write(random.Random(2).randbytes(size - 100))
    reader = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    assert reader.fetch("models", "model.npz").outcome is Outcome.FETCHED
    assert reader.stats().damaged == {"index": 1}
    assert reader.usage().used == allocated(root)


@pytest.mark.parametrize(
    "garbage",
    [b"", b"short", b"\xff" * 16, b"\xff" * 7 + b"\x7f" + bytes(8), bytes(8) + b"\1" * 8],
    ids=["empty", "short", "negative", "too many", "done before begun"],
)
def test_garbage_in_the_count_of_changes_is_made_good(
    root: Path, cache: tmpcache.Cache, garbage: bytes
) -> None:
    fetched(cache)
    cache.close()
    (root / "changes").write_bytes(garbage)
    with tmpcache.Cache(root, quota="4 MiB") as later:
        assert later.fetch("models", "model.npz", max_age=60).outcome is Outcome.HIT
        assert later.usage().objects == 1
        later.evict("models", whole_bucket=True)
        assert fetched(later).read_bytes() == BODY
        begun, done = memoryview((root / "changes").read_bytes()).cast("q")
        assert 0 < begun == done


@pytest.mark.parametrize("size", [10_000, 1_000_000], ids=["small", "large"])
def test_a_partial_whose_place_was_taken_is_not_published(
    root: Path, bucket: Bucket, cache: tmpcache.Cache, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Somebody deletes the file of a download, and the next download of the object begins."""
    bucket.put("model.npz", BODY[:1] * size)
    begun: list[Path] = []

    def disturb(*paths: str) -> None:
        if not begun:
            begun.append(Path(paths[0]))
            begun[0].unlink()
            begun[0].write_bytes(b"the beginning of another")
        rename(*paths)

    rename = os.rename
    monkeypatch.setattr(os, "rename", disturb)
    assert fetched(cache).read_bytes() == BODY[:1] * size
    assert begun
    assert len(list(root.glob("blobs/*"))) == 1
    assert not any((root / "partial").iterdir())
    assert_accounts_balance(cache)


def test_an_index_deleted_while_open_is_made_anew(cache: tmpcache.Cache, root: Path) -> None:
    held = cache.fetch("models", "model.npz")
    for path in root.glob("index.sqlite*"):
        path.unlink()
    again = cache.fetch("models", "model.npz", max_age=0)
    assert again.outcome is Outcome.REVALIDATED  # this process remembers, and S3 confirms
    assert again.read_bytes() == held.read_bytes() == BODY
    assert cache.usage().used == allocated(root)
    assert cache.stats().damaged == {"index": 1}
    other = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    assert other.fetch("models", "model.npz").outcome is Outcome.FETCHED  # the new index does not
    assert other.fetch("models", "model.npz").outcome is Outcome.HIT
    assert cache.usage().used == allocated(root)


def test_files_in_use_outlive_the_index(root: Path, bucket: Bucket, cache: tmpcache.Cache) -> None:
    """Another process holds a path; this one loses the index, evicts, and must spare the file."""
    with spawn(
        """
        import tmpcache
        held = tmpcache.Cache(root, quota="4 MiB").fetch("models", "model.npz")
        say(str(held))
        hear()
        say(len(held.read_bytes()))
        """,
        root=str(root),
    ) as child:
        path = Path(child.hear())
        for file in root.glob("index.sqlite*"):
            file.unlink()
        cache.clear()
        assert cache.usage().blobs == 1
        assert cache.usage().used == allocated(root)
        assert path.exists()
        child.say()
        assert child.hear() == len(BODY)
        child.wait()
    cache.gc()
    assert cache.usage().blobs == 0


@pytest.mark.parametrize("version", [1, 999])
def test_an_index_of_another_format_is_not_read(
    cache: tmpcache.Cache, root: Path, version: int
) -> None:
    fetched(cache)
    cache.close()
    with sqlite3.connect(index_of(root)) as index:
        index.execute(f"PRAGMA user_version = {version}")
    index.close()
    reader = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    assert reader.fetch("models", "model.npz").outcome is Outcome.FETCHED
    assert reader.stats().damaged == {"index": 1}
    assert reader.usage().used == allocated(root)


def test_an_index_without_its_tables_is_made_anew(cache: tmpcache.Cache, root: Path) -> None:
    fetched(cache)
    with sqlite3.connect(index_of(root)) as index:
        index.execute("DROP TABLE objects")
    index.close()
    assert cache.fetch("models", "model.npz", max_age=0).read_bytes() == BODY
    assert cache.usage().used == allocated(root)
    assert cache.stats().damaged == {"index": 1}


def test_a_file_that_no_row_knows_is_removed_by_gc(cache: tmpcache.Cache, root: Path) -> None:
    fetched(cache)
    stray = root / "blobs" / ("0" * 32)
    stray.write_bytes(bytes(10_000))
    (root / "blobs" / "notes.txt").write_text("?")
    assert cache.gc() >= 12_288
    assert not stray.exists()
    wait_until(lambda: cache.usage().used == allocated(root))


@pytest.mark.parametrize("verb", ["read", "write"])
def test_a_bad_parameter_is_no_damage(root: Path, cache: tmpcache.Cache, verb: str) -> None:
    """A mistake of ours, or of another origin, says nothing of the index."""
    fetched(cache)
    inode, use = (root / "index.sqlite").stat().st_ino, getattr(cache._store.database, verb)
    with pytest.raises(sqlite3.ProgrammingError):
        use(lambda index: index.run("SELECT ?", object()))
    assert cache.stats().damaged == {}
    assert (root / "index.sqlite").stat().st_ino == inode
    assert cache.fetch("models", "model.npz", max_age=60).outcome is Outcome.HIT


def test_an_index_that_is_closed_in_the_middle_of_its_use_is_no_damage(
    root: Path, cache: tmpcache.Cache
) -> None:
    """By a signal handler that closes the cache."""
    fetched(cache)
    inode, tries = (root / "index.sqlite").stat().st_ino, []

    def operation(index: Index) -> int:
        tries.append(index)
        if len(tries) == 1:
            cache.close()
        return len(index.rows("SELECT 1 FROM ledger"))

    assert cache._store.database.read(operation) == 1
    assert len(tries) == 2
    assert cache.stats().damaged == {}
    assert (root / "index.sqlite").stat().st_ino == inode


@pytest.mark.parametrize("left", range(8))
def test_too_many_open_files_are_no_damage(root: Path, cache: tmpcache.Cache, left: int) -> None:
    """A process that has run out of descriptors throws away nothing that others use."""
    fetched(cache)
    code = """
        import os, resource, tmpcache
        from support.anywhere import MemoryOrigin
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        with tmpcache.Cache(f"{root}-warm-up", quota="1 MiB", origin=MemoryOrigin()) as other:
            other.fetch("b", "10-a")  # all modules are loaded
            other.stats()
        cache = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
        held = []
        try:
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            for fd in held[:left]:
                os.close(fd)
        try:
            say(cache.fetch("models", "model.npz").outcome.name)
        except (OSError, tmpcache.errors.TmpCacheError) as error:
            say(str(error))
        say(cache.stats().damaged)
    """
    with spawn(code, root=str(root), left=left) as child:
        said = child.hear()
        assert said == "HIT" or "too many open files" in said.lower()
        assert child.hear() == {}
    assert cache.fetch("models", "model.npz").outcome is Outcome.HIT
    assert cache.stats().damaged == {}
