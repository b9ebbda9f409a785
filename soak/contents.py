"""What the objects are: bytes, versions and rights, as functions of key and time.

Nothing here is state, except for objects that workers put. So every process can tell which bytes
an ETag stands for, when a version was replaced, and which credentials may read it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from xxhash import xxh3_64_intdigest

BUCKET = "soak"
#: Credentials that may read everything.
AUDITOR = "AKIAAUDITOR"
#: A prime, so that bytes which land at another offset are other bytes.
_BLOCK = 65_521


@dataclass(frozen=True)
class Kind:
    """Objects of one prefix: how many, of how many bytes, each version current for how long."""

    count: int
    smallest: int
    largest: int
    #: Seconds; every key has its own period between these.
    fastest: float = 1.0
    slowest: float = 100.0


#: `same`: few contents under many keys. `gone`: every other version does not exist. `put`: written
#: by the workers. `odd`: keys that are no file names. The rest says it.
KINDS = {
    "tiny": Kind(3000, 0, 300, slowest=900),
    "same": Kind(60, 30_000, 200_000, fastest=2, slowest=30),
    "mid": Kind(80, 10_000, 400_000, fastest=0.5),
    "gone": Kind(20, 1_000, 60_000, fastest=2, slowest=10),
    "odd": Kind(12, 1, 50_000),
    "put": Kind(20, 100, 300_000),
    "large": Kind(12, 1 << 20, 5 << 20, fastest=5),
    "huge": Kind(3, 20_000_000, 20_000_000, fastest=20, slowest=200),
}
_ODD_KEYS = ("a//b", "./..", "ä b+c%2F", "tab\there", "x" * 300, "q?a=b&c#d")
_SUFFIXES = ("", ".npz", ".tar.gz", ".jpg")


def all_keys(kind: str) -> list[str]:
    """Return the keys of a kind, in the order of a listing."""
    return sorted(key_of(kind, number) for number in range(KINDS[kind].count))


def key_of(kind: str, number: int) -> str:
    """Return the key of one object."""
    if kind == "odd":
        return f"odd/{number}/{_ODD_KEYS[number % len(_ODD_KEYS)]}"
    return f"{kind}/{number:04}{_SUFFIXES[number % len(_SUFFIXES)]}"


def kind_of(key: str) -> str:
    """Return the kind of an object, which its key begins with."""
    return key.partition("/")[0]


def period_of(key: str) -> float:
    """Return the seconds for which each version of an object is current."""
    kind = KINDS[kind_of(key)]
    share = _hash(f"period {key}") / 2**64
    return float(kind.fastest * (kind.slowest / kind.fastest) ** share)


def version_at(key: str, when: float) -> int:
    """Return the version that is current at a time in seconds since the epoch."""
    return int(when / period_of(key))


def replaced_at(key: str, version: int) -> float:
    """Return when the next version replaces this one; never for what workers put."""
    return float("inf") if kind_of(key) == "put" else (version + 1) * period_of(key)


def exists(key: str, version: int) -> bool:
    """Return whether there is an object in this version."""
    return kind_of(key) != "gone" or version % 2 == 0


def etag_of(key: str, version: int) -> str:
    """Return the ETag, which contains the version. Two ETags may stand for the same bytes."""
    return f'"{version:x}-{_hash(_content_of(key, version)[0]):016x}"'


def version_of(etag: str) -> int | None:
    """Return the version that an ETag contains, None if it contains none."""
    try:
        return int(etag.strip('"').partition("-")[0], 16)
    except ValueError:
        return None


def size_of(key: str, version: int) -> int:
    """Return the length in bytes."""
    kind = KINDS[kind_of(key)]
    name, content = _content_of(key, version)
    spread = kind.largest - kind.smallest + 1
    return kind.smallest + _hash(f"size {name} {content}") % spread


def body_of(key: str, version: int) -> bytes:
    """Return the bytes: a line that says what they are, then a pattern of this version alone."""
    size = size_of(key, version)
    name, content = _content_of(key, version)
    head = f"{name}|{content}|{size}\n".encode()
    block = _block(name, content, min(_BLOCK, max(size, 1)))
    return (head + block * (size // len(block) + 1))[:size]


def first_line(body: bytes) -> str:
    """Return the line that bytes begin with, for the report of a violation."""
    return body[:100].partition(b"\n")[0].decode(errors="replace")


def is_denied(access_key: str, key: str) -> bool:
    """Return whether the server answers 403 to these credentials: one key of five, for each."""
    return access_key != AUDITOR and _hash(f"{access_key} {key}") % 5 == 0


def _content_of(key: str, version: int) -> tuple[str, int]:
    if kind_of(key) == "same":  # five contents in turn, each under two ETags, for a quarter of all
        return f"same-{_hash(key) % 4}", version // 2 % 5
    return key, version


def _hash(text: str) -> int:
    return int(xxh3_64_intdigest(text.encode()))


@lru_cache(maxsize=128)
def _block(name: str, content: int, length: int) -> bytes:
    return random.Random(f"{name} {content}").randbytes(length)
