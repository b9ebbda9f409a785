"""Scratch directories: private, and gone afterwards whatever was done in them."""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Callable, Generator
from itertools import islice
from pathlib import Path

import pytest
from support.child import NOBODY
from support.disk import allocated
from support.processes import spawn

import tmpcache
import tmpcache.invocations.scratch
from tmpcache.errors import ConfigError, QuotaExceededError
from tmpcache.testing import Bucket

KIB = 1024


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("in/a.jpg", b"a" * 100 * KIB)
    return tmpcache.Cache(root, quota="1 MiB", max_age=3600)


def leftovers(root: Path) -> list[Path]:
    return list(root.glob("scratch/*/*"))


def test_the_search_for_a_free_name_is_no_generator() -> None:
    """Python finalizes one that is not read to its end, and drops what a handler raises there."""
    names = tmpcache.invocations.scratch._free_names("/tmp/a.tar.gz")
    assert not isinstance(names, Generator)
    assert [*islice(names, 3)] == ["/tmp/a.tar.gz", "/tmp/a-1.tar.gz", "/tmp/a-2.tar.gz"]


def test_a_private_directory_that_is_a_path_and_goes(cache: tmpcache.Cache, root: Path) -> None:
    with cache.scratch() as work:
        assert isinstance(work, Path)
        assert work.is_dir()
        assert work.is_relative_to(root)
        assert work.stat().st_mode & 0o777 == 0o700
        (work / "file").write_bytes(b"x")
        assert type(work / "file") is type(Path())
        assert type(pickle.loads(pickle.dumps(work))) is type(Path())
        with cache.scratch() as inner:
            assert inner != work
        assert not inner.exists()
    assert not work.exists()
    assert list(root.glob("scratch/*")) == []


def test_it_goes_when_the_work_fails_and_does_not_hide_why(cache: tmpcache.Cache) -> None:
    with pytest.raises(ZeroDivisionError), cache.scratch() as work:
        (work / "half").write_bytes(b"x")
        raise ZeroDivisionError
    assert not work.exists()


def read_only(work: Path) -> None:
    (work / "a" / "b").mkdir(parents=True)
    (work / "a" / "b" / "file").write_text("x")
    (work / "a" / "b").chmod(0o500)
    (work / "a").chmod(0o555)
    work.chmod(0o500)


def unreadable(work: Path) -> None:
    (work / "a").mkdir()
    (work / "a" / "file").write_text("x")
    (work / "a").chmod(0)


def not_utf_8(work: Path) -> None:
    os.mkdir(os.fsencode(work) + b"/\xff\xfe")
    with open(os.fsencode(work) + b"/\xff\xfe/\x80", "wb") as file:
        file.write(b"x")


