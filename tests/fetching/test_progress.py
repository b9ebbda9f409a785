"""Progress of one object: told to a function, or drawn on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
import threading
from pathlib import Path

import pytest

import tmpcache
from tmpcache.errors import ConfigError
from tmpcache.testing import Bucket

MIB = 1024 * 1024


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    bucket.put("large.bin", os.urandom(8 * MIB))
    return tmpcache.Cache(root, quota="64 MiB")


def test_progress_is_told_by_the_calling_thread(cache: tmpcache.Cache) -> None:
    told: list[tuple[int, int | None, int]] = []
    cache.fetch(
        "models",
        "large.bin",
        progress=lambda received, size: told.append((received, size, threading.get_ident())),
    )
    counts = [received for received, _, _ in told]
    assert counts == sorted(counts)
    assert 0 < counts[0] <= counts[-1] <= 8 * MIB
    assert {size for _, size, _ in told} == {8 * MIB}
    assert {thread for _, _, thread in told} == {threading.get_ident()}


def test_a_hit_has_no_progress(cache: tmpcache.Cache) -> None:
    cache.fetch("models", "large.bin")
    told: list[int] = []
    cache.fetch("models", "large.bin", progress=lambda received, size: told.append(received))
    cache.fetch("models", "large.bin", max_age=9, progress=lambda *counts: told.append(1))
    assert not told


def test_what_progress_raises_ends_the_call_and_the_next_one_resumes(
    cache: tmpcache.Cache, bucket: Bucket
) -> None:
    def stop(received: int, size: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.fetch("models", "large.bin", progress=stop)
    assert cache.fetch("models", "large.bin").size == 8 * MIB
    with pytest.raises(ConfigError, match="progress"):
        cache.fetch("models", "large.bin", progress=3)  # type: ignore[arg-type]


SHOW = "import tmpcache; print(tmpcache.fetch('models', 'large.bin', progress=True).size)"


@pytest.mark.parametrize("hidden", [None, "tqdm"])
def test_a_bar_is_drawn_on_a_terminal_only(
    cache: tmpcache.Cache, tmp_path: Path, hidden: str | None
) -> None:
    """With tqdm, or with rich where there is no tqdm; not a byte into a file or a pipe."""
    code = SHOW if hidden is None else f"import sys; sys.modules[{hidden!r}] = None; {SHOW}"
    variables = {**os.environ, "TMPCACHE_ROOT": str(tmp_path / "a"), "TERM": "xterm"}
    plain = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert (plain.stdout, plain.stderr) == (f"{8 * MIB}\n", "")
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, 80))
    variables["TMPCACHE_ROOT"] = str(tmp_path / "b")
    drawing = subprocess.Popen(
        [sys.executable, "-c", code], env=variables, stdout=subprocess.PIPE, stderr=follower
    )
    os.close(follower)
    drawn = b""
    try:
        while data := os.read(leader, 4096):
            drawn += data
    except OSError:  # the terminal's other end is closed
        pass
    finally:
        os.close(leader)
    assert drawing.communicate()[0] == b"%d\n" % (8 * MIB)
    assert drawing.returncode == 0
    assert b"large.bin" in drawn
    assert b"8.39M" in drawn or b"8.4 MB" in drawn
