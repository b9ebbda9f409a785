"""The soak in its short form, and that it notices what it is there to notice."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from soak import contents, disk
from soak.board import Board
from soak.judge import MOST_UNDER_ROOT, Asked, Interrupted, Judge
from tmpcache import Cache, Outcome
from tmpcache.testing import Bucket

ACCESS_KEY = "AKIAREGULAR1"

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@on_linux
def test_no_promise_breaks_in_a_short_soak() -> None:
    """Some seconds of kills, stops, interrupts and lies in each round; `make soak` is long."""
    command = [sys.executable, "-m", "soak", "--seconds", "16", "--kills", "120"]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2]
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"


# ---- it would notice -----------------------------------------------------------------------------


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def judge(log: Path, root: Path) -> Judge:
    return Judge(str(log), Board(1), 0, str(root), seed="s", round="r")


def current(bucket: Bucket, key: str, when: float) -> str:
    """Upload the version of an object that is current at `when`; its ETag."""
    version = contents.version_at(key, when)
    bucket.put(key, contents.body_of(key, version))
    return contents.etag_of(key, version)


def granted(prefix: str) -> str:
    keys = contents.all_keys(prefix)
    return next(key for key in keys if not contents.is_denied(ACCESS_KEY, key))


def test_bytes_that_are_not_what_the_etag_stands_for_are_noticed(
    cache: Cache, bucket: Bucket, judge: Judge, log: Path
) -> None:
    key = granted("mid")
    current(bucket, key, 1e9)
    with cache.fetch("models", key) as file:
        other = contents.etag_of(key, 7)
        file._copy = file._copy._replace(etag=other)
        judge.whole(file, file)
    assert '"promise": "P1"' in log.read_text()


def test_a_path_that_is_gone_while_it_is_held_is_noticed(
    cache: Cache, bucket: Bucket, judge: Judge, log: Path
) -> None:
    key = granted("mid")
    current(bucket, key, 1e9)
    with cache.fetch("models", key) as file:
        os.unlink(file)
        judge.whole(file, file)
    assert '"promise": "P4"' in log.read_text()


def test_an_answer_to_who_is_denied_or_that_is_too_old_is_noticed(
    cache: Cache, bucket: Bucket, judge: Judge, log: Path
) -> None:
    key = next(key for key in contents.all_keys("mid") if contents.is_denied(ACCESS_KEY, key))
    etag = current(bucket, key, 1e9)
    with cache.fetch("models", key) as file:
        file._copy, file.outcome = file._copy._replace(etag=etag), Outcome.HIT
        judge.answered(file, Asked(ACCESS_KEY, 1e9, 0))
        assert '"promise": "P8"' in log.read_text()
        assert '"promise": "P13"' not in log.read_text()
        judge.answered(file, Asked(ACCESS_KEY, 1e9 + 200, 60))
        assert '"promise": "P13"' in log.read_text()


def test_exceptions_that_are_not_documented_are_noticed(judge: Judge, log: Path) -> None:
    judge.raised(KeyError("x"))
    assert '"promise": "errors"' in log.read_text()


@on_linux
def test_a_thread_that_runs_on_is_noticed(judge: Judge, log: Path) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="tmpcache fetch")
    thread.start()
    judge.quiet()
    done.set()
    thread.join()
    assert '"promise": "P6"' in log.read_text()


@on_linux
def test_files_that_stay_open_are_noticed(judge: Judge, root: Path, log: Path) -> None:
    root.mkdir()
    with ExitStack() as stack:
        for number in range(MOST_UNDER_ROOT + 1):
            stack.enter_context(open(root / str(number), "w"))
        judge.closed()
    assert '"promise": "descriptors"' in log.read_text()


def test_a_swallowed_interrupt_is_noticed(judge: Judge, log: Path) -> None:
    judge.interrupted(Interrupted(), "")
    assert log.read_text() == ""
    judge.interrupted(None, "")
    assert '"promise": "signal"' in log.read_text()


@on_linux
def test_what_is_on_disk_is_counted_as_du_does(tmp_path: Path) -> None:
    for name in ("v4/blobs/a", "v4/scratch/b", "scratch/c", "v4/deep/er/scratch/d"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(10_000))
    (tmp_path / "v4/blobs/again").hardlink_to(tmp_path / "v4/blobs/a")
    without = ["--exclude", "./v4/scratch", "--exclude", "./scratch"]
    command = ["du", "-s", "--block-size=1", *without, "."]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert sum(disk.allocated(str(tmp_path)).values()) == int(said.stdout.split()[0])


def test_a_cleaner_spares_what_is_locked_and_what_is_new(tmp_path: Path) -> None:
    locked, spared = tmp_path / "locked", tmp_path / "tree"
    locked.write_text("")
    spared.mkdir()
    (spared / "inside").write_text("")
    (tmp_path / "free").write_text("")
    descriptors = [os.open(path, os.O_RDONLY) for path in (locked, spared)]
    for one in descriptors:
        fcntl.flock(one, fcntl.LOCK_SH)
    assert disk.clean(str(tmp_path), 100) == 0
    assert disk.clean(str(tmp_path), -1) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inside", "locked", "tree"]
    for one in descriptors:
        os.close(one)


def test_the_same_seed_is_the_same_world() -> None:
    key = contents.key_of("same", 3)
    assert contents.body_of(key, 5) == contents.body_of(key, 5)
    assert contents.version_of(contents.etag_of(key, 5)) == 5
    assert contents.etag_of(key, 4) != contents.etag_of(key, 5)
    assert contents.body_of(key, 4) == contents.body_of(key, 5)  # another ETag, the same bytes
