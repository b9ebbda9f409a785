"""A checksum of the whole object is verified where it can be computed; others are ignored."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
import xxhash
from support.content import assert_crosses_a_process_pool, assert_nothing_is_left, content

from tmpcache import Cache
from tmpcache.common import checksum
from tmpcache.common.checksum import Checksum, can_verify
from tmpcache.errors import IntegrityError
from tmpcache.origin.s3.headers import announced_checksum
from tmpcache.testing import Bucket
from tmpcache.testing.faults import WRONG_CHECKSUM

DIGITS = b"123456789"
#: The check values of the catalogues of CRCs, and what the libraries say.
KNOWN = {
    "crc32": bytes.fromhex("cbf43926"),
    "crc32c": bytes.fromhex("e3069283"),
    "crc64nvme": bytes.fromhex("ae8b14860a799888"),
    "xxhash64": xxhash.xxh64(DIGITS).digest(),
    "xxhash3": xxhash.xxh3_64(DIGITS).digest(),
    "xxhash128": xxhash.xxh3_128(DIGITS).digest(),
    "md5": hashlib.md5(DIGITS).digest(),
    "sha1": hashlib.sha1(DIGITS).digest(),
    "sha256": hashlib.sha256(DIGITS).digest(),
    "sha512": hashlib.sha512(DIGITS).digest(),
}


@pytest.mark.parametrize("algorithm", checksum.ALGORITHMS)
def test_every_algorithm_is_computed_piece_by_piece(algorithm: str) -> None:
    assert can_verify(algorithm)
    right = f"{algorithm}:{b64encode(KNOWN[algorithm]).decode()}"
    ours = Checksum(right)
    for piece in (DIGITS[:4], DIGITS[4:]):
        ours.update(memoryview(piece))
    assert ours.matches
    ours.update(memoryview(b"0"))
    assert not ours.matches


def test_without_awscrt_its_algorithms_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    response = {"ChecksumCRC64NVME": "AAAAAAAAAAA=", "ChecksumCRC32": "AAAAAA=="}
    assert announced_checksum(response) == "crc32:AAAAAA=="
    assert announced_checksum({"ChecksumCRC64NVME": "AAAAAAAAAAA="}) == ""


@pytest.mark.parametrize(
    "response",
    [
        {"ChecksumSHA256": "AAAA-3"},
        {"ChecksumCRC32": "AAAAAA==", "ChecksumType": "COMPOSITE"},
        {"ChecksumFANCY64": "AAAAAAAAAAA="},
    ],
)
def test_a_checksum_of_parts_or_of_an_unknown_kind_is_none_of_the_whole(
    response: dict[str, str],
) -> None:
    assert announced_checksum(response) == ""


def test_bytes_that_do_not_fit_the_checksum_are_refused(bucket: Bucket, cache: Cache) -> None:
    """Through boto3; obstore does not show the checksum (see test_fast_origin)."""
    body = content("body", 700_000)
    bucket.put("a b.npz", body)
    bucket.inject("a b.npz", WRONG_CHECKSUM, times=1)
    with pytest.raises(IntegrityError, match=r"s3://models/a b\.npz.*checksum") as caught:
        cache.fetch("models", "a b.npz")
    assert_crosses_a_process_pool(caught.value)
    assert_nothing_is_left(cache, body)
    assert cache.fetch("models", "a b.npz").read_bytes() == body
