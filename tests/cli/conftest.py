"""Commands work on the cache and the S3 that the environment names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tmpcache.testing import Bucket


@pytest.fixture(autouse=True)
def place(root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name the cache directory in the environment, and put an object into S3."""
    monkeypatch.setenv("TMPCACHE_ROOT", str(root))
    bucket.put("micr/e13b.npz", b"template")
    return root
