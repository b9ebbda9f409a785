"""``rm``, ``prune`` and ``verify`` remove what was asked for, and nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import run
from support.shelf import Shelf

import tmpcache


@pytest.fixture(autouse=True)
def filled(root: Path) -> Iterator[tmpcache.Cache]:
    """Objects that were used a day ago, one of them just now."""
    names = ("a", "dir", "dir/", "dir/x", "dir/y", "dir%z", "other")
    shelf = Shelf({key: key.encode() for key in names})
    yesterday = time.time() - 86_400
    with tmpcache.Cache(root, quota="64 MiB", origin=shelf, clock=lambda: yesterday) as cache:
        for key in names:
            cache.fetch("models", key)
        cache.fetch("second", "a")
    with tmpcache.Cache(root, quota="64 MiB", origin=shelf) as cache:
        cache.fetch("models", "other")
        yield cache


def keys() -> list[str]:
    return [line.removeprefix("s3://models/") for line in run("ls", "-q").lines]


ALL = ["a", "dir", "dir%z", "dir/", "dir/x", "dir/y", "other", "s3://second/a"]


@pytest.mark.parametrize(
    ("arguments", "removed"),
    [
        (["s3://models/a"], ["a"]),
        (["s3://models/a", "s3://models/dir"], ["a", "dir"]),
        (["s3://models/dir/"], ["dir/"]),
        (["-r", "s3://models/dir/"], ["dir/", "dir/x", "dir/y"]),
        (["-r", "s3://models/dir"], ["dir"]),
        (["--whole-bucket", "s3://second"], ["s3://second/a"]),
        (["--all"], ALL),
    ],
)
def test_what_was_named_is_removed_and_a_rehearsal_says_so(
    arguments: list[str], removed: list[str]
) -> None:
    rehearsal = run("rm", "--dry-run", *arguments)
    assert rehearsal.code == 0
    assert sorted(line.removeprefix("s3://models/") for line in rehearsal.lines) == removed
    assert keys() == ALL
    done = run("rm", *arguments)
    assert (done.code, done.out) == (0, "")
    assert "freed" in done.err
    assert keys() == [key for key in ALL if key not in removed]


@pytest.mark.parametrize(
    "wrong",
    [[], ["s3://models"], ["s3://models/"], ["-r", "s3://models/"], ["--all", "s3://models/a"]],
)
def test_nothing_is_removed_that_was_not_asked_for_in_words(wrong: list[str]) -> None:
    assert run("rm", *wrong).code == 2
    assert keys() == ALL


def test_what_is_not_there_is_told(root: Path) -> None:
    done = run("rm", "s3://models/a", "s3://models/none")
    assert done.code == 3
    assert "not in the cache: s3://models/none" in done.err
    assert "a" not in keys()


def test_a_file_in_use_stays(filled: tmpcache.Cache) -> None:
    path = filled.fetch("models", "a")
    assert run("rm", "--all").code == 0
    assert path.read_bytes() == b"a"


def test_prune_takes_what_was_not_used_for_long_and_leftovers(
    root: Path, filled: tmpcache.Cache
) -> None:
    leftover = root / "blobs" / ("0" * 32)
    leftover.write_bytes(bytes(100_000))
    filled.close()
    assert run("prune").code == 0
    assert not leftover.exists()
    assert keys() == ALL
    assert run("prune", "--older-than", "2d").code == 0
    assert keys() == ALL
    assert run("prune", "--older-than", "1h").code == 0
    assert keys() == ["other"]
    assert run("prune", "--older-than", "soon").code == 2


def test_ci_keeps_what_was_used_since_the_machine_booted(filled: tmpcache.Cache) -> None:
    filled.close()
    assert run("prune", "--ci").code == 0
    booted = time.time() - time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", 1))
    assert keys() == (ALL if booted < time.time() - 86_400 else ["other"])


def test_verify_removes_what_is_damaged_and_fails(filled: tmpcache.Cache) -> None:
    done = run("verify")
    assert (done.code, done.out) == (0, "")
    path = filled.fetch("models", "a")
    os.chmod(path, 0o600)
    path.write_bytes(b"A")
    os.utime(path, ns=(0, 0))
    done = run("verify")
    assert (done.code, done.rows) == (1, [[path.digest, "changed"]])
    assert "a" not in keys()
