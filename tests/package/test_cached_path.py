"""A cached file is a path like any other, and what is derived from it is a plain one."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import tmpcache
from tmpcache import CachedFile, ReadOnlyError
from tmpcache.testing import Bucket

KIB = 1024


@pytest.fixture
def cache(root: Path, bucket: Bucket) -> tmpcache.Cache:
    """Room for four of these objects."""
    for key in "abcdefgh":
        bucket.put(key, key.encode() * 200 * KIB)
    return tmpcache.Cache(root, quota="1 MiB", max_age=3600)


def test_a_path_is_a_path(cache: tmpcache.Cache, root: Path) -> None:
    path = cache.fetch("models", "a")
    assert isinstance(path, Path)
    assert path == Path(str(path))
    assert hash(path) == hash(Path(str(path)))
    with open(path, "rb") as file:
        assert file.read(1) == b"a"
    assert os.fspath(path) == str(path)
    assert repr(path) == f"<CachedFile s3://models/a 204.8 kB FETCHED …/blobs/{path.name[:12]}…>"
    assert path.is_relative_to(root)
    shutil.copy(path, root.parent / "copy")
    assert (root.parent / "copy").stat().st_size == path.size


@pytest.mark.parametrize(
    "derive",
    [
        lambda path: path.parent,
        lambda path: path.parents[0],
        lambda path: path / "x",
        lambda path: path.joinpath("x"),
        lambda path: path.with_suffix(".txt"),
        lambda path: path.with_name("x"),
        lambda path: path.resolve(),
        lambda path: path.relative_to("/"),
        lambda path: next(path.parent.iterdir()),
        lambda path: pickle.loads(pickle.dumps(path)),
        copy.copy,
        copy.deepcopy,
    ],
)
def test_a_derived_path_is_a_plain_one(cache: tmpcache.Cache, derive: object) -> None:
    path = cache.fetch("models", "a")
    derived = derive(path)  # type: ignore[operator]
    assert isinstance(derived, Path)
    assert not isinstance(derived, CachedFile)
    assert os.fspath(derived)


CHANGES: dict[str, Callable[[tmpcache.CachedFile], object]] = {
    "write_bytes": lambda path: path.write_bytes(b"other"),
    "write_text": lambda path: path.write_text("other"),
    "open to write": lambda path: path.open("w").close(),
    "open to append": lambda path: path.open("ab").close(),
    "open to change": lambda path: path.open("r+b").close(),
    "chmod": lambda path: path.chmod(0o600),
    "touch": lambda path: path.touch(),
}
MOVES: dict[str, Callable[[tmpcache.CachedFile], object]] = {
    "unlink": lambda path: path.unlink(),
    "rename": lambda path: path.rename(f"{path}-moved"),
    "replace": lambda path: path.replace(f"{path}-moved"),
}


@pytest.mark.parametrize("change", [*CHANGES, *MOVES])
def test_a_cached_file_refuses_to_be_changed(cache: tmpcache.Cache, change: str) -> None:
    """Root, whom no mode stops, would change it for every caller."""
    path = cache.fetch("models", "a")
    before = path.stat()
    with pytest.raises(ReadOnlyError, match="writable=True"):
        {**CHANGES, **MOVES}[change](path)
    assert path.stat() == before
    with path.open("rb") as file:
        assert file.read() == path.read_bytes() == b"a" * 200 * KIB


def test_a_file_in_a_scratch_directory_may_leave_and_a_writable_one_change(
    cache: tmpcache.Cache,
) -> None:
    cached = cache.fetch("models", "a")
    with cache.scratch() as work:
        for change in CHANGES.values():
            with pytest.raises(ReadOnlyError):
                change(work.fetch("models", "a"))
            change(work.fetch("models", "a", writable=True))
        for move in MOVES.values():
            move(work.fetch("models", "a"))
    assert cached.read_bytes() == b"a" * 204_800
