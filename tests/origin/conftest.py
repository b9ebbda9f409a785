"""Fixtures: servers whose answers a test writes, and caches that ask one object as many callers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.door import Caches, Door, running_door
from support.listener import Listener
from support.roles import Roles, running_roles
from support.wire import Wire

from tmpcache.origin.direct.origin import DirectOrigin


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


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A server that the environment names, and that keeps its connections."""
    listener = Listener()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", listener.endpoint)
    yield listener
    listener.stop()


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """A server that the environment names, and that closes each connection."""
    wire = Wire()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", wire.endpoint)
    yield wire
    wire.stop()


@pytest.fixture
def direct() -> Iterator[DirectOrigin]:
    """An origin that has resolved nothing yet."""
    direct = DirectOrigin()
    yield direct
    direct.close()


@pytest.fixture
def roles(monkeypatch: pytest.MonkeyPatch) -> Iterator[Roles]:
    """A server of the credentials of roles, which the environment need not name."""
    monkeypatch.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    with running_roles() as roles:
        yield roles


@pytest.fixture
def use(roles: Roles, door: Door, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the environment name sources of credentials, and have no access keys."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    def use(*sources: str) -> None:
        for name, value in roles.environ(*sources).items():
            monkeypatch.setenv(name, value)

    return use
