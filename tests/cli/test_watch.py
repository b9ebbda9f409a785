"""``tmpcache watch``: a live view while other programs use the cache."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from support.commands import COMMAND, Terminal, run
from support.shelf import Shelf

import tmpcache


def test_a_pipe_gets_a_line_for_each_look() -> None:
    with subprocess.Popen(
        [*COMMAND, "watch", "--interval", "0.1"], stdout=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        first = watching.stdout.readline().split()
        assert run("fetch", "s3://models/micr/e13b.npz").code == 0
        while (line := watching.stdout.readline().split())[6] == first[6]:
            pass
        assert (first[3], first[6], line[3], line[6]) == ("0", "0", "1", "1")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
    done = run("watch", "--interval", "0.05", "--count", "2")
    assert (done.code, len(done.rows), done.err) == (0, 2, "")


def test_a_terminal_shows_what_others_do_until_ctrl_c(root: Path) -> None:
    terminal = Terminal("watch", "--interval", "0.1")
    terminal.read_until("A SECOND")
    terminal.read_until("0 objects")
    shelf = Shelf({str(key): bytes([key]) * 100_000 for key in range(7)})
    with tmpcache.Cache(root, quota="64 MiB", origin=shelf) as cache:
        for key in shelf.objects:
            cache.fetch("models", key)
    terminal.read_until("7 objects")
    terminal.read_until("683.6 KiB")
    seen = len(terminal.shown)
    with tmpcache.Cache(root) as cache:  # the index is replaced under it
        cache.clear()
    terminal.read_until(", 0 objects", seen)
    terminal.type("\x03")
    code, shown = terminal.finish()
    assert code == 0
    assert "Traceback" not in shown
    assert terminal.raw.count("\x1b[?25h") >= 1  # the cursor is back


def test_it_takes_no_lock_that_others_wait_for(root: Path) -> None:
    """It runs a hundred looks while a program writes a hundred times; nobody fails."""
    watching = subprocess.Popen(
        [*COMMAND, "watch", "--interval", "0.05", "--count", "40"], stdout=subprocess.DEVNULL
    )
    shelf = Shelf({str(key): bytes([key]) * 1000 for key in range(100)})
    with tmpcache.Cache(root, quota="64 MiB", origin=shelf) as cache:
        while watching.poll() is None:
            for key in shelf.objects:
                cache.fetch("models", key)
            time.sleep(0.01)
        assert cache.stats().damaged == {}
    assert watching.wait(60) == 0
