"""Fixtures: the services on loopback, the pipeline on them, a batch's settings, a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cloud import MODELS, PREFIX, SENDER, Cloud, running
from support.scanner import Scanner, scanner_on

from examples.check_scanner import handler
from examples.check_scanner.recogniser import model
from examples.check_scanner.recogniser.model import Model


@pytest.fixture(scope="module")
def server() -> Iterator[Cloud]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def scanner(
    server: Cloud, environment: None, monkeypatch: pytest.MonkeyPatch, root: Path
) -> Iterator[Scanner]:
    with scanner_on(server, monkeypatch, root) as scanner:
        yield scanner


@pytest.fixture
def cloud(
    server: Cloud, environment: None, monkeypatch: pytest.MonkeyPatch, root: Path, tmp_path: Path
) -> Iterator[Cloud]:
    """Buckets and tables, a model, and the settings that a batch finds in its environment."""
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ENDPOINT_URL_S3": server.endpoint,
        "MODEL_BUCKET": MODELS,
        "MAIL_FROM": SENDER,
        "TABLE_PREFIX": PREFIX,
        "TMPCACHE_ROOT": str(root),
        "TMPCACHE_QUOTA": "64 MB",
        "TMPDIR": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(server, "app", server.app)
    server.reset()
    with server.unseen():
        server.s3.put_object(Bucket=MODELS, Key="micr/e13b.npz", Body=model.build("v1", 4))
    yield server
    handler.services.cache_clear()


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The model as it comes from S3."""
    path = tmp_path_factory.mktemp("model") / "e13b.npz"
    path.write_bytes(model.build("v7", 4))
    return model.load(path)
