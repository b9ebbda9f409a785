"""Damage is a miss: noticed, counted with its reason, set aside and fetched again."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.content import assert_accounts_balance
from support.disk import allocated
from support.processes import spawn, wait_until

import tmpcache
from tmpcache import Outcome
from tmpcache.errors import QuotaExceededError
from tmpcache.store import root as store_root
from tmpcache.testing import Bucket

BODY = random.Random(1).randbytes(100_000)


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("model.npz", BODY)
    return tmpcache.Cache(root, quota="4 MiB", max_age=3600)


def fetched(cache: tmpcache.Cache) -> Path:
    """The plain path of the blob, without a lease."""
    return Path(str(cache.fetch("models", "model.npz")))


def edit(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(0o444)


def replace(path: Path) -> None:
    """By a twin: same content, same time stamp, another inode."""
    child_session = path.with_suffix(".twin")
    shutil.copy2(path, child_session)
    child_session.rename(path)


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize(
    ("reason", "harm"),
    [
        ("changed", lambda path: edit(path, BODY[::-1])),
        ("changed", lambda path: edit(path, BODY + b"!")),
        ("truncated", lambda path: edit(path, BODY[:-1])),
        ("truncated", lambda path: edit(path, b"")),
        ("missing", lambda path: path.unlink()),
    ],
    ids=["edited", "extended", "truncated", "emptied", "deleted"],
)
def test_a_harmed_blob_is_fetched_again(
    cache: tmpcache.Cache, root: Path, reason: str, harm: object, remembered: bool
) -> None:
    path = fetched(cache)
    harm(path)  # type: ignore[operator]
    reader = cache if remembered else tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    again = reader.fetch("models", "model.npz")
    assert again.outcome is Outcome.FETCHED
    assert again.read_bytes() == BODY
    assert reader.stats().damaged == {reason: 1}
    assert reader.fetch("models", "model.npz").outcome is Outcome.HIT
    assert reader.usage().used == allocated(root)


def test_a_blob_that_is_harmed_is_not_revalidated(cache: tmpcache.Cache, bucket: Bucket) -> None:
    edit(fetched(cache), BODY[:-1])
    bucket.server.forget()
    assert cache.fetch("models", "model.npz", max_age=0).read_bytes() == BODY
    assert [request.etag_asked for request in bucket.gets("model.npz")] == [None]


def test_a_harmed_blob_that_is_held_is_replaced_at_once_under_its_holder(
    cache: tmpcache.Cache,
) -> None:
    held = cache.fetch("models", "model.npz")
    edit(held, BODY[:-1])
    assert cache.fetch("models", "model.npz").read_bytes() == BODY
    assert held.read_bytes() == BODY, "same name, same content: the holder is helped, too"


def test_a_changed_mode_is_set_right(cache: tmpcache.Cache) -> None:
    path = fetched(cache)
    path.chmod(0o666)
    again = cache.fetch("models", "model.npz")
    assert again.outcome is Outcome.HIT
    assert again.stat().st_mode & 0o777 == 0o444


def test_rot_that_no_fingerprint_shows_is_found_by_verify(
    cache: tmpcache.Cache, root: Path
) -> None:
    path = fetched(cache)
    before = path.stat()
    edit(path, BODY[:-1] + b"?")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cache.fetch("models", "model.npz").outcome is Outcome.HIT  # what nobody can see
    found = cache.verify()
    assert (found.blobs, found.bytes) == (1, len(BODY))
    assert [reason for _, reason in found.damaged] == ["corrupt"]
    assert cache.fetch("models", "model.npz").read_bytes() == BODY
    assert cache.verify().damaged == ()
    assert cache.usage().used == allocated(root)


def test_rot_in_a_file_that_is_held_is_not_served_to_others(cache: tmpcache.Cache) -> None:
    held = cache.fetch("models", "model.npz")
    before = held.stat()
    edit(held, BODY[:-1] + b"?")
    os.utime(held, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(cache.verify().damaged) == 1
    assert held.exists()
    assert cache.fetch("models", "model.npz").read_bytes() == BODY


def test_after_a_reboot_content_is_verified_before_its_first_use(
    cache: tmpcache.Cache, root: Path, monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    path = fetched(cache)
    bucket.put("other", b"other")
    cache.fetch("models", "other")
    before = path.stat()
    edit(path, bytes(len(BODY)))  # what a file system may show after a power cut
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    monkeypatch.setattr("tmpcache.store.index_file.boot_id", lambda: "another boot")
    rebooted = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    assert rebooted.fetch("models", "other").outcome is Outcome.HIT
    again = rebooted.fetch("models", "model.npz")
    assert again.outcome is Outcome.FETCHED
    assert again.read_bytes() == BODY
    assert rebooted.stats().damaged == {"corrupt": 1}
    assert store_root.boot_id() != "another boot"


# ---- the index


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
        later.evict("models")
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


# ---- content that claims to be other content


def test_two_objects_with_the_same_hash_but_other_bytes_do_not_share_a_blob(
    root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    import xxhash

    class Colliding:
        """xxh3_128 in the hands of somebody who can make collisions."""

        def update(self, data: object) -> None: ...

        def hexdigest(self) -> str:
            return "c0" * 16

    monkeypatch.setattr(xxhash, "xxh3_128", Colliding)
    bodies = {"good.bin": b"good", "evil.bin": b"evil", "worse.bin": b"more evil"}
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    paths = {}
    for key, body in bodies.items():
        bucket.put(key, body)
        paths[key] = cache.fetch("models", key)
    assert {key: path.read_bytes() for key, path in paths.items()} == bodies
    assert len(set(paths.values())) == 3
    assert all(cache.fetch("models", key).read_bytes() == body for key, body in bodies.items())


def test_objects_with_the_same_bytes_share_a_blob(root: Path, bucket: Bucket) -> None:
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    bucket.put("a.bin", BODY)
    bucket.put("b.bin", BODY)
    one, two = (cache.fetch("models", key) for key in ("a.bin", "b.bin"))
    assert one == two
    assert (cache.usage().blobs, cache.usage().objects) == (1, 2)
    cache.evict("models", "a.bin")
    assert cache.fetch("models", "b.bin").outcome is Outcome.HIT
    assert cache.usage().used == allocated(root)


@pytest.fixture
def wal_database(tmp_path: Path) -> bytes:
    """A SQLite database that was saved in WAL mode: whoever opens it writes beside it."""
    path = tmp_path / "facts.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE facts (number)")
        database.executemany("INSERT INTO facts VALUES (?)", [(n,) for n in range(1000)])
        database.commit()
    return path.read_bytes()


def test_what_a_database_writes_beside_its_blob_is_counted_and_goes_with_it(
    bucket: Bucket, root: Path, wal_database: bytes
) -> None:
    bucket.put("facts.db", wal_database)
    with tmpcache.Cache(root, quota="4 MiB") as cache:
        path = cache.fetch("models", "facts.db")
        with closing(sqlite3.connect(path)) as database:
            count = "SELECT count(*) FROM facts"
            assert database.execute(count).fetchone() == (1000,)
            assert len([*(root / "blobs").iterdir()]) == 3
            wait_until(lambda: cache.usage().used == allocated(root))
            cache.gc()  # takes nothing from who has it open
            assert database.execute(count).fetchone() == (1000,)
            assert len([*(root / "blobs").iterdir()]) == 3
        path.release()
        cache.clear()
        assert [*(root / "blobs").iterdir()] == []


def test_what_lay_beside_an_earlier_file_is_not_taken_for_a_databases_log(
    bucket: Bucket, root: Path, wal_database: bytes
) -> None:
    bucket.put("facts.db", wal_database)
    with tmpcache.Cache(root, quota="4 MiB") as cache:
        path = Path(str(cache.fetch("models", "facts.db")))
        cache.clear()
        for ending in ("-wal", "-shm"):
            Path(f"{path}{ending}").write_bytes(b"left by who had it open")
        assert cache.fetch("models", "facts.db") == path
        assert [*(root / "blobs").iterdir()] == [path]


def test_files_of_strangers_among_the_blobs_count(bucket: Bucket, root: Path) -> None:
    bucket.put("a", b"a" * 1000)
    with tmpcache.Cache(root, quota="1 MiB") as cache:
        cache.fetch("models", "a").release()
        (root / "blobs" / "notes").write_bytes(b"x" * 200_000)
        (root / "blobs" / "directory").mkdir()
        (root / "blobs" / "directory" / "file").write_bytes(b"x" * 200_000)
        wait_until(lambda: cache.usage().used == allocated(root))
        bucket.put("large", b"x" * 600_000)
        with pytest.raises(QuotaExceededError):
            cache.fetch("models", "large")
        assert (root / "blobs" / "notes").exists()


def test_what_is_only_kept_for_its_holder_is_no_damage(cache: tmpcache.Cache) -> None:
    """Files that outlast `clear()` or the index have no object, and their rows no fingerprint."""
    held = cache.fetch("models", "model.npz")
    cache.clear()
    assert cache.verify().damaged == ()
    assert held.read_bytes() == BODY


@pytest.mark.parametrize("remembered", [True, False])
def test_a_twin_of_a_blob_is_taken_in(cache: tmpcache.Cache, root: Path, remembered: bool) -> None:
    replace(fetched(cache))
    reader = cache if remembered else tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    assert reader.fetch("models", "model.npz").read_bytes() == BODY
    assert reader.fetch("models", "model.npz").outcome is Outcome.HIT
    assert reader.stats().fetched == (1 if remembered else 0)
    assert reader.stats().damaged == {}


def test_files_that_were_restored_from_an_archive_are_taken_in_again(
    cache: tmpcache.Cache, root: Path, tmp_path: Path, bucket: Bucket
) -> None:
    """A cache that is part of an image: same bytes, other inodes. All of it was fetched again."""
    fetched(cache)
    cache.close()
    shutil.copytree(root, tmp_path / "image")
    shutil.rmtree(root)
    shutil.copytree(tmp_path / "image", root)
    before = len(bucket.server.requests)
    for _ in range(2):
        with tmpcache.Cache(root, quota="4 MiB", max_age=3600) as restored:
            for _ in range(3):
                file = restored.fetch("models", "model.npz")
                assert file.outcome is Outcome.HIT
                assert file.read_bytes() == BODY
            assert restored.stats().damaged == {}
            assert_accounts_balance(restored)
    assert len(bucket.server.requests) == before


def test_a_restored_file_with_other_bytes_is_damage(cache: tmpcache.Cache) -> None:
    path = fetched(cache)
    path.unlink()
    path.write_bytes(bytes(len(BODY)))
    path.chmod(0o444)
    file = cache.fetch("models", "model.npz")
    assert file.read_bytes() == BODY
    assert cache.stats().damaged == {"changed": 1}
