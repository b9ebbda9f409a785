"""What is wrong with a blob's file: missing, truncated, changed or corrupt."""

from __future__ import annotations

import os

from .content import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..common.objects import Copy
    from .index import Index


def problem(path: str, expected: tuple[int, int, int]) -> str | None:
    """Return what is wrong with a blob's file, in one word, without reading it; None if nothing."""
    try:
        found = blobs.fingerprint(path)
    except FileNotFoundError:
        return "missing"
    if found == expected:
        return None
    return "truncated" if found[1] < expected[1] else "changed"


def difference(path: str, expected: tuple[int, int, int]) -> str:
    """Return, for a log, how the file of a damaged blob differs from what is recorded."""
    try:
        found = blobs.fingerprint(path)
    except FileNotFoundError:
        return "no file"
    for name, is_now, was in zip(("inode", "size", "mtime"), found, expected, strict=True):
        if is_now != was and (name == "size" or found[1] == expected[1]):
            return f"{name} {is_now} ≠ {was}"
    return "other bytes"


def recheck(index: Index, copy: Copy, boot: str) -> str | None:
    """In a transaction, so that nobody evicts: return why a copy cannot be used, or None.

    A copy that can be used is recorded as it is, and its mode is set right.
    """
    rows = index.rows("SELECT inode, size, mtime_ns FROM blobs WHERE name = ?", copy.name)
    if not rows:
        return "missing"
    if rows[0] != (copy.inode, copy.size, copy.mtime_ns):
        return "changed"
    reason = problem(copy.path, rows[0])
    may_be_restored = reason == "changed" and blobs.fingerprint(copy.path)[1] == copy.size
    if reason and not may_be_restored:
        return reason
    if may_be_restored or copy.boot != boot:
        if blobs.digest_of(copy.path) != copy.digest:
            return reason or "corrupt"
        _accept(index, copy, boot)
    os.chmod(copy.path, blobs.MODE)  # a user may have changed it
    return None


def _accept(index: Index, copy: Copy, boot: str) -> None:
    """Record boot, inode and time of a file whose bytes were found to be the copy's.

    It was written before a reboot, or restored from an image or an archive.
    """
    status = os.lstat(copy.path)
    index.run(
        "UPDATE blobs SET boot = ?, inode = ?, mtime_ns = ?, allocated = ? WHERE name = ?",
        *(boot, status.st_ino, status.st_mtime_ns, status.st_blocks * 512),
        copy.name,
    )
