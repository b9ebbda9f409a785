"""Fixtures: a store that takes uploads in parts, and a cache that puts into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.handmade import HandmadeS3
from support.leftovers import locked_partials, threads_of_ours
from support.parts import MIB, PartsStore, running

from tmpcache import Cache
from tmpcache.origin.s3 import upload_body
from tmpcache.origin.transfer.range_reader import open_connections


@pytest.fixture
def store() -> PartsStore:
    return PartsStore()


@pytest.fixture
def server(store: PartsStore, origin: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[HandmadeS3]:
    """S3 refuses parts of less than 5 MiB but the last one; this one takes any."""
    monkeypatch.setattr(upload_body, "_MIN_PART", MIB)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with running(store) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
        yield server


@pytest.fixture
def cache(root: Path, server: HandmadeS3) -> Iterator[Cache]:
    with Cache(root, quota="64 MiB", max_age=60) as cache:
        yield cache


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest, root: Path) -> Iterator[None]:
    yield
    assert threads_of_ours() == []
    assert not open_connections
    if (root / "partial").exists():
        assert locked_partials(root) == 0
