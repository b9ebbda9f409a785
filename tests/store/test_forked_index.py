"""SQLite's locks do not survive a fork; what parent and child record is kept all the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.processes import spawn

import tmpcache

PROGRAM = """
    import ctypes
    from support.shelf import Shelf
    import tmpcache

    objects = {"before": b"0", "parent": b"1", "child": b"2", "later": b"3"}
    cache = tmpcache.Cache(root, quota="4 MiB", max_age=3600, origin=Shelf(objects))
    cache.fetch("b", "before").release()
    opened, closed = os.pipe(), os.pipe()
    pid = os.fork() if hooks else ctypes.PyDLL(None).fork()
    if pid == 0:
        cache.fetch("b", "child").release()
        os.write(opened[1], b"x")
        os.read(closed[0], 1)
        cache.fetch("b", "later").release()
        cache.close()
        os._exit(bool(cache.stats().damaged))
    os.close(opened[1])
    os.read(opened[0], 1)
    cache.fetch("b", "parent").release()
    cache.close()
    os.write(closed[1], b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not cache.stats().damaged
"""


@pytest.mark.parametrize("hooks", [True, False], ids=["os.fork", "a fork in C"])
def test_a_child_goes_on_writing_after_its_parent_has_closed(root: Path, hooks: bool) -> None:
    """The parent took itself for the last one, and removed the log that its child wrote into."""
    with spawn(PROGRAM, root=str(root), hooks=hooks) as child:
        assert child.wait() == 0
    with tmpcache.Cache(root) as cache:
        keys = {entry.key for entry in cache.entries()}
    assert keys == {"before", "parent", "child", "later"}
