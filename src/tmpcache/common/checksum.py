"""Checksums of whole objects, as S3 sends them along with the bytes.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class _State(Protocol):
        def update(self, data: memoryview, /) -> object: ...

        def digest(self) -> bytes: ...


#: What S3 may send, fastest first. A stronger one that is slower is not worth its time here.
ALGORITHMS = (
    *("xxhash128", "xxhash3", "xxhash64", "crc64nvme", "crc32c", "crc32"),
    *("sha1", "md5", "sha256", "sha512"),
)
#: Only awscrt computes these. Where it is not installed they are not verified.
_NEED_AWSCRT = {"crc64nvme": ("crc64nvme", 8), "crc32c": ("crc32c", 4)}


class Checksum:
    """A checksum that S3 announced, and the same of the bytes seen so far.

    >>> checksum = Checksum("crc32:DUoRhQ==")
    >>> checksum.update(memoryview(b"hello world"))
    >>> checksum.matches
    True
    """

    def __init__(self, announced: str) -> None:
        """`announced` is ``algorithm:base64``, as :func:`can_verify` accepts it."""
        self.announced = announced
        self._state = _state(announced.partition(":")[0])
        self.update = self._state.update

    @property
    def computed(self) -> str:
        """The checksum of the bytes seen so far, as ``algorithm:base64``."""
        from base64 import b64encode

        algorithm = self.announced.partition(":")[0]
        return f"{algorithm}:{b64encode(self._state.digest()).decode()}"

    @property
    def matches(self) -> bool:
        """Whether the bytes have the announced checksum."""
        return self.computed == self.announced


def can_verify(algorithm: str) -> bool:
    """Return whether a library that computes this checksum is installed."""
    if algorithm in _NEED_AWSCRT:
        from importlib.util import find_spec

        return find_spec("awscrt") is not None
    return algorithm in ALGORITHMS


class _Crc:
    """A cyclic redundancy check, most significant byte first, behind hashlib's methods."""

    def __init__(self, algorithm: str) -> None:
        if algorithm in _NEED_AWSCRT:
            from awscrt import checksums

            name, self._length = _NEED_AWSCRT[algorithm]
            self._compute = getattr(checksums, name)
        else:
            import zlib

            self._compute, self._length = zlib.crc32, 4
        self._value = 0

    def update(self, data: memoryview, /) -> None:
        self._value = self._compute(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._length, "big")


def _state(algorithm: str) -> _State:
    if algorithm.startswith("crc"):
        return _Crc(algorithm)
    if algorithm.startswith("xxhash"):
        import xxhash

        kinds = {"xxhash64": "xxh64", "xxhash3": "xxh3_64", "xxhash128": "xxh3_128"}
        state: _State = getattr(xxhash, kinds[algorithm])()
        return state
    import hashlib

    return hashlib.new(algorithm, usedforsecurity=False)
