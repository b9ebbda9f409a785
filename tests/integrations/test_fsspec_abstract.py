"""fsspec's own suites for file systems, against this one.

None of get, put, copy, pipe and open is left out. Of mv, the two tests there are about local files.
"""

from __future__ import annotations

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


class Fixtures(AbstractFixtures):  # type: ignore[misc]
    @pytest.fixture
    def fs(self, fs: TmpCacheFileSystem) -> TmpCacheFileSystem:
        return fs

    @pytest.fixture
    def fs_path(self) -> str:
        return "models"

    @pytest.fixture
    def supports_empty_directories(self) -> bool:
        return False  # S3 has none


class TestCopy(Fixtures, AbstractCopyTests):  # type: ignore[misc]
    pass


class TestGet(Fixtures, AbstractGetTests):  # type: ignore[misc]
    pass


class TestOpen(Fixtures, AbstractOpenTests):  # type: ignore[misc]
    pass


class TestPipe(Fixtures, AbstractPipeTests):  # type: ignore[misc]
    pass


class TestPut(Fixtures, AbstractPutTests):  # type: ignore[misc]
    pass
