"""``prefetch``, ``warm`` and ``manifest``: what a later fetch finds; progress on a terminal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import Terminal, run

from tmpcache import Cache
from tmpcache.testing import Bucket
from tmpcache.testing.faults import INTERNAL_ERROR


@pytest.fixture(autouse=True)
def objects(bucket: Bucket) -> None:
    for number in range(30):
        bucket.put(f"micr/{number:02}", bytes([number]) * 10_000)


def test_a_prefix_is_there_for_the_next_program(bucket: Bucket) -> None:
    done = run("prefetch", "s3://models/micr/")
    assert (done.code, done.out) == (0, "")
    assert "31 objects, 293.0 KiB received" in done.err
    assert "\r" not in done.err
    bucket.server.forget()
    assert run("fetch", "s3://models/micr/07", "--max-age", "600").code == 0
    assert bucket.server.requests == []
    assert "31 objects, 0 Bytes received" in run("prefetch", "s3://models/").err


def test_objects_and_a_tree_of_links(bucket: Bucket, tmp_path: Path) -> None:
    assert run("prefetch", "s3://models/micr/01", "s3://models/micr/02").code == 0
    assert len(run("ls").lines) == 2
    tree = tmp_path / "tree"
    done = run("prefetch", "s3://models/micr/", "--into", tree)
    assert (done.code, done.lines) == (0, [str(tree)])
    assert len([*tree.iterdir()]) == 31
    assert run("prefetch", "s3://models/micr/01", "--into", tree).code == 2
    assert run("prefetch", "s3://none/").code == 3


def test_a_terminal_shows_how_far_it_is() -> None:
    terminal = Terminal("prefetch", "s3://models/micr/")
    code, shown = terminal.finish()
    assert code == 0
    assert "31/31" in shown
    assert "/s  " in shown
    assert " left" in shown
    assert "31 objects" in shown.splitlines()[-1]


def test_some_that_fail_are_each_told(bucket: Bucket) -> None:
    for number in (3, 5):
        bucket.inject(f"micr/{number:02}", INTERNAL_ERROR)
    done = run("prefetch", "s3://models/micr/")
    assert done.code == 5
    assert [f"micr/0{number}" in done.err for number in (3, 5)] == [True, True]
    assert len(run("ls").lines) == 29


def test_a_manifest_warms_another_machine(bucket: Bucket, tmp_path: Path) -> None:
    run("prefetch", "s3://models/micr/")
    manifest = run("manifest")
    assert len(json.loads(manifest.out)["objects"]) == 31
    saved = tmp_path / "warm.json"
    assert run("manifest", "--to", saved).lines == [str(saved)]
    assert saved.read_text().strip() == manifest.out.strip()
    bucket.put("warm.json", saved.read_bytes())
    for number, source in enumerate(["s3://models/warm.json", str(saved), "-"]):
        place = tmp_path / str(number)
        done = run("--root", place, "warm", source, input=manifest.out)
        assert (done.code, done.out) == (0, "")
        assert "31 fetched (293.0 KiB in " in done.err
    done = run("--root", place, "warm", saved)
    assert "0 fetched (0 Bytes in 0 s), 31 present" in done.err
    done = run("--root", tmp_path / "small", "warm", saved, "--max-bytes", "100 kB")
    assert "skipped" in done.err


def test_what_is_no_manifest_is_wrong_usage(tmp_path: Path) -> None:
    assert run("warm", "-", input="{}").code == 2
    done = run("warm", tmp_path / "none.json")
    assert (done.code, len(done.err.splitlines())) == (1, 1)


def test_a_pack_warms_another_machine(bucket: Bucket, tmp_path: Path) -> None:
    Cache(tmp_path / "writer").put_pack("s3://models/micr/")
    bucket.server.forget()
    for number, source in enumerate(["s3://models/micr/", "s3://models/micr/.tmpcache-pack"]):
        done = run("--root", tmp_path / str(number), "warm", source)
        assert (done.code, done.err.count("31 fetched")) == (0, 1)
    assert bucket.gets("micr/e13b.npz") == []
