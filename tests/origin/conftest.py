"""Fixtures of the tests that ask one object as different callers; see `support.door`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.door import Caches, Door, running_door


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    """The server that the environment names."""
    with running_door() as door:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", door.server.endpoint)
        yield door


@pytest.fixture
def caches(root: Path, door: Door) -> Iterator[Caches]:
    with ExitStack() as stack:
        yield Caches(root, stack)
