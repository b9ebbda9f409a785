"""Fixtures of the tests that run functions as Lambda does; see `support.functions`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.functions import APP, Deploy

from tmpcache.testing import LambdaHarness


@pytest.fixture
def deploy(tmp_path: Path, root: Path, environment: None) -> Iterator[Deploy]:
    directory = tmp_path / "function"
    directory.mkdir()
    (directory / "app.py").write_text(APP)
    with ExitStack() as stack:

        def harness(handler: str, **settings: Any) -> LambdaHarness:
            environ = {"TMPCACHE_ROOT": str(root), "TMPCACHE_QUOTA": "64 MiB"}
            function = LambdaHarness(handler, directory=directory, environ=environ, **settings)
            return stack.enter_context(function)

        yield harness


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file by which a function shows that it runs."""
    return tmp_path / "mark"
