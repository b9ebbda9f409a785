"""``tmpcache ls`` and its kin: a table for people, columns for programs, nothing for attackers."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands import COMMAND, Terminal, run
from support.shelf import Shelf

import tmpcache

KEYS = ["b/large.npz", "a.npz", "b/small.txt"]


class Hours:
    """A clock that stands still, ten hours ago at first."""

    def __init__(self) -> None:
        self.now = time.time() - 36_000

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hours:
    return Hours()


@pytest.fixture(autouse=True)
def filled(root: Path, clock: Hours) -> Iterator[tmpcache.Cache]:
    """Three objects, used ten, nine and eight hours ago; the quota is that of a program."""
    sizes = {"b/large.npz": 3_000_000, "a.npz": 2_000_000, "b/small.txt": 11}
    shelf = Shelf({key: key.encode().ljust(size) for key, size in sizes.items()})
    with tmpcache.Cache(root, quota="64 MiB", origin=shelf, clock=clock) as cache:
        for key in KEYS:
            cache.fetch("models", key)
            clock.now += 3600
        cache.fetch("other", "a.npz")
        cache.close()
        yield cache


def test_a_pipe_gets_bytes_and_seconds_in_columns() -> None:
    done = run("ls", FORCE_COLOR="1")
    assert (done.code, done.err) == (0, "")
    assert [(row[0], row[3], row[4]) for row in done.rows] == [
        ("2000000", "s3://models/a.npz", ""),
        ("3000000", "s3://models/b/large.npz", ""),
        ("11", "s3://models/b/small.txt", ""),
        ("2000000", "s3://other/a.npz", ""),
    ]
    ages = [int(row[1]) // 3600 for row in done.rows]
    assert ages == [9, 10, 8, 7]
    assert "\x1b" not in done.out


def test_a_terminal_gets_a_table_for_people() -> None:
    terminal = Terminal("ls", "--sort", "size")
    code, shown = terminal.finish()
    assert code == 0
    title, *lines = shown.splitlines()
    assert title.split() == ["SIZE", "USED", "CHECKED", "URL", "VERSION"]
    assert lines[0].split() == ["2.9", "MiB", "10", "h", "10", "h", "s3://models/b/large.npz"]
    assert "\x1b[1m" in terminal.raw


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        (["--sort", "size"], ["b/large.npz", "a.npz", "a.npz", "b/small.txt"]),
        (["--sort", "used"], ["a.npz", "b/small.txt", "a.npz", "b/large.npz"]),
        (["--sort", "used", "-r"], ["b/large.npz", "a.npz", "b/small.txt", "a.npz"]),
        (["--filter", "size>2MB"], ["b/large.npz"]),
        (["--filter", "size>=2 MB", "--filter", "bucket=models"], ["a.npz", "b/large.npz"]),
        (["--filter", "used > 8.5h"], ["a.npz", "b/large.npz"]),
        (["--filter", "checked<450min"], ["a.npz"]),
        (["--filter", "key!=*.npz"], ["b/small.txt"]),
        (["s3://models/b/"], ["b/large.npz", "b/small.txt"]),
        (["s3://other"], ["a.npz"]),
        (["s3://none"], []),
    ],
)
def test_sorted_and_filtered(options: list[str], keys: list[str]) -> None:
    done = run("ls", "-q", *options)
    assert done.code == 0
    assert [line.split("/", 3)[3] for line in done.lines] == keys


@pytest.mark.parametrize("wrong", ["size", "size>x", "used>5 moons", "colour=red", "size>1%GB"])
def test_what_is_no_condition_is_wrong_usage(wrong: str) -> None:
    done = run("ls", "--filter", wrong)
    assert (done.code, done.out) == (2, "")


def test_json_has_all_that_is_known() -> None:
    [first, *others] = json.loads(run("ls", "--json").out)
    assert len(others) == 3
    assert (first["url"], first["size"], len(first["digest"])) == (
        "s3://models/a.npz",
        2_000_000,
        32,
    )
    assert Path(first["path"]).stat().st_size == 2_000_000
    assert json.loads(run("ls", "--json", "s3://none").out) == []


def test_a_command_that_looks_evicts_nothing_and_needs_no_quota(root: Path) -> None:
    """The quota is the program's, which the index has, and not a default of the command."""
    usage = json.loads(run("du", "--json").out)["usage"]
    assert usage["quota"] == 64 * 1024 * 1024
    assert run("prune").code == 0
    assert len(run("ls").lines) == 4
    usage = json.loads(run("--quota", "32 MiB", "du", "--json").out)["usage"]
    assert usage["quota"] == 32 * 1024 * 1024


def test_du_counts_a_file_that_buckets_share_for_each_and_once_in_all() -> None:
    done = run("du")
    assert [row[1:] for row in done.rows] == [["3", "models"], ["1", "other"], ["4", "total"]]
    models, other, total = (int(row[0]) for row in done.rows)
    assert other >= 2_000_000
    assert total == models
    assert "of 64.0 MiB used" in done.err
    assert "OBJECTS" in Terminal("du").finish()[1]


def test_dir_makes_nothing(root: Path, tmp_path: Path) -> None:
    assert run("dir").lines == [str(root)]
    assert run("--root", tmp_path / "none", "dir").lines == [str(tmp_path / "none")]
    assert not (tmp_path / "none").exists()


def test_stats_are_those_of_all_programs(filled: tmpcache.Cache) -> None:
    found = dict(run("stats").rows)
    assert (found["fetched"], found["hits"], found["evicted"]) == ("4", "0", "0")
    assert found["bytes_fetched"] == "7000011"
    for _ in range(3):
        filled.fetch("models", "a.npz", max_age=1e9)
    filled.close()
    found = json.loads(run("stats", "--json").out)
    assert (found["hits"], found["bytes_saved"]) == (3, 6_000_000)
    assert "5.7 MiB" in Terminal("stats").finish()[1]


def test_keys_cannot_break_lines_or_obey_the_terminal(filled: tmpcache.Cache) -> None:
    shelf = Shelf({"a\tb\n\x1b[2J": b"evil"})
    with tmpcache.Cache(filled.root, quota="64 MiB", origin=shelf) as cache:
        cache.fetch("models", "a\tb\n\x1b[2J")
    [row] = [row for row in run("ls").rows if row[0] == "4"]
    assert row[3] == "s3://models/a\\tb\\n\\x1b[2J"
    terminal = Terminal("ls")
    assert "a\\tb\\n\\x1b[2J" in terminal.finish()[1]
    assert "\x1b[2J" not in terminal.raw


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    command = f"{' '.join(COMMAND)} ls | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_a_damaged_index_is_told_by_an_empty_list(root: Path) -> None:
    (root / "index.sqlite").write_bytes(b"garbage" * 1000)
    done = run("ls")
    assert (done.code, done.out, done.err) == (0, "", "")
