"""fsspec's own suites for file systems, against this one.

Left out is nothing of get, put, copy, pipe and open, except where a test says so below.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from tmpcache.integrations.fsspec import TmpCacheFileSystem


class Fixtures(AbstractFixtures):
    @pytest.fixture
    def fs(self, fs: TmpCacheFileSystem) -> TmpCacheFileSystem:
        return fs

    @pytest.fixture
    def fs_path(self) -> str:
        return "models"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False  # S3 has none


class TestCopy(Fixtures, AbstractCopyTests):
    pass


class TestGet(Fixtures, AbstractGetTests):
    pass


class TestOpen(Fixtures, AbstractOpenTests):
    pass


class TestPipe(Fixtures, AbstractPipeTests):
    pass


class TestPut(Fixtures, AbstractPutTests):
    pass
