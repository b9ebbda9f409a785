"""Fixtures: a file system over the server on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tmpcache.integrations.fsspec import TmpCacheFileSystem
from tmpcache.testing import Bucket

MakeFs = Callable[..., TmpCacheFileSystem]


@pytest.fixture
def make_fs(root: Path, bucket: Bucket) -> Iterator[MakeFs]:
    """Make file systems over the cache directory `root`, with more options if given."""

    def make(**options: Any) -> TmpCacheFileSystem:
        fs: TmpCacheFileSystem = fsspec.filesystem(
            "tmpcache", **{"root": str(root), "quota": "256 MiB", **options}
        )
        return fs

    yield make
    for fs in TmpCacheFileSystem._cache.values():
        fs.release()
        fs.cache.close()
    TmpCacheFileSystem.clear_instance_cache()


@pytest.fixture
def fs(make_fs: MakeFs) -> TmpCacheFileSystem:
    """A file system that asks S3 every time."""
    return make_fs()


@pytest.fixture
def patient(make_fs: MakeFs) -> TmpCacheFileSystem:
    """A file system that asks nobody within an hour."""
    return make_fs(max_age=3600)


@pytest.fixture
def options(root: Path) -> dict[str, Any]:
    """Storage options of a file system that asks nobody within an hour."""
    return {"root": str(root), "quota": "256 MiB", "max_age": 3600}
