"""How the bytes of a body come from the socket into the file: at once, and not in crumbs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.anywhere import MemoryOrigin
from support.content import content
from support.origins import through_both_readers
from support.processes import spawn, wait_until
from support.proxy import FaultProxy, Trouble
from support.tls import encrypted

from tmpcache import Cache
from tmpcache.testing import Bucket, S3Server

pytestmark = through_both_readers

KIB, MIB = 1 << 10, 1 << 20
BODY = content("body", 6 * MIB)


def test_what_came_before_the_network_fell_silent_is_in_the_file(
    bucket: Bucket, root: Path, proxy: FaultProxy
) -> None:
    bucket.put("a", BODY)
    came = BODY[: MIB + 12_345]
    proxy.set(Trouble(body="stall", after=len(came)))
    with spawn("import tmpcache; tmpcache.Cache(root).fetch('models', 'a')", root=str(root)):
        proxy.wait_struck()
        wait_until(lambda: [p.read_bytes()[: len(came)] for p in root.glob("partial/*")] == [came])


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each write into a partial had."""
    sizes, write = [], os.pwrite

    def noted(fd: int, data: bytes | memoryview, at: int) -> int:
        if isinstance(data, memoryview):  # else it is of a session
            sizes.append(len(data))
        return write(fd, data, at)

    monkeypatch.setattr(os, "pwrite", noted)
    return sizes


def test_reads_grow_with_what_is_there_up_to_two_mib(root: Path, writes: list[int]) -> None:
    with Cache(root, quota="64 MiB", origin=MemoryOrigin()) as cache:
        cache.fetch("b", f"{8 * MIB}-a")
    assert writes[:5] == [256 * KIB, 512 * KIB, 1 * MIB, 2 * MIB, 2 * MIB]
    assert sum(writes) == 8 * MIB


def test_the_records_of_tls_are_gathered(
    bucket: Bucket,
    root: Path,
    s3: S3Server,
    tmp_path: Path,
    writes: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket.put("a", BODY)
    with encrypted(s3.address, tmp_path) as (endpoint, certificate):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        with Cache(root) as cache:
            assert cache.fetch("models", "a").read_bytes() == BODY
    assert writes == [256 * KIB] * 24
