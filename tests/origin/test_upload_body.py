"""How a body is cut into parts, and what is read of it."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from support.handmade import HandmadeS3
from support.parts import PartsStore, running

from tmpcache.common.deadline import Deadline
from tmpcache.errors import DeadlineExceededError
from tmpcache.origin.s3 import upload_body
from tmpcache.origin.s3.origin import S3Origin
from tmpcache.origin.s3.upload_body import Parts, part_size, whole

MIB, TIB = 1 << 20, 1 << 40
SUBJECT = ("models", "a", None)
BODY = bytes(range(256)) * 4096 * 3 + b"end"  # 3 MiB and a little


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "body"
    path.write_bytes(BODY)
    return path


@pytest.mark.parametrize(
    "size", [1, 16 * MIB + 1, 80_000 * MIB, 80_000 * MIB + 1, TIB, 5 * TIB - 1, 5 * TIB, 48 * TIB]
)
def test_there_are_never_more_than_ten_thousand_parts(size: int) -> None:
    each = part_size(size)
    assert -(-size // each) <= 10_000
    assert 5 * MIB <= each <= 5 * 1024 * MIB
    assert each % MIB == 0
    assert size > 80_000 * MIB or each == 8 * MIB, "no larger than need be"


@pytest.mark.parametrize("kind", ["file", "unbuffered", "from the middle", "memory", "gzip"])
def test_the_parts_are_the_body(
    file: Path, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The descriptor of a GzipFile has other bytes than are read from it."""
    monkeypatch.setattr(upload_body, "_MIN_PART", MIB)
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(BODY, 1))
    bodies: dict[str, Any] = {
        "file": lambda: file.open("rb"),
        "unbuffered": lambda: file.open("rb", buffering=0),
        "from the middle": lambda: file.open("rb"),
        "memory": lambda: io.BytesIO(BODY),
        "gzip": lambda: gzip.GzipFile(packed),
    }
    expected = BODY[1:] if kind == "from the middle" else BODY
    with bodies[kind]() as body:
        body.seek(len(BODY) - len(expected))
        assert whole(body, len(expected), SUBJECT, None).read() == expected
        body.seek(len(BODY) - len(expected))
        parts = Parts(body, len(expected), SUBJECT, None)
        taken = list(iter(parts.take, None))
        assert [number for number, _ in taken] == [1, 2, 3, 4]
        assert parts.count == 4
        assert b"".join(part.read() for _, part in taken) == expected


def test_a_part_can_be_read_again(file: Path) -> None:
    """botocore reads a body to find its length and its checksums, and again to send it."""
    with file.open("rb") as body:
        body.seek(10)
        part = whole(body, 100, SUBJECT, None)
        assert (part.seek(0, io.SEEK_END), part.tell(), part.seek(0)) == (100, 100, 0)
        assert part.read(60) + part.read(60) + part.read(60) == BODY[10:110]
        assert (part.seek(-20, io.SEEK_CUR), part.read(-1)) == (80, BODY[90:110])
        assert body.tell() == 10


def test_a_body_ends_at_the_deadline(file: Path) -> None:
    with file.open("rb") as body:
        part = whole(body, 100, SUBJECT, deadline := Deadline(60))
        assert part.read(10) == BODY[:10]
        deadline.cancel()
        with pytest.raises(DeadlineExceededError, match="s3://models/a"):
            part.read(10)


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_an_origin_takes_any_body(file: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload_body, "_MIN_PART", MIB)
    store = PartsStore()
    with running(store) as server:
        put(server, monkeypatch, io.BytesIO(BODY) if kind == "memory" else file.open("rb"))
    assert store.objects == {"/models/a": BODY}
    assert store.count("part") == 4


def put(server: HandmadeS3, monkeypatch: pytest.MonkeyPatch, body: BinaryIO) -> None:
    """Put the body through an origin of its own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.endpoint)
    origin = S3Origin()
    with body:
        origin.put("models", "a", body, len(BODY))
    origin.close()
