"""Sizes and names as the index has them, checked before they are used.

Somebody else may have written to the index. A size or name that this program cannot have written
raises :class:`.DamagedIndexError`, so that the index is replaced.
"""

from __future__ import annotations

from ..index import DamagedIndexError
from ..leases.lease import lease_id
from . import blobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..index import Index

#: No file system is larger, so this program has written no larger size.
_MAX_BYTES = 2**60


def totals(index: Index) -> tuple[int, int]:
    """Return the allocated bytes of all blobs, and the bytes reserved by running downloads."""
    content, reserved = index.one(
        "SELECT bytes + (SELECT coalesce(sum(allocated), 0) FROM staged), "
        "(SELECT coalesce(sum(reserved), 0) FROM partials) FROM ledger"
    )
    return byte_count(content), byte_count(reserved)


def leased_bytes(index: Index, leased: set[int]) -> int:
    """Return the allocated bytes of all blobs whose lease ids are `leased`."""
    every = "SELECT name, allocated FROM blobs UNION ALL SELECT name, allocated FROM staged"
    rows = index.rows(every) if leased else []
    return sum(byte_count(size) for name, size in rows if lease_of(name) in leased)


def lease_of(name: object) -> int:
    """Return the lease id of a blob, given its name in the index."""
    if not isinstance(name, str) or not blobs.is_name(name):
        raise DamagedIndexError(f"{name!r} is not the name of a blob")
    return lease_id(name)


def byte_count(value: object) -> int:
    """Return a number of bytes, given as the index has it."""
    if not isinstance(value, int) or not 0 <= value < _MAX_BYTES:
        raise DamagedIndexError(f"{value!r} is not a number of bytes")
    return value
