"""Commands work on the cache and the S3 that the environment names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tmpcache.testing import Bucket


@pytest.fixture(autouse=True)
def place(root: Path, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name the cache directory in the environment, and put an object into S3."""
    monkeypatch.setenv("TMPCACHE_ROOT", str(root))
    bucket.put("micr/e13b.npz", b"template")
    return root


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command `tmpcache` on the path, as an installation does."""
    command = tmp_path / "bin" / "tmpcache"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m tmpcache "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
