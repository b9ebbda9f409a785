"""P10: rights on the root that are lost while it is in use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.anywhere import MemoryOrigin

import tmpcache
from tmpcache import Outcome
from tmpcache.errors import UnsafeRootError


def hit_in_the_index(cache: tmpcache.Cache) -> None:
    cache._fetcher.remembered.clear()
    cache.fetch("b", "10-a")


_USES: dict[str, Callable[[tmpcache.Cache], object]] = {
    "a remembered hit": lambda cache: cache.fetch("b", "10-a"),
    "a hit": hit_in_the_index,
    "a large object": lambda cache: cache.fetch("b", "300000-b"),
    "small": lambda cache: cache.fetch("b", "10-b"),
    "many": lambda cache: cache.fetch_many("b", ["10-c", "300000-c"]),
    "scratch": lambda cache: cache.scratch().remove(),
    "gc": lambda cache: cache.gc(),
    "evict": lambda cache: cache.evict("b", whole_bucket=True),
    "usage": lambda cache: cache.usage(),
    "verify": lambda cache: cache.verify(),
    "make_room": lambda cache: cache.make_room("7 MiB"),
    "clear": lambda cache: cache.clear(),
    "entries": lambda cache: [*cache.entries()],
}


@pytest.mark.parametrize("use", _USES)
@pytest.mark.parametrize("mode", [0o000, 0o500, 0o600])
@pytest.mark.parametrize("name", [".", "blobs", "partial", "sessions", "scratch"])
def test_rights_that_are_lost_while_in_use_are_given_back(
    root: Path, name: str, mode: int, use: str
) -> None:
    """For an ordinary user."""
    with tmpcache.Cache(root, quota="8 MiB", max_age=60, origin=MemoryOrigin()) as cache:
        cache.fetch("b", "10-a").release()
        cache.scratch().remove()
        (root / name).chmod(mode)
        try:
            _USES[use](cache)
        finally:
            root.chmod(0o700)
        assert cache.fetch("b", "10-d").size == 10


def test_rights_that_nobody_here_can_give_back_are_told(root: Path, tmp_path: Path) -> None:
    """By an ordinary user. Once they are back, all is as it was."""
    above = tmp_path / "above"
    with tmpcache.Cache(above / "root", quota="8 MiB", max_age=60, origin=MemoryOrigin()) as cache:
        cache.fetch("b", "10-a").release()
        above.chmod(0o000)
        try:
            if os.access(above, os.X_OK):
                pytest.skip("root may do all")
            for use in (hit_in_the_index, _USES["small"], _USES["gc"], _USES["scratch"]):
                with pytest.raises(UnsafeRootError, match="Give user .* rights .* back"):
                    use(cache)
        finally:
            above.chmod(0o700)
        assert cache.fetch("b", "10-a").outcome is Outcome.HIT
        assert cache.stats().damaged == {}
