"""SQLite's locks do not survive a fork; what parent and child record is kept all the same."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.shelf import Shelf

import tmpcache

OBJECTS = {"before": b"0", "parent": b"1", "child": b"2", "later": b"3"}


def fork_without_hooks() -> int:
    """As a server written in C does."""
    return int(ctypes.PyDLL(None).fork())


@pytest.mark.parametrize("fork", [os.fork, fork_without_hooks])
def test_a_child_goes_on_writing_after_its_parent_has_closed(
    root: Path, fork: Callable[[], int]
) -> None:
    """The parent took itself for the last one, and removed the log that its child wrote into."""
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=3600, origin=Shelf(OBJECTS))
    cache.fetch("b", "before").release()
    opened, closed = os.pipe(), os.pipe()
    pid = fork()
    if pid == 0:
        try:
            cache.fetch("b", "child").release()
            os.write(opened[1], b"x")
            os.read(closed[0], 1)
            cache.fetch("b", "later").release()
            cache.close()
            os._exit(bool(cache.stats().damaged))
        finally:
            os._exit(9)
    os.read(opened[0], 1)
    cache.fetch("b", "parent").release()
    cache.close()
    os.write(closed[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    with tmpcache.Cache(root) as later:
        assert {entry.key for entry in later.entries()} == set(OBJECTS)
    assert not cache.stats().damaged
    for pipe in (opened, closed):
        os.close(pipe[0])
        os.close(pipe[1])
