"""Damage is a miss: noticed, counted with its reason, and fetched again."""

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
from support.processes import wait_until

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
    path = Path(str(path))  # a cached file refuses
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(0o444)


def replace(path: Path) -> None:
    """Put a twin in its place: same content, same time stamp, another inode."""
    twin = path.with_suffix(".twin")
    shutil.copy2(path, twin)
    twin.rename(path)


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
    monkeypatch.setattr("tmpcache.store.database.recovering_index.boot_id", lambda: "another boot")
    rebooted = tmpcache.Cache(root, quota="4 MiB", max_age=3600)
    assert rebooted.fetch("models", "other").outcome is Outcome.HIT
    again = rebooted.fetch("models", "model.npz")
    assert again.outcome is Outcome.FETCHED
    assert again.read_bytes() == BODY
    assert rebooted.stats().damaged == {"corrupt": 1}
    assert store_root.boot_id() != "another boot"


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
