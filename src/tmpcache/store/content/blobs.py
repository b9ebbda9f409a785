"""Content on disk: files named by their xxh3_128 hash, read-only, published by rename.

A blob is identified by inode, size and mtime_ns in the index; a file that differs is damage. The
name of a blob is its hash plus the object's suffix, for the many programs that look at it; nothing
else of a key ever reaches the disk.
"""

from __future__ import annotations

import os
import re

#: Mode of a blob. It says nothing about it: a file is a blob by its place and its row.
MODE = 0o444

_CHUNK = 1024 * 1024
#: What SQLite puts beside a database that is opened at its path in the cache.
_SIBLING = "-(?:wal|shm|journal)"
SIBLINGS = ("-wal", "-shm", "-journal")
DATABASE = b"SQLite format 3\0"
_SUFFIX = rf"(?!\.[\w-]*{_SIBLING}(?![\w-]))\.[A-Za-z0-9_-]{{1,16}}"
_PARTIAL = r"[0-9a-f]{40}(\.[0-9a-f]{12})?"
_NAME = rf"[0-9a-f]{{32}}(-\d+)?({_SUFFIX}){{0,2}}"
_COMPRESSED = {".br", ".bz2", ".gz", ".lz4", ".xz", ".z", ".zst"}


def suffix(key: str) -> str:
    """The part of a key that names its file type, if it is one that is safe on any disk.

    >>> suffix("micr/e13b.npz"), suffix("a/model.tar.gz"), suffix("v1.2/data"), suffix("x.p df")
    ('.npz', '.tar.gz', '', '')
    >>> suffix(".bashrc"), suffix("a.." + "b" * 300), suffix("model-1.5.bin"), suffix("x.db-wal")
    ('', '', '.bin', '')
    """
    stem, dot, last = key.rpartition("/")[2].lstrip(".").rpartition(".")
    if not re.fullmatch(_SUFFIX, dot + last):
        return ""
    if (dot + last).lower() in _COMPRESSED:
        _, dot, inner = stem.rpartition(".")
        if re.fullmatch(_SUFFIX, dot + inner):
            return f".{inner}.{last}"
    return f".{last}"


def is_name(name: str) -> bool:
    """Whether a file of this name can be a blob.

    >>> is_name("0" * 32 + ".tar.gz"), is_name("0" * 32 + "-1"), is_name("notes.txt")
    (True, True, False)
    """
    return re.fullmatch(_NAME, name) is not None


def is_sibling(name: str) -> bool:
    """Whether SQLite has put a file of this name beside a blob.

    >>> is_sibling("0" * 32 + ".db-wal"), is_sibling("0" * 32 + ".db"), is_sibling("x-wal")
    (True, False, False)
    """
    return any(name.endswith(one) and is_name(name.removesuffix(one)) for one in SIBLINGS)


def is_partial(name: str) -> bool:
    """Whether a file of this name can be a download under way.

    >>> is_partial("0" * 40), is_partial("0" * 40 + "." + "1" * 12), is_partial("../x")
    (True, True, False)
    """
    return isinstance(name, str) and re.fullmatch(_PARTIAL, name) is not None


def digest_of(path: str) -> str:
    """The xxh3_128 hash of a file's content, 32 hexadecimal digits."""
    import xxhash

    state = xxhash.xxh3_128()
    with open(path, "rb", buffering=0) as file:
        buffer = bytearray(_CHUNK)
        view = memoryview(buffer)
        while count := file.readinto(view):
            state.update(view[:count])
    return state.hexdigest()


def same_bytes(path: str, other: str) -> bool:
    """Whether two files have the same content. A hash may lie on purpose, bytes do not."""
    with open(path, "rb") as one, open(other, "rb") as two:
        if os.fstat(one.fileno()).st_size != os.fstat(two.fileno()).st_size:
            return False
        while chunk := one.read(_CHUNK):
            if two.read(len(chunk)) != chunk:
                return False
    return True


def fingerprint(path: str) -> tuple[int, int, int]:
    """Inode, size and mtime_ns: what a blob must still have to be what was published."""
    status = os.lstat(path)
    return status.st_ino, status.st_size, status.st_mtime_ns
