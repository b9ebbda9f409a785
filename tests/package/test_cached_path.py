"""A cached file is a path like any other, and what is derived from it is a plain one."""

from __future__ import annotations

import copy
import os
import pickle
import shutil
from pathlib import Path

import pytest

import tmpcache
from tmpcache import CachedFile
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
    assert path.name in repr(path)
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