def deep(work: Path) -> None:
    """Deeper than recursion goes and longer than any path may be."""
    here = os.open(work, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("directory", dir_fd=here)
        os.close(os.open("file", os.O_CREAT, dir_fd=here))
        there = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(here)


def links(work: Path) -> None:
    (work / "out").symlink_to(work.parents[3] / "precious")
    (work / "dangling").symlink_to("nowhere")
    (work / "loop").symlink_to(work)


def special(work: Path) -> None:
    os.mkfifo(work / "fifo")


@pytest.mark.parametrize("fill", [read_only, unreadable, not_utf_8, deep, links, special])
@pytest.mark.parametrize(
    "uid",
    [
        pytest.param(os.geteuid(), id="me"),
        pytest.param(NOBODY, id="nobody", marks=pytest.mark.root),
    ],
)
def test_it_goes_whatever_was_put_there(common_ground: Path, fill: object, uid: int) -> None:
    snippet = """
        import tmpcache, tmpcache.cache, tmpcache.invocations.scratch, tmpcache.origin.s3.origin
        import tmpcache.store.scratch_directories
        from invocations import test_scratch
        fill = getattr(test_scratch, name)
        if uid != os.geteuid():
            become(uid)
        precious = os.path.join(ground, "precious")
        os.mkdir(precious); open(precious + "/file", "w").close()
        with tmpcache.Cache(os.path.join(ground, "cache")).scratch() as work:
            fill(work)
        say([os.path.lexists(work), os.listdir(precious)])
    """
    with spawn(snippet, ground=str(common_ground), name=fill.__name__, uid=uid) as child:  # type: ignore[attr-defined]
        assert child.hear() == [False, ["file"]]


def test_an_object_under_its_own_name_without_a_second_copy(
    cache: tmpcache.Cache, root: Path, bucket: Bucket
) -> None:
    with cache.scratch() as work:
        path = work.fetch("models", "in/a.jpg")
        assert str(path) == f"{work}/a.jpg"
        assert path.read_bytes() == b"a" * 100 * KIB
        assert (path.key, path.size) == ("in/a.jpg", 100 * KIB)
        blob = next(root.glob("blobs/*"))
        assert path.samefile(blob)
        assert work.fetch("models", "in/a.jpg").name == "a.jpg"  # again is not another one
        bucket.put("other/a.jpg", b"another")
        assert work.fetch("models", "other/a.jpg").name == "a-1.jpg"
        assert work.fetch("models", "in/a.jpg", name="b.jpg").name == "b.jpg"
        assert allocated(root) == cache.usage().used
    assert blob.exists()
    assert blob.stat().st_mode & 0o777 == 0o444
    assert blob.stat().st_nlink == 1


@pytest.mark.parametrize(
    "key",
    ["../../etc/passwd", "a/..", "a//", "..", ".profile", "in/\n\t\0x.jpg", "é" * 400 + ".tar"],
)
def test_no_key_leads_out_of_the_directory(cache: tmpcache.Cache, key: str) -> None:
    from tmpcache.invocations.scratch import file_name

    name = file_name(key)
    assert name not in ("", ".", "..")
    assert "/" not in name
    assert name.isprintable()
    assert not name.startswith(".")
    assert len(name.encode()) <= 200


def test_a_writable_copy_may_be_changed_and_the_cache_stays_as_it_is(
    cache: tmpcache.Cache, root: Path
) -> None:
    with cache.scratch() as work:
        path = work.fetch("models", "in/a.jpg", writable=True)
        path.write_bytes(b"changed")
        assert not path.samefile(next(root.glob("blobs/*")))
        assert cache.fetch("models", "in/a.jpg").read_bytes() == b"a" * 100 * KIB
    assert cache.stats().damaged == {}


def test_what_is_in_a_scratch_is_not_evicted(cache: tmpcache.Cache, bucket: Bucket) -> None:
    for key in "bcdefghij":
        bucket.put(key, key.encode() * 200 * KIB)
    with cache.scratch() as work:
        work.fetch("models", "in/a.jpg")
        for key in "bcdefghij":
            cache.fetch("models", key)
        assert cache.fetch("models", "in/a.jpg").outcome is tmpcache.Outcome.HIT
    for key in "bcdefghij":
        cache.fetch("models", key)
    assert cache.fetch("models", "in/a.jpg").outcome is tmpcache.Outcome.FETCHED


def test_room_for_what_will_be_written(
    cache: tmpcache.Cache, bucket: Bucket, small_disk: object
) -> None:
    for key in "bcd":
        bucket.put(key, key.encode() * 200 * KIB)
        cache.fetch("models", key)
    with cache.scratch() as work:
        work.reserve("600 KiB")
        assert cache.usage().free >= 600 * KIB
        with pytest.raises(QuotaExceededError):
            work.reserve("2 MiB")
    disk = small_disk("size=2m")  # type: ignore[operator]
    tight = tmpcache.Cache(disk / "cache", quota="100 MiB")
    for key in "bcd":
        tight.fetch("models", key)
    with tight.scratch() as work:
        work.reserve("1 MiB")
        (work / "big").write_bytes(bytes(1024 * KIB))
        with pytest.raises(QuotaExceededError, match="the disk has"):
            work.reserve("2 MiB")


SNIPPET = """
    import tmpcache
    cache = tmpcache.Cache(root, quota="1 MiB", max_age=3600)
    work = cache.scratch()
    (work / "file").write_bytes(b"x")
    os.makedirs(work / "a" / "b")
    os.chmod(work / "a", 0)
    say(str(work))
    hear()
    say(work.exists())
    hear()
"""


def test_directories_of_the_dead_are_swept_and_of_the_frozen_are_not(
    cache: tmpcache.Cache, root: Path
) -> None:
    with spawn(SNIPPET, root=str(root)) as dead, spawn(SNIPPET, root=str(root)) as frozen:
        gone, kept = Path(dead.hear()), Path(frozen.hear())
        frozen.stop()
        dead.kill()
        assert gone.exists()
        cache.fetch("models", "in/a.jpg")  # the first use by this process
        assert not gone.exists()
        assert kept.exists()
        frozen.resume()
        frozen.say()
        assert frozen.hear() is True
        frozen.kill()
    with cache.invocation():
        assert not kept.exists()
    assert list(root.glob("scratch/*")) == []


def test_a_forked_child_does_not_remove_its_parents_directory(cache: tmpcache.Cache) -> None:
    with cache.scratch() as work:
        pid = os.fork()
        if pid == 0:
            work.remove()
            os._exit(0)
        os.waitpid(pid, 0)
        assert work.exists()


def test_many_at_once(cache: tmpcache.Cache, root: Path) -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(10):
                with cache.scratch() as directory:
                    directory.fetch("models", "in/a.jpg")
                    (directory / "file").write_text("x")
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert leftovers(root) == []
    assert cache.usage().leased == 0


def test_a_copy_for_programs_that_refuse_hard_links(cache: tmpcache.Cache) -> None:
    with cache.scratch() as work:
        copy = work.fetch("models", "in/a.jpg", links="copy")
        assert copy.read_bytes() == b"a" * 100 * KIB
        assert (copy.stat().st_nlink, copy.stat().st_mode & 0o777) == (1, 0o444)
        with pytest.raises(ConfigError, match="'hard' nor 'copy'"):
            work.fetch("models", "in/a.jpg", links="symbolic")
        with pytest.raises(QuotaExceededError):
            for number in range(10_000):
                work.fetch("models", "in/a.jpg", links="copy", name=str(number))
                work.reserve("900 KiB")


def test_a_disk_without_inodes_is_an_error_that_says_so(
    bucket: Bucket, small_disk: Callable[[str], Path]
) -> None:
    bucket.put("in/a.jpg", b"a")
    for number in range(8):
        bucket.put(f"spare/{number}", str(number).encode())
    root = small_disk("size=16m,nr_inodes=48") / "cache"
    cache = tmpcache.Cache(root, quota="8 MiB", max_age=3600)
    cache.fetch_many("models", [f"spare/{number}" for number in range(8)])
    held = [cache.fetch("models", "in/a.jpg")]
    kept: list[tmpcache.invocations.scratch.Scratch] = []
    with pytest.raises(QuotaExceededError, match="a scratch directory"):
        kept.extend(cache.scratch() for _ in range(48))
    assert cache.stats().evicted == 8, "all that could go went first"
    with pytest.raises(QuotaExceededError, match=r"a\.jpg in a scratch directory"):
        for number in range(48):
            kept[0].fetch("models", "in/a.jpg", name=str(number))
    with pytest.raises(QuotaExceededError, match="scratch directory"):
        cache.fetch_prefix("models", "in/", into=kept[0])
    kept[1].remove()
    kept[0].fetch("models", "in/a.jpg")
    held.clear()


def test_a_copy_that_does_not_fit_leaves_nothing(
    bucket: Bucket, small_disk: Callable[[str], Path]
) -> None:
    bucket.put("big", bytes(1024 * KIB))
    cache = tmpcache.Cache(small_disk("size=4m") / "cache", quota="3 MiB", max_age=3600)
    with cache.scratch() as work:
        with pytest.raises(QuotaExceededError):
            for name in "abc":
                work.fetch("models", "big", name=name, writable=True).release()
        assert {len(path.read_bytes()) for path in work.iterdir()} == {1024 * KIB}
