"""``tmpcache fetch``: paths to stdout, one line and a code for what goes wrong."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path

import pytest
from support.commands import COMMAND, Terminal, run

from tmpcache.testing import Bucket
from tmpcache.testing.faults import INTERNAL_ERROR, Fault

URL = "s3://models/micr/e13b.npz"


def test_the_path_goes_to_stdout_and_nothing_else(root: Path) -> None:
    done = run("fetch", URL)
    assert (done.code, done.err) == (0, "")
    [line] = done.lines
    assert Path(line).read_bytes() == b"template"
    assert root in Path(line).parents


def test_paths_come_in_the_order_of_the_urls(bucket: Bucket) -> None:
    keys = [f"k{number}" for number in range(5)]
    for key in keys:
        bucket.put(key, key.encode())
    urls = [f"s3://models/{key}" for key in [*reversed(keys), "k0"]]
    done = run("fetch", *urls)
    assert [Path(line).read_text() for line in done.lines] == [*reversed(keys), "k0"]


def test_a_fresh_copy_is_served_without_asking(bucket: Bucket) -> None:
    run("fetch", URL)
    run("fetch", URL, "--max-age", "3600")
    assert [get.status for get in bucket.gets("micr/e13b.npz")] == [200]
    run("fetch", URL)
    assert [get.status for get in bucket.gets("micr/e13b.npz")] == [200, 304]


def test_a_copy_has_the_rights_of_a_new_file_and_takes_the_place_of_an_old_one(
    tmp_path: Path,
) -> None:
    target = tmp_path / "e13b.npz"
    target.write_text("old")
    reader = target.open()
    done = run("fetch", URL, "--to", target)
    assert done.lines == [str(target)]
    assert target.read_bytes() == b"template"
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~_umask()
    assert reader.read() == "old"
    reader.close()
    assert sorted(tmp_path.iterdir()) == sorted({target, tmp_path / "cache", tmp_path / "home"})


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_directory_gets_the_objects_under_their_own_names(bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("b", b"b")
    place = tmp_path / "place"
    place.mkdir()
    done = run("fetch", URL, "s3://models/b", "--to", place)
    assert done.lines == [str(place / "e13b.npz"), str(place / "b")]
    bucket.put("dir/..", b"evil")
    assert run("fetch", "s3://models/dir/..", "--to", place).code == 2
    assert run("fetch", URL, "s3://models/b", "--to", tmp_path / "file").code == 2


def test_to_stdout(bucket: Bucket) -> None:
    body = os.urandom(3_000_000)
    bucket.put("big", body)
    done = subprocess.run(
        [*COMMAND, "fetch", "s3://models/big", "--to", "-"], capture_output=True, check=True
    )
    assert (done.stdout, done.stderr) == (body, b"")


def test_a_reader_that_goes_away_is_no_failure_worth_a_word(bucket: Bucket) -> None:
    bucket.put("big", bytes(3_000_000))
    command = subprocess.Popen(
        [*COMMAND, "fetch", "s3://models/big", "--to", "-"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    command.stdout.read(10)
    command.stdout.close()
    assert command.stderr is not None
    with command.stderr:
        assert command.stderr.read() == b""
    command.wait()


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("s3://models/none", 3, "s3://models/none"),
        ("s3://no-such-bucket/a", 3, "no-such-bucket"),
        ("models/a", 2, "give s3://bucket/key"),
        ("s3://models", 2, "names a bucket"),
    ],
)
def test_what_is_not_there_is_told_in_one_line(url: str, code: int, words: str) -> None:
    done = run("fetch", url)
    assert (done.code, done.out) == (code, "")
    [line] = done.err.splitlines()
    assert line.startswith("tmpcache: ")
    assert words in line


def test_refused_and_unavailable_have_codes_of_their_own(bucket: Bucket) -> None:
    bucket.inject("micr/e13b.npz", Fault(status=HTTPStatus.FORBIDDEN, code="AccessDenied"))
    assert run("fetch", URL).code == 4
    bucket.server.heal()
    bucket.inject("micr/e13b.npz", INTERNAL_ERROR)
    assert run("fetch", URL).code == 5
    bucket.server.heal()
    bucket.put("large", bytes(2_000_000))
    assert run("--quota", "1 MiB", "fetch", "s3://models/large").code == 6


def test_a_root_that_is_refused_is_denied(root: Path) -> None:
    root.mkdir(mode=0o755)
    done = run("fetch", URL)
    assert done.code == 4
    assert "chmod 700" in done.err


def test_a_hostile_key_cannot_write_to_the_terminal(bucket: Bucket) -> None:
    code, shown = Terminal("fetch", "s3://models/\x1b]0;evil\x07").finish()
    assert code == 3
    assert "\x07" not in shown
    assert "\\x1b]0;evil" in shown


def test_without_the_extra_it_says_how_to_install_it() -> None:
    code = "import sys; sys.modules[{!r}] = None; import tmpcache.cli; tmpcache.cli.main()"
    for name in ("click", "rich"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(name)], capture_output=True, text=True
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.strip().endswith("pip install 'tmpcache[cli]'")
        assert len(done.stderr.splitlines()) == 1
