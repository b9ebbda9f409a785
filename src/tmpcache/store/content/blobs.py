"""Blobs: the files that hold content, read-only and named by their xxh3_128 hash.

A blob is published by rename. The index records its inode, size and mtime_ns; a file that differs
is damaged. The name of a blob is its hash, then a number if other bytes have the same hash, then
the suffix of the object's key, because many programs look at that. No other part of a key reaches
the disk.
"""

from __future__ import annotations

import os
import re

from ..filesystem.descriptor import Descriptor

#: Mode of a blob. A file is not a blob by its mode, but by its name and its row in the index.
MODE = 0o444

_CHUNK = 1024 * 1024
#: What SQLite appends to the path of a database to name the files that it puts beside it. A user
#: may open a blob that is a database.
SIBLINGS = ("-wal", "-shm", "-journal")
#: The first bytes of a database.
DATABASE = b"SQLite format 3\0"
_PARTIAL = r"[0-9a-f]{40}(\.[0-9a-f]{12})?"
_HEXADECIMAL = "0123456789abcdef"
_IN_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_COMPRESSED = {".br", ".bz2", ".gz", ".lz4", ".xz", ".z", ".zst"}


def suffix(key: str) -> str:
    """Return the part of a key that names its file type; "" unless any disk can store it safely.

    >>> suffix("micr/e13b.npz"), suffix("a/model.tar.gz"), suffix("v1.2/data"), suffix("x.p df")
    ('.npz', '.tar.gz', '', '')
    >>> suffix(".bashrc"), suffix("a.." + "b" * 300), suffix("model-1.5.bin"), suffix("x.db-wal")
    ('', '', '.bin', '')
    """
    stem, dot, last = key.rpartition("/")[2].lstrip(".").rpartition(".")
    if not dot or not _is_suffix(last):
        return ""
    if (dot + last).lower() in _COMPRESSED:
        _, dot, inner = stem.rpartition(".")
        if dot and _is_suffix(inner):
            return f".{inner}.{last}"
    return f".{last}"


def _is_suffix(text: str) -> bool:
    """Return whether a suffix, without its dot, can be stored safely, and is none of SQLite's."""
    return 0 < len(text) <= 16 and not text.strip(_IN_SUFFIX) and not text.endswith(SIBLINGS)


def is_name(name: str) -> bool:
    """Return whether a file of this name can be a blob.

    No regular expression: the first hit of a process would compile it (0.2 ms).

    >>> is_name("0" * 32 + ".tar.gz"), is_name("0" * 32 + "-1"), is_name("notes.txt")
    (True, True, False)
    """
    stem, *suffixes = name.split(".")
    digest, dash, number = stem.partition("-")
    if len(digest) != 32 or digest.strip(_HEXADECIMAL) or len(suffixes) > 2:
        return False
    if dash and not (number.isascii() and number.isdigit()):
        return False
    return all(map(_is_suffix, suffixes))


def is_sibling(name: str) -> bool:
    """Return whether a file of this name can be one that SQLite has put beside a blob.

    >>> is_sibling("0" * 32 + ".db-wal"), is_sibling("0" * 32 + ".db"), is_sibling("x-wal")
    (True, False, False)
    """
    return any(name.endswith(end) and is_name(name.removesuffix(end)) for end in SIBLINGS)


def is_partial(name: str) -> bool:
    """Return whether a file of this name can be a partial.

    >>> is_partial("0" * 40), is_partial("0" * 40 + "." + "1" * 12), is_partial("../x")
    (True, True, False)
    """
    return isinstance(name, str) and re.fullmatch(_PARTIAL, name) is not None


def digest_of(path: str) -> str:
    """Return the xxh3_128 hash of a file's content, 32 hexadecimal digits."""
    import xxhash

    state = xxhash.xxh3_128()
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while count := file.readinto(view):
            state.update(view[:count])
    return state.hexdigest()


def same_bytes(path: str, other: str) -> bool:
    """Return whether two files have the same content.

    Equal hashes do not prove that: somebody may have chosen bytes that have the hash of others.
    """
    with Descriptor(path, os.O_RDONLY) as one, Descriptor(other, os.O_RDONLY) as two:
        at, is_same = 0, one.status.st_size == two.status.st_size
        while is_same and (chunk := os.pread(one.fd, _CHUNK, at)):
            is_same = os.pread(two.fd, len(chunk), at) == chunk
            at += len(chunk)
    return is_same


def has_bytes(path: str, content: bytes | bytearray) -> bool:
    """Return whether a small file has this content."""
    with Descriptor(path, os.O_RDONLY) as file:
        return os.pread(file.fd, len(content) + 1, 0) == content


def fingerprint(path: str) -> tuple[int, int, int]:
    """Return inode, size and mtime_ns; an undamaged blob has those with which it was published."""
    status = os.lstat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
